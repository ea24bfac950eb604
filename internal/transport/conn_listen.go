package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// StreamListener accepts connections on one address.
type StreamListener struct {
	ln       *net.TCPListener
	local    netip.AddrPort
	opt      atomic.Pointer[StreamOptions]
	gate     atomic.Pointer[Gate]
	secure   bool
	config   atomic.Pointer[tls.Config] // of new connections; nil until SetTLS
	counters ConnCounters

	mu     sync.Mutex
	paused chan struct{} // closed when Accept may go on; nil: it may; under mu
}

// ListenStream listens on an address for TCP or, if secure, for TLS over it, with SetTLS before anything can come of it.
// Port 0 takes a free one. The error is a *ListenError.
func ListenStream(addr netip.AddrPort, secure bool, opt StreamOptions) (*StreamListener, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	lc := net.ListenConfig{KeepAlive: 30 * time.Second}
	ln, err := lc.Listen(context.Background(), network, addr.String())
	if err != nil {
		var e syscall.Errno
		errors.As(err, &e)
		return nil, &ListenError{Addr: addr, Errno: e, Network: "tcp"}
	}
	return newStreamListener(ln.(*net.TCPListener), secure, opt), nil
}

func newStreamListener(ln *net.TCPListener, secure bool, opt StreamOptions) *StreamListener {
	l := &StreamListener{ln: ln, local: addrPortOfNet(ln.Addr()), secure: secure}
	l.SetOptions(opt)
	l.gate.Store(NewGate(GateLimits{MaxConns: opt.MaxConns, MaxPerSource: opt.MaxPerSource}))
	return l
}

// SetTLS is the configuration of connections that come from now on; those that are there go on with theirs.
func (l *StreamListener) SetTLS(c *tls.Config) { l.config.Store(c) }

// LocalAddr is where it listens.
func (l *StreamListener) LocalAddr() netip.AddrPort { return l.local }

// Counters count the listener's connections.
func (l *StreamListener) Counters() *ConnCounters { return &l.counters }

// Options are its limits.
func (l *StreamListener) Options() *StreamOptions { return l.opt.Load() }

// SetOptions changes the limits of connections that come, or are opened, from now on.
func (l *StreamListener) SetOptions(opt StreamOptions) {
	opt = opt.WithDefaults()
	l.opt.Store(&opt)
}

// SetGate has connections that come from now on pass a gate, which others may share.
func (l *StreamListener) SetGate(g *Gate) { l.gate.Store(g) }

// acceptPause is how long Accept waits when the system has no file for another connection.
const acceptPause = 50 * time.Millisecond

// Accept gives the next connection, of which Start is to be called; net.ErrClosed when the listener is closed.
func (l *StreamListener) Accept() (*Conn, error) {
	for {
		t, err := l.ln.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, net.ErrClosed
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.awaitResume()
			continue
		case err != nil:
			if !errors.Is(err, syscall.ECONNABORTED) {
				l.counters.Refuse(TooMany)
				time.Sleep(acceptPause) // out of files or memory: others may give some back
			}
			continue
		}
		remote := addrPortOfNet(t.RemoteAddr())
		config := l.config.Load()
		gate := l.gate.Load()
		if r := gate.enter(remote.Addr(), time.Now()); r != NotClosed || l.secure && config == nil {
			if r == NotClosed {
				gate.leave(remote.Addr())
				r = HandshakeFailed
			}
			l.counters.Refuse(r)
			_ = t.SetLinger(0)
			t.Close()
			continue
		}
		c := &Conn{Remote: remote, opt: l.opt.Load(), counters: &l.counters, release: func() { gate.leave(remote.Addr()) }}
		if l.secure {
			c.config = config
		}
		l.counters.accepted.Add(1)
		l.counters.open.Add(1)
		if c.adopt(t) != nil {
			c.Close(PeerReset)
			continue
		}
		return c, nil
	}
}

// Close stops listening. Connections are not touched.
func (l *StreamListener) Close() { l.ln.Close() }
