package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// StreamOptions are the limits of connections. Zero values take the defaults.
type StreamOptions struct {
	MaxConns     int           // of a listener
	MaxPerSource int           // of a listener, from one IPv4 address or one /64 of IPv6
	MaxQueue     int           // octets that wait to be sent to one peer
	Handshake    time.Duration // for TLS
	Connect      time.Duration // for a connection of ours, without TLS
	Write        time.Duration // for a peer to read on
}

// The defaults.
const (
	DefaultMaxConns     = 100_000
	DefaultMaxPerSource = 10_000
	DefaultMaxQueue     = 1 << 20
	DefaultHandshake    = 10 * time.Second
	DefaultConnect      = 4 * time.Second
	DefaultWrite        = 10 * time.Second
)

// WithDefaults fills in what is 0.
func (o StreamOptions) WithDefaults() StreamOptions {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	setTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.MaxConns, DefaultMaxConns)
	set(&o.MaxPerSource, DefaultMaxPerSource)
	set(&o.MaxQueue, DefaultMaxQueue)
	setTime(&o.Handshake, DefaultHandshake)
	setTime(&o.Connect, DefaultConnect)
	setTime(&o.Write, DefaultWrite)
	return o
}

// Conn is a TCP or TLS connection. One goroutine, its reader, calls Start, Wait, Read and End; Queue, Flush and Close are for
// all. Nobody who sends ever waits for the peer: what the kernel does not take at once waits in a queue, and a goroutine
// that is there only as long as something waits brings it away. An idle connection holds no buffer of ours.
type Conn struct {
	Remote, Local netip.AddrPort // Local is valid once Start has returned

	opt      *StreamOptions
	counters *ConnCounters
	release  func() // of the place at the listener; nil: none
	dial     *dialer
	config   *tls.Config // nil: plain

	tcp streamSocket
	raw syscall.RawConn
	ops rawOps
	tls *tls.Conn

	armed    time.Time // read deadline of tcp; the reader's
	blocking bool      // Read waits; the reader's, while it shakes hands
	drained  bool      // the kernel has nothing more; the reader's

	stirred atomic.Uint32 // notStirred and so on, see Stir

	closed atomic.Uint32 // Reason
	mu     sync.Mutex    // guards what follows
	ready  bool          // what is queued may go
	flush  bool          // somebody brings away pending
	drain  bool          // a goroutine brings away backlog
	last   bool          // close when all is away
	held   bool          // nothing more is to be sent for now, see Hold
	cancel func()        // ends connecting; nil before
	// pending is what Queue has taken and Flush is to send; backlog is what the kernel did not take, encrypted already
	// where that is needed.
	pending, backlog *buffer
}

// dialer is how a connection of ours is opened.
type dialer struct {
	from netip.Addr // invalid: any
	to   netip.AddrPort
}

// buffer is octets from a pool.
type buffer struct{ b []byte }

// pooledMax is the largest buffer that goes back to the pool, in octets.
const pooledMax = 64 << 10

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 4096)} }}

func putBuffer(b *buffer) {
	if b != nil && cap(b.b) <= pooledMax {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// streamSocket is a socket of TCP or, to a process that ends TLS for us, of the machine.
type streamSocket interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// NewDial makes a connection that is yet to be opened: Start opens it. What is queued before goes when it is open.
func NewDial(from netip.Addr, to netip.AddrPort, config *tls.Config, opt *StreamOptions, counters *ConnCounters) *Conn {
	counters.open.Add(1)
	return &Conn{Remote: to, opt: opt, counters: counters, config: config, dial: &dialer{from, to}}
}

// Start makes the connection ready: it opens one of ours and shakes hands for TLS. After an error it is closed.
func (c *Conn) Start() error {
	if c.dial != nil {
		if err := c.connect(); err != nil {
			c.Close(ConnectFailed)
			return err
		}
	}
	if c.config != nil {
		if err := c.handshake(); err != nil {
			c.Close(handshakeReason(err))
			return err
		}
	}
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	c.Flush()
	return nil
}

func (c *Conn) connect() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	if c.closed.Load() != 0 {
		return net.ErrClosed
	}
	d := net.Dialer{Timeout: c.opt.Connect, KeepAlive: 30 * time.Second}
	if a := c.dial.from; a.IsValid() && !a.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", c.dial.to.String())
	if err != nil {
		return err
	}
	c.counters.opened.Add(1)
	return c.adopt(conn.(*net.TCPConn))
}

// adopt makes a socket the connection's.
func (c *Conn) adopt(t streamSocket) error {
	raw, err := t.SyscallConn()
	if err != nil {
		t.Close()
		return err
	}
	c.mu.Lock()
	c.tcp, c.raw = t, raw
	if !c.Local.IsValid() {
		c.Local = addrPortOfNet(t.LocalAddr())
	}
	c.ops.bind(c)
	c.mu.Unlock()
	if c.closed.Load() != 0 { // meanwhile
		t.Close()
		return net.ErrClosed
	}
	return nil
}

func addrPortOfNet(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

func (c *Conn) handshake() error {
	var t *tls.Conn
	if c.dial != nil {
		t = tls.Client((*wireConn)(c), c.config)
	} else {
		t = tls.Server((*wireConn)(c), c.config)
	}
	c.mu.Lock()
	c.tls = t
	c.mu.Unlock()
	c.blocking = true
	c.arm(time.Now().Add(c.opt.Handshake))
	err := t.Handshake()
	c.blocking = false
	if err != nil {
		return err
	}
	c.counters.handshakes.Add(1)
	if t.ConnectionState().DidResume {
		c.counters.resumed.Add(1)
	}
	return nil
}

func handshakeReason(err error) Reason {
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &record):
		return NotTLS
	case errors.As(err, &cert):
		return BadCertificate
	case errors.As(err, &alert):
		return HandshakeFailed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return HandshakeTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return PeerClosed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return PeerReset
	case err.Error() == "tls: client didn't provide a certificate":
		return BadCertificate
	}
	return HandshakeFailed
}

// TLS is the state of TLS; nil without it.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	s := c.tls.ConnectionState()
	return &s
}

// arm sets the read deadline.
func (c *Conn) arm(t time.Time) {
	c.armed = t
	_ = c.tcp.SetReadDeadline(t) // fails only on a closed socket, which the next read tells
}

// Wait waits until something can be read, without a buffer. After until, which is seldom set on the socket itself, the
// error is os.ErrDeadlineExceeded.
func (c *Conn) Wait(until time.Time) error {
	for {
		if c.stirred.Load() == settled && c.stirred.CompareAndSwap(settled, notStirred) {
			c.armed = time.Time{}
		}
		if c.armed.IsZero() || until.Before(c.armed) || c.armed.Before(time.Now()) {
			c.arm(until)
		}
		if c.stirred.Load() == stirred { // after arm: Stir does it the other way round
			return ErrStirred
		}
		err := c.ops.wait(c)
		if err == nil {
			c.drained = false
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until) && c.stirred.Load() == notStirred {
			return err
		}
		c.armed = time.Time{} // the deadline was an earlier one
	}
}

// Read reads what is there; ask before the first Wait too, since shaking hands may have read more. 0 and no error mean that nothing is, or not enough of a TLS record: Wait tells when there
// is more. Call it until it gives less than fits.
func (c *Conn) Read(b []byte) (n int, err error) {
	if c.tls != nil {
		n, err = c.tls.Read(b)
	} else {
		n, err = (*wireConn)(c).Read(b)
	}
	if err == errAgain {
		err = nil
	}
	return n, err
}

// CountIn counts a message that came.
func (c *Conn) CountIn() { c.counters.In.Add(1) }

// CountOut counts a message that was queued.
func (c *Conn) CountOut() { c.counters.Out.Add(1) }

// Drained reports whether the last Read has taken all that was there.
func (c *Conn) Drained() bool { return c.drained && c.tls == nil }

// ReadReason is the reason that an error of Wait or Read means.
func ReadReason(err error) Reason {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Idle
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return PeerClosed
	case errors.Is(err, net.ErrClosed):
		return ListenerClosed
	}
	if strings.Contains(err.Error(), "tls: ") { // crypto/tls has no type for most of its errors
		return HandshakeFailed
	}
	return PeerReset
}

// End closes the connection, after what is queued has gone and the peer had a second to take it: closing a socket that has
// octets unread would reset it, and the last answer might never be seen. The reader calls it.
func (c *Conn) End(r Reason) {
	c.Flush()
	if c.tcp != nil && c.closed.Load() == 0 {
		c.linger()
	}
	c.Close(r)
}

const (
	lingerFor  = time.Second
	lingerMost = 256 << 10 // octets that are read and thrown away
)

// sayEnd tells the peer that nothing more comes after what waits to be sent.
func (c *Conn) sayEnd() {
	c.mu.Lock()
	waits, ready := c.backlog != nil || c.drain, c.ready
	c.last = waits
	c.mu.Unlock()
	if !waits {
		if c.tls != nil && ready {
			_ = c.tls.CloseWrite()
		}
		_ = c.tcp.CloseWrite()
	}
}

func (c *Conn) linger() {
	c.sayEnd()
	c.arm(time.Now().Add(lingerFor))
	b := buffers.Get().(*buffer)
	defer putBuffer(b)
	for n := 0; n < lingerMost; {
		k, err := c.tcp.Read(b.b[:cap(b.b)])
		if n += k; err != nil {
			return
		}
	}
}

// Close closes the connection at once; the first reason counts.
func (c *Conn) Close(r Reason) {
	if !c.closed.CompareAndSwap(0, uint32(r)) {
		return
	}
	if c.release != nil {
		c.release() // first: who sees that it is open no more finds its place free
	}
	c.counters.open.Add(-1)
	c.counters.closed[r].Add(1)
	c.mu.Lock()
	if c.cancel != nil {
		c.cancel()
	}
	t, tl, ready := c.tcp, c.tls, c.ready
	c.ready = false
	putBuffer(c.backlog)
	c.backlog = nil
	c.mu.Unlock()
	switch {
	case t == nil:
	case r == SlowPeer || r == WriteTimeout:
		if tcp, ok := t.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // what it did not read is not kept for it
		}
		t.Close()
	case tl != nil && ready && r != PeerReset && r != PeerClosed:
		go func() { // close_notify may have to wait for a writer, and then for nothing
			_ = t.SetWriteDeadline(time.Now().Add(lingerFor))
			_ = tl.CloseWrite()
			t.Close()
		}()
	default:
		t.Close()
	}
}

// Closed is why the connection is closed; NotClosed while it is open.
func (c *Conn) Closed() Reason { return Reason(c.closed.Load()) }
