//go:build !linux

package handover

import (
	"errors"
	"os"
	"time"
)

// Elsewhere sockets do not change hands.
var errNotHere = errors.New("a hot restart needs Linux")

// Conn is one end of the talk. There is none.
type Conn struct{}

// Close does nothing.
func (c *Conn) Close() error { return nil }

// Limit does nothing.
func (c *Conn) Limit(time.Time) {}

// PID is 0.
func (c *Conn) PID() int { return 0 }

// Send says that it cannot.
func (c *Conn) Send(Kind, []byte, ...int) error { return errNotHere }

// Receive says that it cannot.
func (c *Conn) Receive() (*Message, error) { return nil, errNotHere }

// Expect says that it cannot.
func (c *Conn) Expect(Kind) (*Message, error) { return nil, errNotHere }

// Door is where a successor would knock.
type Door struct{}

// Open says that there is none.
func Open(string, bool) (*Door, error) { return nil, errNotHere }

// Answer says that there is none.
func (d *Door) Answer() (*Conn, error) { return nil, errNotHere }

// Leave does nothing.
func (d *Door) Leave() {}

// Close does nothing.
func (d *Door) Close() {}

// Knock says that nobody is there.
func Knock(string) (*Conn, error) { return nil, errNotHere }

// Pair says that it cannot.
func Pair() (*Conn, *os.File, error) { return nil, nil, errNotHere }

// Pipe says that it cannot.
func Pipe() (a, b *os.File, err error) { return nil, nil, errNotHere }

// FromFile says that it cannot.
func FromFile(*os.File) (*Conn, error) { return nil, errNotHere }

// Dup says that it cannot.
func Dup(int) (int, error) { return 0, errNotHere }

// CloseAll does nothing.
func CloseAll([]int) {}

// Now is 0.
func Now() int64 { return 0 }
