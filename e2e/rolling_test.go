package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// Every server is restarted in its turn under 200 calls a second: drained, by the command or by the API, stopped once it has
// no call left, started, and enabled again. No call fails, and each server has calls again.
func TestRollingRestart(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	lab.Require(t, "sipp")
	for _, over := range []string{"udp", "tcp"} {
		t.Run("servers over "+over, func(t *testing.T) {
			t.Parallel()
			newRolling(t, over).run()
		})
	}
}

// rolling is a pool of which the servers are restarted.
type rolling struct {
	t       *testing.T
	over    string
	addrs   []netip.AddrPort
	servers []*lab.SIPp
	b       *lab.Balancer
	pool    string // uuid
}

func newRolling(t *testing.T, over string) *rolling {
	r := &rolling{t: t, over: over, addrs: lab.Addrs(t, "127.0.0.11", "127.0.0.12", "127.0.0.13")}
	pool := lab.EdgePool{Name: "pool", Over: over, Fields: "graceful_disable_timeout: -1"}
	for i, a := range r.addrs {
		r.servers = append(r.servers, r.serve(i))
		pool.Servers = append(pool.Servers, lab.PoolServer{Addr: a, Name: fmt.Sprintf("server%d", i+1)})
	}
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Profile: "transaction_timeout: 2", Pools: []lab.EdgePool{pool}}
	r.b = e.Start(t, lab.Setup{API: true})
	r.pool = r.b.API.Named("pool", "pool")["uuid"].(string)
	return r
}

func (r *rolling) serve(i int) *lab.SIPp {
	s := lab.SIPpSpec{Name: fmt.Sprintf("server%d", i+1), Scenario: "server", Local: r.addrs[i], T1: lab.Patient}
	if r.over == "tcp" {
		s.Transport = "t1"
	}
	return lab.StartSIPp(r.t, s)
}

// answered is how many 200s to INVITE and BYE a server has sent.
func (r *rolling) answered(i int) float64 {
	return r.b.Sum("server_responses_total", fmt.Sprintf(`server="%s"`, r.addrs[i]), `code="200"`)
}

func (r *rolling) run() {
	t := r.t
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: r.b.Addr, Calls: 1_000_000, Rate: 200,
		Hold: 300 * time.Millisecond, T1: lab.Patient})
	for i := range r.servers {
		lab.Until(t, fmt.Sprintf("server%d has calls", i+1), func() bool { return r.answered(i) > 50 })
	}
	for i := range r.servers {
		if i == 1 {
			r.enable(i, false)
			r.awaitEmpty(i)
		} else {
			tool := r.b.Tool("drain", "pool", r.addrs[i].String(), "--wait")
			if out, status := tool.Finish(time.Minute); status != 0 {
				t.Fatalf("drain: status %d\n%s%s", status, out, tool.Errors())
			}
		}
		if tally := r.servers[i].Quit(); tally.Failed > 0 {
			t.Errorf("server%d ended with %+v\n%s", i+1, tally, r.servers[i].Errors())
		}
		r.servers[i] = r.serve(i)
		r.enable(i, true)
		before := r.answered(i)
		lab.Until(t, fmt.Sprintf("server%d has calls again", i+1), func() bool { return r.answered(i) > before+50 })
	}
	tally := caller.Quit()
	if tally.Failed > 0 || tally.Succeeded < 500 {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
	t.Logf("SIPp: %+v", tally)
}

// enable enables or disables a server by a change of the pool.
func (r *rolling) enable(i int, on bool) {
	r.t.Helper()
	server := map[string]any{"ip": map[string]any{"addr": r.addrs[i].Addr().String(), "type": "V4"}, "port": r.addrs[i].Port(), "enabled": on,
		"hostname": fmt.Sprintf("server%d", i+1)}
	r.b.API.Do("PATCH", "/api/pool/"+r.pool+"?wait=10s", map[string]any{"add": map[string]any{"servers": []any{server}}})
}

// awaitEmpty waits until a server that drains has no call left.
func (r *rolling) awaitEmpty(i int) {
	r.t.Helper()
	lab.Until(r.t, fmt.Sprintf("server%d is empty", i+1), func() bool {
		server := r.b.API.List("/api/pool/" + r.pool + "/runtime/server?server=" + r.addrs[i].String())[0]
		return server["known_calls"] == 0.0
	})
}
