//go:build !unix

package transport

import "time"

// rawOps elsewhere: reading waits with a buffer, writing waits in a goroutine of its own.
type rawOps struct{}

func (rawOps) bind(*Conn) {}

func (rawOps) wait(*Conn) error { return nil }

func (rawOps) read(c *Conn, b []byte) (int, error) {
	_ = c.tcp.SetReadDeadline(c.armed)
	n, err := c.tcp.Read(b)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (rawOps) write(c *Conn, b []byte) (int, error) {
	_ = c.tcp.SetWriteDeadline(time.Now().Add(c.opt.Write))
	return c.tcp.Write(b)
}
