//go:build linux

package lab

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// The distribution builds SIPp without TLS. A sleeve puts TLS around a SIPp that speaks TCP: each connection of the one side
// is a connection of the other.
type sleeve struct {
	mu    sync.Mutex
	conns []net.Conn
	done  bool
}

// TLSToward gives an address that takes plain connections and has each go on to a server over TLS, whatever its certificate.
func TLSToward(t testing.TB, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	at := Addr(t, server.Addr().String())
	wrap(t, at, func(in net.Conn) (net.Conn, net.Conn, error) {
		out, err := tls.Dial("tcp", server.String(), &tls.Config{InsecureSkipVerify: true})
		return in, out, err
	})
	return at
}

// TLSBefore takes TLS connections at an address and has each go on to a plain server.
func TLSBefore(t testing.TB, at netip.AddrPort, cert *tls.Certificate, server netip.AddrPort) {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{*cert}}
	wrap(t, at, func(in net.Conn) (net.Conn, net.Conn, error) {
		out, err := net.Dial("tcp", server.String())
		return tls.Server(in, config), out, err
	})
}

func wrap(t testing.TB, at netip.AddrPort, pair func(net.Conn) (net.Conn, net.Conn, error)) {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	s := &sleeve{}
	t.Cleanup(func() {
		l.Close()
		s.close()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.join(c, pair)
		}
	}()
}

func (s *sleeve) join(c net.Conn, pair func(net.Conn) (net.Conn, net.Conn, error)) {
	in, out, err := pair(c)
	if err != nil {
		c.Close()
		return
	}
	if !s.keep(in, out) {
		return
	}
	go pass(out, in)
	pass(in, out)
}

// pass copies until one side has said all, and tells the other.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // the other side may be gone
		return
	}
	to.Close()
	from.Close()
}

func (s *sleeve) keep(conns ...net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		for _, c := range conns {
			c.Close()
		}
	} else {
		s.conns = append(s.conns, conns...)
	}
	return !s.done
}

func (s *sleeve) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	for _, c := range s.conns {
		c.Close()
	}
}
