package eyes

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// Times of a probe: a datagram goes again like that of a client (RFC 3261 17.1.2).
const (
	probeFirst = 500 * time.Millisecond
	probeAll   = 4 * time.Second
	// maxProbes is how many listeners are probed at a time.
	maxProbes = 16
	// maxProbeBody bounds the body of an answer.
	maxProbeBody = 1 << 20
)

// probes sends an OPTIONS and a REGISTER through each listener of a service.
func (d *doctor) probes(ctx context.Context, v *report.Service) {
	found := make([][]Finding, len(v.Listeners))
	room := make(chan struct{}, maxProbes)
	var wg sync.WaitGroup
	for i := range v.Listeners {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			found[i] = d.through(ctx, v, &v.Listeners[i])
		})
	}
	wg.Wait()
	for _, list := range found {
		d.found = append(d.found, list...)
	}
}

// through probes one listener.
func (d *doctor) through(ctx context.Context, v *report.Service, l *report.Listener) []Finding {
	transport := l.Transport
	if transport == "" {
		transport = "udp"
	}
	out := &doctor{e: d.e}
	to := l.Addr
	if a := to.Addr(); a.IsUnspecified() || a.IsLoopback() {
		if at := d.places[l.Engine]; !at.here {
			out.note("skipped", fmt.Sprintf("%s %s of %s", transport, l.Addr, v.Name), "Run doctor on the machine of engine "+l.Engine+".", "its address is reached on its own machine only%s", at.because())
			return out.found
		}
	}
	if to.Addr().IsUnspecified() {
		loop := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if to.Addr().Is6() {
			loop = netip.IPv6Loopback()
		}
		to = netip.AddrPortFrom(loop, to.Port())
	}
	if transport == "tls" && !out.certificate(ctx, v.Name, d.fqdns[path.Base(v.Name)], to) {
		return out.found
	}
	for _, method := range []string{"OPTIONS", "REGISTER"} {
		name := fmt.Sprintf("%s through %s, %s %s", method, v.Name, transport, to)
		start := time.Now()
		p := &probe{method: method, user: d.o.User, transport: transport, to: to}
		status, phrase, err := p.run(ctx)
		out.judge(name, method, p, status, phrase, err, time.Since(start).Round(100*time.Microsecond))
	}
	return out.found
}

func (d *doctor) judge(name, method string, p *probe, status int, phrase string, err error, took time.Duration) {
	switch {
	case err != nil && p.transport == "udp":
		d.note("bad", name, "'carillon trace --source "+p.local.Addr().String()+"' shows whether it comes in, and which server does not answer; a firewall may drop UDP to "+p.to.String()+".", "%v", err)
	case err != nil:
		d.note("bad", name, "'carillon shell -c \"show virtualservice NAME tcpstat\"' counts connections and why they ended; 'carillon trace --source "+p.local.Addr().String()+"' shows which server does not answer; a firewall may drop TCP to "+p.to.String()+".", "%v", err)
	case status == 503 || status == 500 || status == 408 || status == 504:
		d.note("bad", name, "No server took it: 'carillon top' shows which are up, 'carillon explain' why.", "%d %s after %s", status, phrase, took)
	case status >= 200 && status < 300, status == 401, status == 407, status == 403, status == 404, status == 405, status == 423, status == 480, status == 603:
		d.ok(name, "%d %s after %s", status, phrase, took)
	default:
		d.note("warn", name, "A server, or the balancer, did not like it; 'carillon trace --method "+method+"' shows who.", "%d %s after %s", status, phrase, took)
	}
}

// soon is how long before its end a certificate is worth a thought.
const soon = 30 * 24 * time.Hour

// certificate looks at the certificate of a listener. It reports whether TLS is there to go on with.
func (d *doctor) certificate(ctx context.Context, service, fqdn string, to netip.AddrPort) bool {
	name := fmt.Sprintf("certificate of %s, %s", service, to)
	ctx, cancel := context.WithTimeout(ctx, probeAll)
	defer cancel()
	conn, err := dialTLS(ctx, to, fqdn)
	if err != nil {
		d.note("bad", name, "'openssl s_client -connect "+to.String()+"' tells more.", "no TLS: %v", err)
		return false
	}
	defer conn.Close()
	list := conn.ConnectionState().PeerCertificates
	d.judgeCertificate(name, list[0], fqdn, time.Now())
	return true
}

func (d *doctor) judgeCertificate(name string, c *x509.Certificate, fqdn string, now time.Time) {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{"CN=" + c.Subject.CommonName + ", which no client looks at"}
	}
	says := fmt.Sprintf("is for %s, signed by %s, until %s", strings.Join(names, ", "), c.Issuer.CommonName, c.NotAfter.UTC().Format(time.DateTime))
	mend := "Put another one in: configure sslkeyandcertificate, certificate and key as file:/path."
	left := c.NotAfter.Sub(now)
	switch {
	case left < 0:
		d.note("bad", name, mend, "%s: it ended %d days ago, and clients refuse it", says, int(-left/(24*time.Hour)))
	case now.Before(c.NotBefore):
		d.note("bad", name, mend+" Or this machine's clock is wrong.", "%s: it begins at %s only", says, c.NotBefore.UTC().Format(time.DateTime))
	case fqdn != "" && c.VerifyHostname(fqdn) != nil:
		d.note("bad", name, mend+" Or change fqdn of the virtual service.", "%s: it is not for %s, which callers dial", says, fqdn)
	case left < soon:
		d.note("warn", name, mend, "%s: %d days are left", says, int(left/(24*time.Hour)))
	default:
		d.ok(name, "%s: %d days are left", says, int(left/(24*time.Hour)))
	}
}

func dialTLS(ctx context.Context, to netip.AddrPort, fqdn string) (*tls.Conn, error) {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, ServerName: fqdn}} // it is looked at, whatever it is
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// probe is one request, and where it goes.
type probe struct {
	method, user, transport string
	to                      netip.AddrPort
	local                   netip.AddrPort // valid once it has begun
}

// run sends the request and waits for its final response.
func (p *probe) run(ctx context.Context) (status int, phrase string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeAll)
	defer cancel()
	var conn net.Conn
	if p.transport == "tls" {
		conn, err = dialTLS(ctx, p.to, "")
	} else {
		var d net.Dialer
		conn, err = d.DialContext(ctx, p.transport, p.to.String())
	}
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	p.local, err = netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return 0, "", err
	}
	if p.transport == "udp" {
		return p.datagrams(ctx, conn)
	}
	end, _ := ctx.Deadline()
	if err := conn.SetDeadline(end); err != nil {
		return 0, "", err
	}
	if _, err := io.WriteString(conn, p.text()); err != nil {
		return 0, "", err
	}
	status, phrase, err = firstFinal(bufio.NewReader(conn))
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return 0, "", fmt.Errorf("no answer from %s within %s", p.to, probeAll)
	case errors.Is(err, io.EOF):
		return 0, "", fmt.Errorf("%s has closed the connection without an answer", p.to)
	}
	return status, phrase, err
}

func (p *probe) datagrams(ctx context.Context, conn net.Conn) (status int, phrase string, err error) {
	end, _ := ctx.Deadline()
	request, buf := []byte(p.text()), make([]byte, 65536)
	for again := probeFirst; time.Now().Before(end) && ctx.Err() == nil; again *= 2 {
		if _, err := conn.Write(request); err != nil {
			return 0, "", err
		}
		if err := conn.SetReadDeadline(earlier(time.Now().Add(again), end)); err != nil {
			return 0, "", err
		}
		for {
			n, err := conn.Read(buf)
			if err != nil {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					break
				}
				return 0, "", fmt.Errorf("nobody listens on %s: %w", p.to, err)
			}
			if status, phrase, ok := statusOf(string(buf[:n])); ok && status >= 200 {
				return status, phrase, nil
			}
		}
	}
	return 0, "", fmt.Errorf("no answer from %s within %s", p.to, probeAll)
}

// firstFinal reads responses of a connection up to a final one.
func firstFinal(r *bufio.Reader) (status int, phrase string, err error) {
	for {
		start, length := "", 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return 0, "", err
			}
			line = strings.TrimRight(line, "\r\n")
			if line == "" && start != "" {
				break
			}
			if start == "" {
				start = line // empty lines before it keep the connection alive
				continue
			}
			if name, value, ok := strings.Cut(line, ":"); ok && (strings.EqualFold(strings.TrimSpace(name), "Content-Length") || strings.EqualFold(strings.TrimSpace(name), "l")) {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxProbeBody {
					return 0, "", fmt.Errorf("an answer has the Content-Length %q", strings.TrimSpace(value))
				}
			}
		}
		if _, err := r.Discard(length); err != nil {
			return 0, "", err
		}
		status, phrase, ok := statusOf(start + "\r\n")
		if !ok {
			return 0, "", fmt.Errorf("%q is no answer of SIP", clean(start[:min(len(start), 60)]))
		}
		if status >= 200 {
			return status, phrase, nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (p *probe) text() string {
	id := rand.Text()
	uri := "sip:" + p.user + "@" + p.to.String() // with a user: one without is for the balancer itself
	if p.method == "REGISTER" {
		uri = "sip:" + p.to.String()
	}
	address := "<sip:" + p.user + "@" + p.to.String() + ">"
	extra := ""
	if p.method == "REGISTER" {
		extra = "Contact: <sip:" + p.user + "@" + p.local.String() + ";transport=" + p.transport + ">\r\nExpires: 0\r\n"
	}
	return p.method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/" + strings.ToUpper(p.transport) + " " + p.local.String() + ";branch=z9hG4bK" + id + ";rport\r\nMax-Forwards: 70\r\n" +
		"From: " + address + ";tag=" + id[:8] + "\r\nTo: " + address + "\r\nCall-ID: doctor-" + id + "\r\nCSeq: 1 " + p.method + "\r\n" + extra +
		"User-Agent: carillon doctor\r\nContent-Length: 0\r\n\r\n"
}

// statusOf reads the start line of a response.
func statusOf(text string) (status int, phrase string, ok bool) {
	line, _, _ := strings.Cut(text, "\r\n")
	rest, ok := strings.CutPrefix(line, "SIP/2.0 ")
	if !ok {
		return 0, "", false
	}
	code, phrase, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	return status, phrase, err == nil
}
