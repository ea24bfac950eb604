//go:build !linux || !(amd64 || arm64)

package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

type wire struct{}

func (wire) init(int) {}

// Socket is a bound UDP socket. Recv is for one goroutine at a time; all else may be
// called by any, Flush by each with an Out of its own.
type Socket struct {
	conn  *net.UDPConn // one for all sockets of a ListenUDP
	local netip.AddrPort
	st    counters
	gone  atomic.Bool
}

// ListenUDP opens one socket and gives n handles of it, one for each worker; the
// first Close closes them all. Port 0 takes a free one.
func ListenUDP(addr netip.AddrPort, n int, opt Options) ([]*Socket, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if n < 1 || !addr.IsValid() {
		return nil, &ListenError{Addr: addr, Errno: syscall.EINVAL}
	}
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		var e syscall.Errno
		errors.As(err, &e)
		return nil, &ListenError{Addr: addr, Errno: e}
	}
	if opt.RecvBuf > 0 {
		_ = c.SetReadBuffer(opt.RecvBuf)
	}
	if opt.SendBuf > 0 {
		_ = c.SetWriteBuffer(opt.SendBuf)
	}
	sockets := make([]*Socket, n)
	for i := range sockets {
		sockets[i] = &Socket{conn: c, local: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	}
	return sockets, nil
}

// LocalAddr is the address the socket is bound to, with the port it got.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Stats reads the counters. Any goroutine may ask.
func (s *Socket) Stats() Stats { return s.st.read() }

// Close wakes a blocked Recv and closes the socket. Any goroutine may call it.
func (s *Socket) Close() error {
	s.gone.Store(true)
	return s.conn.Close()
}

// Batch is a set of receive slots. One goroutine uses it at a time.
type Batch struct {
	buf  []byte
	cur  Datagram
	left bool
}

// NewBatch makes a batch of 1 to MaxBatch slots.
func NewBatch(slots int) (*Batch, error) {
	if slots < 1 || slots > MaxBatch {
		return nil, errSlots
	}
	return &Batch{buf: make([]byte, MaxDatagram+1)}, nil // it fills one
}

// Close gives the memory back. The batch and its Datagrams are then dead.
func (b *Batch) Close() {}

// Next goes to the next datagram of the last Recv and reports whether there is one.
func (b *Batch) Next() bool {
	ok := b.left
	b.left = false
	return ok
}

// Datagram gives what Next went to. It is overwritten by the next Next.
func (b *Batch) Datagram() *Datagram { return &b.cur }

// Recv fills the batch with what has arrived and returns the number of
// datagrams. When nothing has, it waits: at most so long (0: not at all). It
// returns 0 and no error when that time is over, or when only ErrPending is
// new. The one error is net.ErrClosed.
func (s *Socket) Recv(b *Batch, wait time.Duration) (int, error) {
	b.left = false
	if wait > 0 {
		s.st.blocked.Add(1)
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(max(wait, time.Microsecond)))
	n, from, err := s.conn.ReadFromUDPAddrPort(b.buf)
	if err != nil {
		if s.gone.Load() || errors.Is(err, net.ErrClosed) {
			return 0, net.ErrClosed
		}
		return 0, nil
	}
	b.cur = Datagram{Data: b.buf[:n], From: netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())}
	b.left = true
	s.st.in.Add(1)
	s.st.inBytes.Add(uint64(n))
	s.st.recvSizes[0].Add(1)
	return 1, nil
}

// Rest reports false: here Recv itself costs no thread.
func (s *Socket) Rest() bool { return false }

// ErrPending reports that RecvErr may have something. The queue must then be
// emptied: what stands in it takes room of the receive buffer.
func (s *Socket) ErrPending() bool { return false }

// RecvErr takes the next ICMP error about a datagram of ours; quote receives its
// payload. False means that there is none.
func (s *Socket) RecvErr(quote []byte) (ICMPError, bool) { return ICMPError{}, false }

// Flush sends all that is queued and empties the queue. It returns the number of
// datagrams that could not be sent; they are counted by class, and Failures
// tells them. It never blocks longer than a few milliseconds.
func (s *Socket) Flush(o *Out) (failed int) {
	o.failures = o.failures[:0]
	for i := range o.queue {
		q := &o.queue[i]
		_, err := s.conn.WriteToUDPAddrPort(o.buf[q.off:q.off+q.n], q.to)
		if err == nil {
			s.st.out.Add(1)
			s.st.outBytes.Add(uint64(q.n))
			continue
		}
		var e syscall.Errno
		_ = errors.As(err, &e)
		s.st.sendErrors[ClassOf(e)].Add(1)
		o.fail(q, e)
		failed++
	}
	if len(o.queue) > 0 {
		s.st.sendSizes[sizeClass(len(o.queue))].Add(1)
	}
	o.reset()
	return failed
}

// LocalAddrFor tells which source address the routing table gives to datagrams
// for dst. Nothing is sent.
func LocalAddrFor(dst netip.Addr) (netip.Addr, error) {
	if !dst.IsValid() {
		return netip.Addr{}, &RouteError{Dst: dst, Errno: syscall.EAFNOSUPPORT}
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
	if err != nil {
		var e syscall.Errno
		errors.As(err, &e)
		return netip.Addr{}, &RouteError{Dst: dst.Unmap(), Errno: e}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone(""), nil
}
