package controller

import (
	"errors"
	"fmt"
)

// Code is the kind of a refusal.
type Code uint8

// The codes. The faces have a number for each: rest has those of HTTP.
const (
	Invalid      Code = iota + 1 // what was sent is wrong
	Unauthorized                 // nobody, or a wrong password
	Forbidden                    // somebody who may not
	NotFound
	NameTaken
	InUse // others refer to it
	Stale // somebody else changed it meanwhile
	TooLarge
	TooMany // attempts
	Unavailable
)

// Error is a refusal, with words for whom it is told to.
type Error struct {
	Code Code
	Msg  string
	Name string // of the object it is about; empty: none
}

func (e *Error) Error() string { return e.Msg }

func fault(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of an error, 0 when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
