package engine

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/transport"
)

// claim makes a connection that a server has opened the one on which requests to that server may go too (RFC 5923): its
// first request asks for that, and its certificate, which has led to an authority of the service's PKI profile, names the
// server. While we have a connection of our own to it that one is used, for a call's messages keep their order on one.
func (s *stream) claim(m *sip.Msg) {
	if s.claimed || s.link != nil || s.group.key.Transport != sip.TLS || !m.IsRequest {
		return
	}
	s.claimed = true
	port, l := proxy.Alias(m), s.e.listenerOf(s.group)
	if port == 0 || l == nil {
		return
	}
	sv := l.Service.ServerAt(netip.AddrPortFrom(s.conn.Remote.Addr(), port))
	if sv == nil || !identity.Proves(s.conn.TLS(), sv.Host(), sv.Addr.Addr()) {
		return
	}
	s.server = sv
	ss := s.e.streams
	ss.mu.Lock()
	ss.alias[neighbour{s.group, sv.Addr}] = s
	ss.mu.Unlock()
	s.e.log.Info("requests to a server may go on its own connection", "server", sv.Addr, "name", sv.Name, "connection", s.conn.Remote)
}

// aliasOf is the connection that the server at an address has opened and may be reached on; nil if there is none.
func (ss *streams) aliasOf(k neighbour) *stream {
	ss.mu.RLock()
	s := ss.alias[k]
	ss.mu.RUnlock()
	if s == nil || s.conn.Closed() != transport.NotClosed {
		return nil
	}
	return s
}
