//go:build unix

package transport

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// rawOps are the calls of the kernel that do not wait. The functions are made once: one that is made for each call
// would be an allocation each.
type rawOps struct {
	peek, get, put func(fd uintptr) bool
	tried          bool
	in, out        []byte
	nIn, nOut      int
	errIn, errOut  error
}

func (o *rawOps) bind(*Conn) {
	o.peek = func(fd uintptr) bool {
		if o.tried { // the runtime has said that something is there
			return true
		}
		o.tried = true
		return readableNow(fd) // asked once after the runtime forgot what it knew, else what came just now would be missed
	}
	o.get = func(fd uintptr) bool {
		o.nIn, o.errIn = readNow(fd, o.in)
		return true
	}
	o.put = func(fd uintptr) bool {
		o.nOut, o.errOut = writeNow(fd, o.out)
		return true
	}
}

// wait waits until there is something to read, the end of the stream and errors included.
func (o *rawOps) wait(c *Conn) error {
	o.tried = false
	return c.raw.Read(o.peek)
}

func (o *rawOps) read(c *Conn, b []byte) (int, error) {
	o.in = b
	err := c.raw.Read(o.get)
	if errors.Is(err, os.ErrDeadlineExceeded) { // of an earlier wait, which has ended in time: this is none
		c.arm(time.Time{})
		err = c.raw.Read(o.get)
	}
	o.in = nil
	switch {
	case err != nil:
		return 0, err
	case o.errIn == unix.EAGAIN:
		return 0, errAgain
	case o.errIn != nil:
		return 0, o.errIn
	case o.nIn == 0:
		return 0, io.EOF
	}
	return o.nIn, nil
}

// write gives how much the kernel took.
func (o *rawOps) write(c *Conn, b []byte) (int, error) {
	o.out = b
	err := c.raw.Write(o.put)
	o.out = nil
	switch {
	case err != nil:
		return 0, err
	case o.errOut == unix.EAGAIN:
		return 0, nil
	case o.errOut != nil:
		return 0, o.errOut
	}
	return o.nOut, nil
}
