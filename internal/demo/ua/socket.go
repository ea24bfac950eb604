package ua

import (
	"net"
	"net/netip"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// socket is an agent's UDP socket as the stack sees it. It mends one habit of the stack: what wants to send and finds
// the socket gone opens a new one, on the same port even. A killed server would come back to life to answer the request
// it was just reading. So with its last breath socket leaves a dead connection in the stack's pool for every address the
// stack may want to send to. The stack's transport layer must not be closed, since that empties the pool.
type socket struct {
	*net.UDPConn
	pool    *sip.ConnectionPool
	once    sync.Once
	reading chan struct{}       // closed when the stack reads: from then on it sends from here, not from a new socket
	peers   map[string]struct{} // who sent something; only the stack's one reader touches it
}

func newSocket(conn *net.UDPConn, pool *sip.ConnectionPool) *socket {
	return &socket{UDPConn: conn, pool: pool, reading: make(chan struct{}), peers: make(map[string]struct{})}
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	s.once.Do(func() { close(s.reading) })
	n, from, err := s.UDPConn.ReadFrom(b)
	if err != nil {
		grave := &dead{addr: s.LocalAddr()}
		s.pool.Add(s.LocalAddr().String(), grave)
		for peer := range s.peers {
			s.pool.Add(peer, grave)
		}
		return n, from, err
	}
	s.peers[from.String()] = struct{}{}
	return n, from, nil
}

// dead is a connection over which nothing goes any more. It implements [sip.Connection].
type dead struct{ addr net.Addr }

func (d *dead) LocalAddr() net.Addr      { return d.addr }
func (*dead) WriteMsg(sip.Message) error { return net.ErrClosed }
func (*dead) Ref(int) int                { return 1 }
func (*dead) TryClose() (int, error)     { return 1, nil }
func (*dead) Close() error               { return nil }

func localAddr(conn *net.UDPConn) netip.AddrPort {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
}
