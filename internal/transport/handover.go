package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
)

// What it takes to give sockets and connections to another process, and to take them from one. Nothing is closed for the
// peers meanwhile: who gives lets go of descriptors, and does not shut down.

// ErrStirred says that Wait was told not to wait.
var ErrStirred = errors.New("stirred")

var longAgo = time.Unix(1, 0)

// Pause has Accept wait, and take nothing, until Resume. Connections that come meanwhile wait in the kernel.
func (l *StreamListener) Pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil {
		l.paused = make(chan struct{})
		_ = l.ln.SetDeadline(longAgo)
	}
}

// Resume ends a Pause.
func (l *StreamListener) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		_ = l.ln.SetDeadline(time.Time{})
		close(l.paused)
		l.paused = nil
	}
}

func (l *StreamListener) awaitResume() {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
}

// Descriptor has use look at the listener's file descriptor.
func (l *StreamListener) Descriptor(use func(fd int)) error {
	raw, err := l.ln.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { use(int(fd)) })
}

// AdoptStream makes a listener of a socket that another process listened on, and takes the file, closed in the end.
func AdoptStream(f *os.File, secure bool, opt StreamOptions) (*StreamListener, error) {
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("%s is no socket of TCP", f.Name())
	}
	return newStreamListener(tcp, secure, opt), nil
}

// AdoptConn makes a connection of a socket that another process had: one of TCP, or one of this machine behind which it ends TLS.
// own says that it was we who had opened it. What is queued before Start goes first.
func (l *StreamListener) AdoptConn(f *os.File, remote, local netip.AddrPort, own bool) (*Conn, error) {
	defer f.Close()
	n, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	w, ok := n.(streamSocket)
	if !ok {
		n.Close()
		return nil, fmt.Errorf("%s is no stream", f.Name())
	}
	c := &Conn{Remote: remote, Local: local, opt: l.opt.Load(), counters: &l.counters}
	if !own {
		gate := l.gate.Load()
		gate.take(remote.Addr())
		c.release = func() { gate.leave(remote.Addr()) }
	}
	l.counters.open.Add(1)
	if err := c.adopt(w); err != nil {
		c.Close(PeerReset)
		return nil, err
	}
	return c, nil
}

// Stir has Wait return ErrStirred, now and until Settle, on a connection that is open.
func (c *Conn) Stir() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready {
		c.stirred.Store(stirred)
		_ = c.tcp.SetReadDeadline(longAgo)
	}
}

// Settle ends a Stir.
func (c *Conn) Settle() {
	if c.stirred.CompareAndSwap(stirred, settled) {
		_ = c.tcp.SetReadDeadline(time.Time{}) // Wait sets it anew
	}
}

const (
	notStirred = iota
	stirred
	settled // what armed says is not what is set
)

// Hold stops sending until Release, and gives what waits to be sent. It reports false for a connection that is not open yet
// or no more: nothing is held then. With TLS nothing is given, since that stays.
func (c *Conn) Hold() (unsent []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready || c.closed.Load() != 0 {
		return nil, false
	}
	if c.tls != nil {
		return nil, true
	}
	c.held = true
	for end := time.Now().Add(holdLimit); c.flush || c.drain; {
		if c.closed.Load() != 0 || time.Now().After(end) {
			c.held = false
			_ = c.tcp.SetWriteDeadline(time.Time{})
			return nil, false
		}
		if !c.flush { // who flushes does not wait for the peer; who brings the backlog away does
			_ = c.tcp.SetWriteDeadline(longAgo)
		}
		c.mu.Unlock()
		time.Sleep(50 * time.Microsecond)
		c.mu.Lock()
	}
	return slices.Concat(bytesOf(c.backlog), bytesOf(c.pending)), true
}

// holdLimit bounds the wait for who writes and has been told to stop.
const holdLimit = 100 * time.Millisecond

// putBack takes back what bringAway has not sent, of a connection that is held.
func (c *Conn) putBack(b *buffer, rest []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		return false
	}
	b.b = append(b.b[:copy(b.b, rest)], bytesOf(c.backlog)...)
	putBuffer(c.backlog)
	c.backlog, c.drain = b, false
	return true
}

func bytesOf(b *buffer) []byte {
	if b == nil {
		return nil
	}
	return b.b
}

// Release ends a Hold.
func (c *Conn) Release() {
	c.mu.Lock()
	if !c.held {
		c.mu.Unlock()
		return
	}
	c.held = false
	_ = c.tcp.SetWriteDeadline(time.Time{})
	if c.backlog != nil && !c.drain {
		c.drain = true
		go c.bringAway()
	}
	c.mu.Unlock()
	c.Flush()
}

// Share gives a descriptor by which another process has the connection, for handover.CloseAll to close: its own or, where TLS is
// ended here, one of which our end, for NewRelay, is given too.
func (c *Conn) Share() (fd int, ours *os.File, ok bool) {
	if c.tls == nil && c.config == nil {
		fd = -1
		err := c.raw.Control(func(n uintptr) {
			if d, err := handover.Dup(int(n)); err == nil {
				fd = d
			}
		})
		return fd, nil, err == nil && fd >= 0
	}
	ours, theirs, err := handover.Pipe()
	if err != nil {
		return 0, nil, false
	}
	defer theirs.Close()
	fd, err = handover.Dup(int(theirs.Fd()))
	if err != nil {
		ours.Close()
		return 0, nil, false
	}
	return fd, ours, true
}

// Forsake lets go of a connection that another process has now.
func (c *Conn) Forsake() {
	c.mu.Lock()
	putBuffer(c.pending)
	c.pending = nil
	c.mu.Unlock()
	c.Close(HandedOver)
}

// Relay brings what comes on the connection to another, and what comes there to it, until both have ended. The reader of the
// connection calls it; that of the other is the relay's.
func (c *Conn) Relay(other *Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		other.pump(c)
	}()
	c.pump(other)
	<-done
	c.Close(PeerClosed)
	other.Close(PeerClosed)
}

// pump brings what comes to another connection, and its end after it.
func (c *Conn) pump(to *Conn) {
	for {
		b := buffers.Get().(*buffer)
		n, err := c.Read(b.b[:cap(b.b)])
		if n > 0 && to.Queue(b.b[:n]) {
			to.Flush()
		}
		putBuffer(b)
		if err == nil && n == 0 {
			err = c.Wait(time.Now().Add(relayWait))
		}
		switch {
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded) && c.Closed() == NotClosed:
		case errors.Is(err, io.EOF) && c.Closed() == NotClosed:
			to.sayEnd()
			return
		default:
			c.Close(ReadReason(err))
			to.Close(PeerReset)
			return
		}
	}
}

// relayWait is when a relayed connection is looked at again, for nothing.
const relayWait = time.Hour

// NewRelay makes the end of a relay: a connection of this machine.
func NewRelay(f *os.File, opt *StreamOptions) (*Conn, error) {
	defer f.Close()
	n, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	w, ok := n.(*net.UnixConn)
	if !ok {
		n.Close()
		return nil, fmt.Errorf("%s is no socket of this machine", f.Name())
	}
	nowhere := netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	c := &Conn{Remote: nowhere, Local: nowhere, opt: opt, counters: new(ConnCounters)}
	if err := c.adopt(w); err != nil {
		return nil, err
	}
	return c, c.Start()
}
