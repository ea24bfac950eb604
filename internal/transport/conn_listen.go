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
	opt      StreamOptions
	secure   bool
	config   atomic.Pointer[tls.Config] // of new connections; nil until SetTLS
	counters ConnCounters

	mu      sync.Mutex
	sources map[netip.Addr]int // connections from each
	open    int
	paused  chan struct{} // closed when Accept may go on; nil: it may
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
	return &StreamListener{ln: ln, local: addrPortOfNet(ln.Addr()), opt: opt.WithDefaults(), secure: secure, sources: map[netip.Addr]int{}}
}

// SetTLS is the configuration of connections that come from now on; those that are there go on with theirs.
func (l *StreamListener) SetTLS(c *tls.Config) { l.config.Store(c) }

// LocalAddr is where it listens.
func (l *StreamListener) LocalAddr() netip.AddrPort { return l.local }

// Counters count the listener's connections.
func (l *StreamListener) Counters() *ConnCounters { return &l.counters }

// Options are its limits.
func (l *StreamListener) Options() *StreamOptions { return &l.opt }

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
		if r := l.enter(remote.Addr()); r != NotClosed || l.secure && config == nil {
			if r == NotClosed {
				l.leave(remote.Addr())
				r = HandshakeFailed
			}
			l.counters.Refuse(r)
			_ = t.SetLinger(0)
			t.Close()
			continue
		}
		c := &Conn{Remote: remote, opt: &l.opt, counters: &l.counters, release: func() { l.leave(remote.Addr()) }}
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

// source is under what connections of one sender are counted: an IPv4 address, or the /64 of one of IPv6, which a
// single host has all of.
func source(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, _ := a.Prefix(64)
	return p.Addr()
}

func (l *StreamListener) enter(a netip.Addr) Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := source(a)
	switch {
	case l.open >= l.opt.MaxConns:
		return TooMany
	case l.sources[s] >= l.opt.MaxPerSource:
		return TooManyFromSource
	}
	l.open++
	l.sources[s]++
	return NotClosed
}

func (l *StreamListener) leave(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	s := source(a)
	if l.sources[s]--; l.sources[s] == 0 {
		delete(l.sources, s)
	}
}

// Close stops listening. Connections are not touched.
func (l *StreamListener) Close() { l.ln.Close() }
