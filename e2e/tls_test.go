package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// SIPp calls over TLS on either side and on both, with one connection for all calls (l1) or one for each (ln).
func TestCallsOverTLS(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	t.Parallel()
	lab.Require(t, "sipp")
	for _, c := range []struct{ client, server string }{{"l1", "u1"}, {"ln", "u1"}, {"u1", "l1"}, {"l1", "l1"}, {"ln", "l1"}, {"t1", "l1"}, {"ln", "t1"}} {
		t.Run(c.client+" to "+c.server, func(t *testing.T) { callsBetween(t, c.client, c.server, "caller", "server", 300) })
	}
}

// The server sends a request within the call and hangs up, over each transport of the client and of its own.
func TestServerHangsUpOverStreams(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	lab.Require(t, "sipp")
	for _, client := range []string{"u1", "t1", "tn", "l1", "ln"} {
		for _, server := range []string{"u1", "t1", "l1"} {
			if client == "u1" && server == "u1" {
				continue // TestServerHangsUp
			}
			t.Run(client+" by "+server, func(t *testing.T) { callsBetween(t, client, server, "caller-hung-up", "server-hangs-up", 50) })
		}
	}
}

// callsBetween places calls of SIPp over the balancer, each of which must succeed.
func callsBetween(t *testing.T, client, server, caller, callee string, calls int) {
	cert := lab.MakeCert(t, nil, time.Now().Add(time.Hour), "example.test")
	pool := lab.EdgePool{Name: "pool", Over: map[byte]string{'u': "udp", 't': "tcp", 'l': "tls"}[server[0]]}
	for i := range 2 {
		a := lab.Addr(t, fmt.Sprintf("127.0.0.%d", 11+i))
		lab.StartSIPp(t, lab.SIPpSpec{Name: fmt.Sprintf("server%d", i+1), Scenario: callee, Local: a, Transport: server, Cert: &cert.TLS, T1: lab.Patient})
		pool.Servers = append(pool.Servers, lab.PoolServer{Addr: a})
	}
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Secure: lab.Addr(t, "127.0.0.1"), Cert: cert, Pools: []lab.EdgePool{pool}}
	b := e.Start(t, lab.Setup{})
	to := e.Listen
	if client[0] == 'l' {
		to = e.Secure
	}
	finishCalls(t, lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: caller, Local: lab.Addr(t, "127.0.0.2"), Remote: to, Calls: calls, Rate: 300,
		Hold: 20 * time.Millisecond, Transport: client, Args: []string{"-max_socket", "1000"}}), calls)
	if client[0] == 'l' {
		if n := b.Sum("tls_handshakes_total", e.Secure.String()); n == 0 || client == "ln" && n < float64(calls) {
			t.Errorf("%g handshakes", n)
		}
	}
}
