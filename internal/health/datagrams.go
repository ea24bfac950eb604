package health

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"github.com/carillon-sip/carillon/internal/transport"
)

// sipUDP sends SIP probes over UDP from one socket of its own for each local address.
type sipUDP struct {
	l     *loop
	socks map[netip.Addr]*transport.Socket
	out   *transport.Out
}

func newSIPUDP(l *loop) *sipUDP {
	return &sipUDP{l: l, socks: map[netip.Addr]*transport.Socket{}, out: transport.NewOut(optionsRoom, 1)}
}

func (p *sipUDP) retransmits() bool { return true }
func (p *sipUDP) ownSocket() bool   { return false }

func (p *sipUDP) send(c *check) outcome {
	s, err := p.socket(c.local.Addr())
	if err != nil {
		return outcome{code: ProbeNotSent, detail: err.Error()}
	}
	via, out := c.sentBy(s.LocalAddr().Port())
	if out.code != Success {
		return out
	}
	o := options{mon: c.mon, to: c.addr, via: via, run: c.run, userAgent: p.l.cfg.UserAgent}
	p.out.Add(o.append(p.out.Room(optionsRoom)), c.addr, netip.Addr{}, 0)
	if p.flush(s) == 0 {
		c.sent = true
		return outcome{}
	}
	return sendFailed(p.out.Failures()[0].Errno)
}

// flush sends what is queued and returns how many datagrams did not leave. With a socket that many destinations share, an error may be
// an ICMP error of another, reported once to whoever sends next: so it is tried again.
func (p *sipUDP) flush(s *transport.Socket) int {
	n := s.Flush(p.out)
	for try := 0; n > 0 && try < 2; try++ {
		f := p.out.Failures()[0]
		p.out.Add(f.Data, f.To, netip.Addr{}, 0)
		n = s.Flush(p.out)
	}
	return n
}

// sendFailed is the outcome of a send that failed with e, where retransmissions follow. For want of buffers it is as if the datagram
// was lost on the way; all else ends the check.
func sendFailed(e syscall.Errno) outcome {
	switch e {
	case syscall.EAGAIN, syscall.ENOBUFS, syscall.ENOMEM:
		return outcome{}
	case syscall.ECONNREFUSED:
		return outcome{} // not of this datagram, which has not been anywhere yet
	}
	return outcomeOf(e, PortUnreachable)
}

// socket returns the socket bound to a local address.
func (p *sipUDP) socket(local netip.Addr) (*transport.Socket, error) {
	if s := p.socks[local]; s != nil {
		return s, nil
	}
	socks, err := transport.ListenUDP(netip.AddrPortFrom(local, 0), 1, transport.Options{Spin: -1, NoGSO: true})
	if err != nil {
		return nil, err
	}
	in, err := transport.NewBatch(receiveBatch)
	if err != nil {
		return nil, errors.Join(err, socks[0].Close())
	}
	s := socks[0]
	p.socks[local] = s
	p.l.wg.Add(1)
	go p.l.receive(s, in)
	return s, nil
}

// receiveBatch is how many responses are read from a socket at once.
const receiveBatch = 8

// receive hands what comes in on s to the loop, until s is closed.
func (l *loop) receive(s *transport.Socket, in *transport.Batch) {
	defer l.wg.Done()
	defer in.Close()
	for {
		_, err := s.Recv(in, time.Hour)
		if err != nil {
			return
		}
		at := time.Now()
		for s.ErrPending() {
			ie, ok := s.RecvErr(nil)
			if !ok {
				break
			}
			if !l.post(event{kind: unreachable, from: ie.Dest, at: at, out: icmpOutcome(ie)}) {
				return
			}
		}
		for in.Next() {
			d := in.Datagram()
			buf := buffers.Get().(*buffer)
			buf.n = copy(buf.data[:], d.Data)
			if !l.post(event{kind: datagram, from: d.From, at: at, buf: buf}) {
				return
			}
		}
	}
}

// post hands e to the loop and says whether it took it: not after Close.
func (l *loop) post(e event) bool {
	select {
	case l.events <- e:
		return true
	case <-l.stop:
		return false
	}
}

func icmpOutcome(ie transport.ICMPError) outcome {
	out := outcomeOf(ie.Errno, PortUnreachable)
	out.detail = "ICMP: " + out.detail
	if ie.Offender.IsValid() && ie.Offender != ie.Dest.Addr() {
		out.detail += ", says " + ie.Offender.String()
	}
	return out
}

func (p *sipUDP) sweep(inUse map[netip.Addr]int) {
	for local, s := range p.socks {
		if inUse[local] == 0 {
			s.Close()
			delete(p.socks, local)
		}
	}
}

// sipSender sends SIP probes over UDP from the engine's sockets.
type sipSender struct {
	l    *loop
	room []byte
}

func (p *sipSender) retransmits() bool        { return true }
func (p *sipSender) ownSocket() bool          { return false }
func (p *sipSender) sweep(map[netip.Addr]int) {}

func (p *sipSender) send(c *check) outcome {
	via, out := c.sentBy(c.local.Port())
	if out.code != Success {
		return out
	}
	o := options{mon: c.mon, to: c.addr, via: via, run: c.run, userAgent: p.l.cfg.UserAgent}
	p.room = o.append(p.room[:0])
	err := p.l.cfg.Sender(c.local, c.addr, p.room)
	if err == nil {
		c.sent = true
		return outcome{}
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		return sendFailed(e)
	}
	return outcome{code: ProbeNotSent, detail: err.Error()}
}

// sentBy returns what the Via of c says we send from: the local address, or where that is left to the kernel, what the routing table
// has for the server. It is asked once, and again after a failed check.
func (c *check) sentBy(port uint16) (netip.AddrPort, outcome) {
	if a := c.local.Addr(); !a.IsUnspecified() {
		return netip.AddrPortFrom(a, port), outcome{}
	}
	if !c.route.IsValid() {
		a, err := transport.LocalAddrFor(c.addr.Addr())
		if err != nil {
			return netip.AddrPort{}, errOutcome(err, ServerUnreachable)
		}
		c.route = a
	}
	return netip.AddrPortFrom(c.route, port), outcome{}
}

// outcomeOf is the failure that the kernel's errno stands for; refused is the code for ECONNREFUSED.
func outcomeOf(e syscall.Errno, refused Code) outcome {
	code := ConnectionError
	switch e {
	case syscall.ECONNREFUSED:
		code = refused
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EPROTO, syscall.EACCES, syscall.EPERM:
		code = ServerUnreachable
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		code = ConnectionReset
	case syscall.ETIMEDOUT:
		code = ConnectionTimeout
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EAGAIN, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE:
		code = ProbeNotSent
	}
	return outcome{code: code, detail: e.Error()}
}

// errOutcome is the failure that err stands for, otherwise if there is no errno in it.
func errOutcome(err error, otherwise Code) outcome {
	var e syscall.Errno
	if errors.As(err, &e) {
		return outcomeOf(e, ConnectionRefused)
	}
	return outcome{code: otherwise, detail: err.Error()}
}
