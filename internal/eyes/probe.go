package eyes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// Times of a probe: a request goes again like that of a client (RFC 3261 17.1.2).
const (
	probeFirst = 500 * time.Millisecond
	probeAll   = 4 * time.Second
)

// probes sends an OPTIONS and a REGISTER through a service.
func (d *doctor) probes(ctx context.Context, v *report.Service) {
	i := slices.IndexFunc(v.Listeners, func(l report.Listener) bool { return l.Transport == "" || l.Transport == "udp" })
	if i < 0 {
		if len(v.Listeners) > 0 {
			d.note("skipped", "OPTIONS and REGISTER through "+v.Name, "", "it does not listen on UDP, and probes know nothing else")
		}
		return
	}
	to := v.Listeners[i].Addr
	if to.Addr().IsUnspecified() {
		loop := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if to.Addr().Is6() {
			loop = netip.IPv6Loopback()
		}
		to = netip.AddrPortFrom(loop, to.Port())
	}
	for _, method := range []string{"OPTIONS", "REGISTER"} {
		name := method + " through " + v.Name
		start := time.Now()
		status, phrase, err := probe(ctx, to, method, d.o.User)
		took := time.Since(start).Round(100 * time.Microsecond)
		switch {
		case err != nil:
			d.note("bad", name, "'carillon trace --source ... ' shows whether it comes in; a firewall may drop UDP to "+to.String()+".", "%v", err)
		case status == 503 || status == 500 || status == 408 || status == 504:
			d.note("bad", name, "No server took it: 'carillon top' shows which are up, 'carillon explain' why.", "%d %s after %s", status, phrase, took)
		case status >= 200 && status < 300, status == 401, status == 407, status == 403, status == 404, status == 405, status == 423, status == 480, status == 603:
			d.ok(name, "%d %s after %s", status, phrase, took)
		default:
			d.note("warn", name, "A server, or the balancer, did not like it; 'carillon trace --method "+method+"' shows who.", "%d %s after %s", status, phrase, took)
		}
	}
}

// probe sends a request and waits for its final response.
func probe(ctx context.Context, to netip.AddrPort, method, user string) (status int, phrase string, err error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	request := probeText(method, user, local, to)
	end := time.Now().Add(probeAll)
	buf := make([]byte, 65536)
	for again := probeFirst; time.Now().Before(end) && ctx.Err() == nil; again *= 2 {
		if _, err := conn.Write([]byte(request)); err != nil {
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
				return 0, "", fmt.Errorf("nobody listens on %s: %w", to, err)
			}
			if status, phrase, ok := statusOf(string(buf[:n])); ok && status >= 200 {
				return status, phrase, nil
			}
		}
	}
	return 0, "", fmt.Errorf("no answer from %s within %s", to, probeAll)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func probeText(method, user string, local, to netip.AddrPort) string {
	id := rand.Text()
	uri := "sip:" + user + "@" + to.String() // with a user: one without is for the balancer itself
	if method == "REGISTER" {
		uri = "sip:" + to.String()
	}
	address := "<sip:" + user + "@" + to.String() + ">"
	extra := ""
	if method == "REGISTER" {
		extra = "Contact: <sip:" + user + "@" + local.String() + ">\r\nExpires: 0\r\n"
	}
	return method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP " + local.String() + ";branch=z9hG4bK" + id + ";rport\r\nMax-Forwards: 70\r\n" +
		"From: " + address + ";tag=" + id[:8] + "\r\nTo: " + address + "\r\nCall-ID: doctor-" + id + "\r\nCSeq: 1 " + method + "\r\n" + extra +
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
