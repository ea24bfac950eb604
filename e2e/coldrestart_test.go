package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// The balancer is stopped and started while calls are up. Nothing is handed over, and every call ends at its server: by the
// token in its Route or, where there is none and the Contact names no server either, by the hash of its Call-ID.
func TestColdRestart(t *testing.T) {
	if lab.StandIn() {
		t.Skip("it is about Carillon")
	}
	t.Parallel()
	for _, c := range []struct {
		name        string
		client      string
		servers     string
		recordRoute bool
		reason      string // of the BYEs
	}{
		{"by token", "u1", "udp", true, "route_token"},
		{"by hash", "u1", "udp", false, "new_call"},
		{"by token, servers over TCP", "u1", "tcp", true, "route_token"},
		{"by token, a client over TCP", "t1", "udp", true, "route_token"},
		{"by hash, over TCP", "t1", "tcp", false, "new_call"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lab.Require(t, "sipp")
			pool := lab.EdgePool{Name: "pool", Over: c.servers}
			var servers []*lab.Callee
			for i := range 3 {
				s := lab.StartCallee(t, c.servers, lab.Addr(t, fmt.Sprintf("127.0.0.%d", 11+i)), nil)
				s.Do(lab.Conduct{Keep: true, Contact: "sip:b@somewhere.example.test"})
				servers = append(servers, s)
				pool.Servers = append(pool.Servers, lab.PoolServer{Addr: s.Addr})
			}
			e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Pools: []lab.EdgePool{pool}, Profile: fmt.Sprintf("record_route: %t", c.recordRoute)}
			b := e.Start(t, lab.Setup{})
			const calls = 300
			caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: b.Addr, Calls: calls, Rate: calls,
				Hold: 8 * time.Second, Transport: c.client, T1: lab.Patient, Args: []string{"-max_reconnect", "1000", "-reconnect_close", "false", "-reconnect_sleep", "50"}})
			lab.Until(t, "all calls are up", func() bool { return countOf(servers, "ACK") == calls })
			if n := countOf(servers, "BYE"); n > 0 {
				t.Fatalf("%d calls have ended before the restart", n)
			}
			b.Restart()
			want := calls
			if c.client == "t1" {
				want-- // SIPp loses the message by which it finds the connection gone
			}
			if tally := caller.Finish(loadLimit); tally.Succeeded < want {
				t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
			}
			if n := b.Sum("virtual_service_messages_total", fmt.Sprintf("reason=%q", c.reason)); int(n) < want {
				t.Errorf("after the restart %g messages found their server as %s, of %d", n, c.reason, want)
			}
			where := make(map[string]*lab.Callee)
			for _, s := range servers {
				if s.Calls() == 0 {
					t.Errorf("%v had no call: the test shows nothing", s.Addr)
				}
				for _, m := range s.Messages() {
					if where[m.CallID] != nil && where[m.CallID] != s {
						t.Fatalf("%s of %s went to %v, of a call at %v", m.Method(), m.CallID, s.Addr, where[m.CallID].Addr)
					}
					where[m.CallID] = s
				}
			}
			if n := countOf(servers, "BYE"); n < want || len(where) != calls {
				t.Errorf("%d of %d calls ended at a server", n, len(where))
			}
		})
	}
}

// countOf is of how many calls servers have got a request of a method.
func countOf(servers []*lab.Callee, method string) int {
	calls := make(map[string]bool)
	for _, s := range servers {
		for _, m := range s.Messages() {
			if m.Method() == method {
				calls[m.CallID] = true
			}
		}
	}
	return len(calls)
}
