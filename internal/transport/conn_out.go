package transport

import (
	"errors"
	"net"
	"os"
	"time"
)

// errAgain says that nothing is there to be read now. To crypto/tls it is a timeout, after which reading may go on.
var errAgain net.Error = againError{}

type againError struct{}

func (againError) Error() string   { return "nothing to read yet" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

// Queue takes octets to be sent; Flush sends them. It reports false if the connection is closed, or closes with them since
// the peer does not read.
func (c *Conn) Queue(b []byte) bool {
	c.mu.Lock()
	if c.closed.Load() != 0 {
		c.mu.Unlock()
		return false
	}
	if c.queued()+len(b) > c.opt.MaxQueue {
		c.mu.Unlock()
		c.Close(SlowPeer)
		return false
	}
	if c.pending == nil {
		c.pending = buffers.Get().(*buffer)
	}
	c.pending.b = append(c.pending.b, b...)
	c.mu.Unlock()
	return true
}

func (c *Conn) queued() (n int) {
	if c.pending != nil {
		n = len(c.pending.b)
	}
	if c.backlog != nil {
		n += len(c.backlog.b)
	}
	return n
}

// Unsent gives what was queued and never sent, of a connection that is closed.
func (c *Conn) Unsent() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil || c.closed.Load() == 0 {
		return nil
	}
	b := c.pending.b
	c.pending = nil
	return b
}

// Flush sends what is queued, as far as that goes without waiting. Who comes while another flushes leaves it to that one.
func (c *Conn) Flush() {
	c.mu.Lock()
	for c.ready && !c.held && !c.flush && c.pending != nil {
		b := c.pending
		c.pending, c.flush = nil, true
		c.mu.Unlock()
		var err error
		if c.tls != nil {
			_, err = c.tls.Write(b.b)
		} else {
			_, err = (*wireConn)(c).Write(b.b)
		}
		putBuffer(b)
		if err != nil {
			c.Close(writeReason(err))
		}
		c.mu.Lock()
		c.flush = false
	}
	c.mu.Unlock()
}

func writeReason(err error) Reason {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return WriteTimeout
	case errors.Is(err, errQueueFull):
		return SlowPeer
	}
	return PeerReset
}

var errQueueFull = errors.New("the peer does not read")

// wireConn is the connection as crypto/tls sees it: reading gives errAgain when nothing is there, writing never waits.
type wireConn Conn

func (w *wireConn) Read(b []byte) (int, error) {
	c := (*Conn)(w)
	if c.blocking {
		n, err := c.tcp.Read(b)
		c.counters.inBytes.Add(uint64(n))
		return n, err
	}
	if c.drained {
		return 0, errAgain
	}
	n, err := c.ops.read(c, b)
	if err != nil {
		c.drained = err == errAgain
		return 0, err
	}
	c.drained = n < len(b)
	c.counters.inBytes.Add(uint64(n))
	return n, nil
}

// Write is called by one at a time.
func (w *wireConn) Write(b []byte) (int, error) {
	c := (*Conn)(w)
	n := 0
	c.mu.Lock()
	waits := c.drain
	c.mu.Unlock()
	if !waits {
		var err error
		if n, err = c.ops.write(c, b); err != nil {
			return n, err
		}
		c.counters.outBytes.Add(uint64(n))
		if n == len(b) {
			return n, nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() != 0 {
		return n, net.ErrClosed
	}
	if c.queued()+len(b)-n > c.opt.MaxQueue {
		return n, errQueueFull
	}
	if c.backlog == nil {
		c.backlog = buffers.Get().(*buffer)
	}
	c.backlog.b = append(c.backlog.b, b[n:]...)
	if !c.drain {
		c.drain = true
		go c.bringAway()
	}
	return len(b), nil
}

// bringAway sends the backlog, waiting for the peer as long as it may.
func (c *Conn) bringAway() {
	for {
		c.mu.Lock()
		b := c.backlog
		if b == nil || c.held {
			c.drain = false
			last := c.last && b == nil
			c.mu.Unlock()
			if last {
				_ = c.tcp.CloseWrite()
			}
			return
		}
		c.backlog = nil
		c.mu.Unlock()
		for rest := b.b; len(rest) > 0; {
			_ = c.tcp.SetWriteDeadline(time.Now().Add(c.opt.Write))
			n, err := c.tcp.Write(rest)
			c.counters.outBytes.Add(uint64(n))
			if err != nil && c.putBack(b, rest[n:]) {
				return
			}
			if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
				putBuffer(b)
				c.mu.Lock()
				c.drain = false
				c.mu.Unlock()
				c.Close(writeReason(err))
				return
			}
			rest = rest[n:]
		}
		_ = c.tcp.SetWriteDeadline(time.Time{})
		putBuffer(b)
	}
}

func (w *wireConn) Close() error                       { return w.tcp.Close() }
func (w *wireConn) LocalAddr() net.Addr                { return w.tcp.LocalAddr() }
func (w *wireConn) RemoteAddr() net.Addr               { return w.tcp.RemoteAddr() }
func (w *wireConn) SetDeadline(t time.Time) error      { return nil } // deadlines are Conn's own
func (w *wireConn) SetReadDeadline(t time.Time) error  { return nil }
func (w *wireConn) SetWriteDeadline(t time.Time) error { return nil }
