// Package handover is the talk between a process and its successor: messages with open files beside them over a socket of
// the machine, and listeners that change hands by name. It knows octets and files, and nothing of what they are for.
package handover

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Version is that of all that is said here and of what stands in the messages. Processes of different versions do not
// understand each other, and a restart between them is a cold one.
const Version = 2

// ErrVersion says that the other process does not speak as this one.
var ErrVersion = errors.New("the other process speaks otherwise")

// Moment is a time in ns of a clock that all processes of a machine share; 0 is no time. The time of day may be put right between the
// moment that something was noted and that in which it is read elsewhere, and what is to end in ten minutes still does.
type Moment int64

// origin is one moment by both clocks, so that what goes to and fro in one process stays the same.
var origin = struct {
	here   time.Time
	shared int64
}{time.Now(), Now()}

// MomentOf is a time as other processes have it.
func MomentOf(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	return Moment(origin.shared + int64(t.Sub(origin.here)))
}

// Time is the moment as this process has it; the zero time for 0.
func (m Moment) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return origin.here.Add(time.Duration(int64(m) - origin.shared))
}

// Kind is what a message is.
type Kind uint8

// The kinds, in the order in which they come.
const (
	Hello      Kind = iota + 1 // successor: I am there and have looked at my flags and files
	Welcome                    // the files of listeners by name
	Free                       // what one process only can have open is closed
	AskSockets                 // successor: which sockets are there?
	Sockets                    // what is served, and the files of its sockets
	AskTables                  // successor: stop reading and tell what you know
	Table                      // what is known of a service
	Streams                    // connections, and their files
	Told                       // that was all
	Loaded                     // successor: all of it is here
	Go                         // it is yours
	Running                    // successor: I read
	Late                       // a connection, or what has come of one, that was not ready before
	numKinds
)

var words = [numKinds]string{"", "hello", "welcome", "free", "ask sockets", "sockets", "ask tables", "table", "streams", "told", "loaded", "go", "running", "late"}

// String is the kind as a word.
func (k Kind) String() string {
	if k < numKinds {
		return words[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Message is one message. Who receives it owns its files.
type Message struct {
	Kind  Kind
	Data  []byte
	Files []*os.File
}

// CloseFiles closes the files of a message that nobody wants.
func (m *Message) CloseFiles() {
	for _, f := range m.Files {
		f.Close()
	}
	m.Files = nil
}
