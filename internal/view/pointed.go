package view

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/carillon-sip/carillon/internal/object"
)

// Of how many faults the line is shown, and how much of it.
const (
	maxPointed  = 10
	pointedRoom = 100
)

// Pointed tells the faults of a file with their columns, and shows the line of each with a caret below.
func Pointed(err error, data []byte) error {
	list := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		list = several.Unwrap()
	}
	var out []error
	for i, e := range list {
		text := withColumn(e)
		var f *object.FieldError
		if i < maxPointed && errors.As(e, &f) && f.Line > 0 && f.Column > 0 {
			text += pointAt(data, f.Line, f.Column)
		}
		out = append(out, errors.New(text))
	}
	return errors.Join(out...)
}

func withColumn(err error) string {
	var f *object.FieldError
	switch {
	case !errors.As(err, &f) || f.Line == 0 || f.Column == 0:
		return err.Error()
	case f.File == "":
		return fmt.Sprintf("line %d:%d of the text: %v", f.Line, f.Column, err)
	}
	head := fmt.Sprintf("%s:%d", f.File, f.Line)
	return strings.Replace(err.Error(), head, fmt.Sprintf("%s:%d", head, f.Column), 1)
}

// pointAt is a line of a text and a caret below a column of it. What is far from the column is cut off.
func pointAt(data []byte, line, column int) string {
	lines := bytes.Split(data, []byte("\n"))
	if line > len(lines) {
		return ""
	}
	text := []rune(strings.TrimRight(strings.ToValidUTF8(string(lines[line-1]), "\uFFFD"), "\r"))
	at := min(column-1, len(text))
	before, after := "", ""
	if from := at - pointedRoom*2/3; from > 0 && len(text) > pointedRoom {
		text, at, before = text[from:], at-from, "..."
	}
	if len(text) > pointedRoom {
		text, after = text[:pointedRoom], "..."
	}
	for i, r := range text {
		switch {
		case r == '\t':
			text[i] = ' ' // one place, so that the caret stands right
		case !unicode.IsPrint(r):
			text[i] = '\uFFFD'
		}
	}
	number := fmt.Sprint(line)
	gap := strings.Repeat(" ", len(number))
	return fmt.Sprintf("\n  %s | %s%s%s\n  %s | %s^", number, before, string(text), after, gap, strings.Repeat(" ", len(before)+at))
}
