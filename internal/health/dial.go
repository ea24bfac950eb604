package health

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/carillon-sip/carillon/internal/sip"
)

const (
	// silenceIsGood is how long a UDP monitor that expects no answer waits for an ICMP error, or receive_timeout if that is shorter.
	silenceIsGood = time.Second
	// maxStream is how much is read of a TCP connection for one SIP response.
	maxStream = 16 << 10
)

// dialer sends probes with a socket and a goroutine for each: TCP, UDP, and SIP over TCP.
type dialer struct{ l *loop }

func (p *dialer) retransmits() bool        { return false }
func (p *dialer) ownSocket() bool          { return true }
func (p *dialer) sweep(map[netip.Addr]int) {}

func (p *dialer) send(c *check) outcome {
	d := dial{mon: c.mon, addr: c.addr, local: c.local, name: c.name, run: c.run, deadline: c.started.Add(c.mon.Timeout), userAgent: p.l.cfg.UserAgent}
	ctx, cancel := context.WithDeadline(context.Background(), d.deadline)
	c.cancel = cancel
	p.l.wg.Add(1)
	go func() {
		defer p.l.wg.Done()
		defer cancel()
		out := d.probe(ctx)
		if !errors.Is(ctx.Err(), context.Canceled) {
			p.l.post(event{kind: answered, run: d.run, at: time.Now(), out: out})
		}
	}()
	return outcome{}
}

// dial is one probe with a socket of its own.
type dial struct {
	mon      *Monitor
	addr     netip.AddrPort
	local    netip.AddrPort
	name     string
	run      uint64
	deadline time.Time

	userAgent string
}

// probe does it all. It ends early when ctx is cancelled, and what it returns then does not matter.
func (d *dial) probe(ctx context.Context) outcome {
	conn, err := d.connect(ctx)
	if err != nil {
		return dialFailed(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if d.mon.TLS != nil {
		secure := tls.Client(conn, d.mon.TLS.Toward(d.name, d.addr.Addr()))
		if err := secure.HandshakeContext(ctx); err != nil {
			return secureFailed(err)
		}
		conn = secure
	}
	switch d.mon.Type {
	case UDP:
		return d.udp(conn.(*net.UDPConn))
	case TCP:
		return d.tcp(conn)
	}
	return d.sip(conn)
}

func (d *dial) connect(ctx context.Context) (net.Conn, error) {
	nd := net.Dialer{KeepAlive: -1, Control: dialControl}
	network, bound := "tcp", !d.local.Addr().IsUnspecified()
	if d.mon.Type == UDP {
		network = "udp"
	}
	switch {
	case bound && network == "udp":
		nd.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.local.Addr(), 0))
	case bound:
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.local.Addr(), 0))
	}
	return nd.DialContext(ctx, network, d.addr.String())
}

func dialFailed(err error) outcome {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return outcome{code: ConnectionTimeout}
	}
	return errOutcome(err, ConnectionError)
}

// secureFailed judges a handshake that came to nothing.
func secureFailed(err error) outcome {
	var op *net.OpError // of the network, or an alert
	var alert tls.AlertError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return outcome{code: PayloadTimeout, detail: "TLS was begun and not finished"}
	case errors.Is(err, io.EOF), errors.As(err, &op) && !errors.As(err, &alert):
		return closedEarly(err)
	}
	return outcome{code: SSLError, detail: err.Error()}
}

// verdict judges what has been read so far; done says whether that settles it.
func (d *dial) verdict(b []byte) (out outcome, done bool) {
	switch {
	case d.mon.Maintenance != "" && holds(b, d.mon.Maintenance):
		return outcome{code: MaintenanceMatch, detail: shown(b)}, true
	case holds(b, d.mon.Response):
		return outcome{}, true
	}
	return outcome{code: PayloadContentMismatch, detail: "answered " + shown(b)}, len(b) >= lookedAt
}

// tcp sends and reads what the monitor says. With no text to look for, the connection, and that it took the request, is enough.
func (d *dial) tcp(conn net.Conn) outcome {
	if d.mon.Request != "" {
		if _, err := conn.Write([]byte(d.mon.Request)); err != nil {
			return errOutcome(err, PayloadTimeout)
		}
	}
	if d.mon.Response == "" && d.mon.Maintenance == "" {
		return outcome{}
	}
	var buf [lookedAt]byte
	n, out := 0, outcome{}
	for {
		m, err := conn.Read(buf[n:])
		n += m
		if m > 0 {
			var done bool
			if out, done = d.verdict(buf[:n]); done {
				return out
			}
		}
		switch {
		case err == nil:
		case n > 0:
			return out
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return closedEarly(err)
		case d.mon.Response == "":
			return outcome{silent: true} // not in maintenance, and no answer was asked for
		default:
			return outcome{code: PayloadTimeout}
		}
	}
}

func closedEarly(err error) outcome {
	out := errOutcome(err, ConnectionReset)
	if out.code == ConnectionReset {
		out.detail = "closed before it answered"
	}
	return out
}

// udp sends the request, once: who knows what sending it twice would do. Without a text to look for, silence is good.
func (d *dial) udp(conn *net.UDPConn) outcome {
	expects := d.mon.Response != ""
	if !expects {
		until := time.Now().Add(silenceIsGood)
		if until.Before(d.deadline) {
			conn.SetReadDeadline(until)
		} else {
			conn.SetReadDeadline(d.deadline)
		}
	}
	// Write would drop an empty datagram.
	if _, _, err := conn.WriteMsgUDPAddrPort([]byte(d.mon.Request), nil, netip.AddrPort{}); err != nil {
		return d.udpFailed(err)
	}
	var buf [lookedAt]byte
	last := outcome{code: NoResponse}
	for {
		n, err := conn.Read(buf[:])
		switch {
		case err == nil:
			var done bool
			if last, done = d.verdict(buf[:n]); done {
				return last
			}
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return d.udpFailed(err)
		case !expects:
			return outcome{silent: true}
		default:
			return last
		}
	}
}

func (d *dial) udpFailed(err error) outcome {
	out := errOutcome(err, ConnectionError)
	if out.code == ConnectionRefused {
		out.code, out.detail = PortUnreachable, "ICMP: "+out.detail
	}
	return out
}

// sip sends OPTIONS over a connection and reads to the final response.
func (d *dial) sip(conn net.Conn) outcome {
	o := options{mon: d.mon, to: d.addr, via: plain(conn.LocalAddr().(*net.TCPAddr).AddrPort()), run: d.run, userAgent: d.userAgent}
	if _, err := conn.Write(o.append(nil)); err != nil {
		return errOutcome(err, PayloadTimeout)
	}
	buf, n := make([]byte, maxStream), 0
	var msg sip.Msg
	for {
		m, err := conn.Read(buf[n:])
		n += m
		for {
			out, used, done := d.message(&msg, buf[:n])
			if done {
				return out
			}
			if used == 0 {
				break
			}
			n = copy(buf, buf[used:n])
		}
		switch {
		case n == len(buf):
			return outcome{code: PayloadContentMismatch, detail: "response too long: " + shown(buf)}
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && n == 0:
			return outcome{code: NoResponse}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return outcome{code: PayloadTimeout, detail: "not all of a message came: " + shown(buf[:n])}
		default:
			return closedEarly(err)
		}
	}
}

// message looks at the first message in b, framed by its Content-Length (RFC 3261 section 18.3): how many octets it takes up, 0 if it is
// not all there, and if it is the final response to the probe, the outcome.
func (d *dial) message(msg *sip.Msg, b []byte) (out outcome, used int, done bool) {
	if skip := len(b) - len(bytes.TrimLeft(b, "\r\n")); skip > 0 {
		return outcome{}, skip, false // keep-alive: RFC 3261 section 7.5
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return outcome{}, 0, false
	}
	end += 4
	fault := msg.Parse(b[:end])
	if fault != sip.NoFault && msg.NVia == 0 {
		return outcome{code: PayloadContentMismatch, detail: "answered what is not SIP (" + fault.String() + "): " + shown(b)}, 0, true
	}
	whole := end + max(msg.ContentLength, 0)
	if len(b) < whole && len(b) < maxStream {
		return outcome{}, 0, false
	}
	whole = min(whole, len(b))
	if msg.IsRequest || msg.NVia == 0 || msg.Status < 200 || msg.CSeqMethod != sip.Options {
		return outcome{}, whole, false
	}
	if run, ok := runOf(msg.Bytes(msg.Via[0].Branch)); !ok || run != d.run {
		return outcome{}, whole, false
	}
	msg.Buf = b[:whole] // the text that is looked for may be in the body
	return judgeResponse(d.mon, msg), whole, true
}
