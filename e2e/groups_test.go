package e2e

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// party is a balancer, servers of ours by name, and callers.
type party struct {
	t       *testing.T
	b       *lab.Balancer
	edge    *lab.Edge
	servers map[string]*lab.Callee
	rounds  int
}

// startParty starts a pool for each list of servers, that is "pool: server server", with further fields by pool.
func startParty(t *testing.T, setup lab.Setup, over string, pools ...lab.EdgePool) *party {
	t.Helper()
	lab.Require(t, "sipp")
	p := &party{t: t, servers: make(map[string]*lab.Callee)}
	for i := range pools {
		pools[i].Over = over
		for k := range pools[i].Servers {
			s := &pools[i].Servers[k]
			s.Addr = lab.Addr(t, fmt.Sprintf("127.0.0.%d", 11+len(p.servers)))
			p.servers[s.Name] = lab.StartCallee(t, over, s.Addr, nil)
		}
	}
	p.edge = &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Pools: pools, Profile: "transaction_timeout: 2",
		More: "HealthMonitor: [{name: options, type: sip, send_interval: 2, receive_timeout: 1, failed_checks: 3, sip_monitor: {}}]\n"}
	p.b = p.edge.Start(t, setup)
	p.b.AwaitServers(len(p.servers))
	return p
}

// called makes names of servers.
func called(names ...string) (out []lab.PoolServer) {
	for _, n := range names {
		out = append(out, lab.PoolServer{Name: n})
	}
	return out
}

// caller starts calls at a rate.
func (p *party) caller(calls, rate int) *lab.SIPp {
	p.t.Helper()
	p.rounds++
	return lab.StartSIPp(p.t, lab.SIPpSpec{Name: fmt.Sprintf("caller%d", p.rounds), Scenario: "caller", Local: lab.Addr(p.t, "127.0.0.2"), Remote: p.b.Addr,
		Calls: calls, Rate: rate, T1: lab.Patient})
}

// calls places calls, each of which must succeed, and tells how many of them each server got.
func (p *party) calls(n, rate int) map[string]int {
	p.t.Helper()
	before := p.count()
	finishCalls(p.t, p.caller(n, rate), n)
	got := p.count()
	for name := range got {
		got[name] -= before[name]
	}
	return got
}

func (p *party) count() map[string]int {
	out := make(map[string]int)
	for name, s := range p.servers {
		out[name] = s.Calls()
	}
	return out
}

// revive starts a server again that was stopped.
func (p *party) revive(name string) {
	p.t.Helper()
	p.servers[name] = lab.StartCallee(p.t, "udp", p.servers[name].Addr, nil)
}

// expectShare checks that part of n calls went somewhere: 5.5 deviations are allowed, which chance takes once in ten million.
func expectShare(t *testing.T, what string, got, n int, want float64) {
	t.Helper()
	t.Logf("%s: %d of %d calls, %.1f %% are its share", what, got, n, 100*want)
	if allowed := 5.5 * math.Sqrt(float64(n)*want*(1-want)); math.Abs(float64(got)-want*float64(n)) > allowed {
		t.Errorf("%s got %d of %d calls; %.0f +- %.0f expected", what, got, n, want*float64(n), allowed)
	}
}

// A pool group under calls: the highest priority takes them by ratio; when one of its pools has fewer servers than
// min_servers_up the other takes all, when both have, the backup; and they go back. No call fails.
func TestPoolGroup(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no pool groups")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	const monitored = "health_monitor_refs: [options]"
	p := startParty(t, lab.Setup{}, "udp",
		lab.EdgePool{Name: "one", Member: `priority_label: "10"`, Fields: monitored + ", min_servers_up: 2", Servers: called("a1", "a2")},
		lab.EdgePool{Name: "three", Member: `priority_label: "10", ratio: 3`, Fields: monitored, Servers: called("b1")},
		lab.EdgePool{Name: "backup", Member: `priority_label: "5"`, Fields: monitored, Servers: called("c1", "c2")})
	const n, rate = 600, 600
	got := p.calls(n, rate)
	expectShare(t, "the pool with ratio 1", got["a1"]+got["a2"], n, 0.25)
	expectShare(t, "the pool with ratio 3", got["b1"], n, 0.75)
	expectNone(t, "all are up", got, "c1", "c2")

	p.servers["a1"].Stop()
	p.awaitShare("one", 0)
	got = p.calls(n, rate)
	expectNone(t, "the first pool has one server, of two that must be up", got, "a1", "a2", "c1", "c2")

	p.servers["b1"].Stop()
	p.awaitShare("backup", 1)
	got = p.calls(n, rate)
	expectNone(t, "both pools of the priority are down", got, "a1", "a2", "b1")
	expectShare(t, "one server of the backup", got["c1"], n, p.share("backup", "c1"))

	p.revive("b1")
	p.awaitShare("three", 1)
	got = p.calls(n, rate)
	expectNone(t, "a pool of the first priority is back", got, "a1", "a2", "c1", "c2")

	p.revive("a1")
	p.awaitShare("one", 0.25)
	got = p.calls(n, rate)
	expectShare(t, "the pool with ratio 1, with both servers again", got["a1"]+got["a2"], n, 0.25)
	expectNone(t, "both pools are back", got, "c1", "c2")
}

// awaitShare waits until a pool of the group gets a share of new calls.
func (p *party) awaitShare(pool string, want float64) {
	p.t.Helper()
	lab.Until(p.t, fmt.Sprintf("pool %s gets %g of the calls", pool, want), func() bool {
		return math.Abs(p.b.Sum("pool_group_share", fmt.Sprintf(`pool="%s"`, pool))-want) < 0.01
	})
}

// share is a server's part of the calls of its pool.
func (p *party) share(pool, server string) float64 {
	return p.b.Sum("server_share", `pool="`+pool+`"`, `server="`+p.servers[server].Addr.String()+`"`)
}

func expectNone(t *testing.T, when string, got map[string]int, servers ...string) {
	t.Helper()
	for _, s := range servers {
		if got[s] > 0 {
			t.Errorf("%s: %s got %d calls", when, s, got[s])
		}
	}
}

// mayBeLate is how many refusals may go to the caller: a request is stored for a second, and on a machine that stands still
// for longer it cannot be sent elsewhere any more.
const mayBeLate = 5

// Servers that answer with codes of server_reselect lose the call to the next, as often as num_retries says; a challenge is
// nobody's to take away.
func TestServerReselect(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no server_reselect")
	}
	t.Parallel()
	p := startParty(t, lab.Setup{}, "udp", lab.EdgePool{Name: "pool", Servers: called("a", "b", "c"), Fields: "retry_budget_percent: 100, inline_health_monitor: false, " +
		"server_reselect: {enabled: true, num_retries: 2, svr_resp_code: {codes: [480], ranges: [{begin: 500, end: 599}]}}"})
	const n = 300
	p.servers["a"].Do(lab.Conduct{Final: "480 Temporarily Unavailable"})
	p.servers["b"].Do(lab.Conduct{Final: "500 Server Internal Error"})
	caller := p.caller(n, 150)
	if tally := caller.Finish(loadLimit); tally.Failed > mayBeLate {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
	got := p.count()
	if got["c"] < n-mayBeLate {
		t.Errorf("the only good server got %d of %d calls", got["c"], n)
	}
	for _, s := range []string{"a", "b"} {
		if got[s] < n/3 { // a third as the first choice, and half of the other's as the second
			t.Errorf("%s was tried with %d of %d calls", s, got[s], n)
		}
	}
	if moved := p.b.Sum("virtual_service_messages_total", `reason="failed_over_code"`); moved < n*2/3-5*math.Sqrt(n) {
		t.Errorf("%g calls were moved for a code", moved)
	}
	// 404 and 401 are not in the list and end the call where it is: each call reaches one server.
	for name, s := range p.servers {
		s.Do(lab.Conduct{Final: map[string]string{"a": "404 Not Found", "b": "401 Unauthorized", "c": "486 Busy Here"}[name]})
	}
	before := p.count()
	tally := p.caller(90, 90).Finish(time.Minute)
	if tally.Failed != 90 {
		t.Errorf("SIPp: %+v, want 90 calls that fail", tally)
	}
	total := 0
	for name, c := range p.count() {
		total += c - before[name]
	}
	if total != 90 {
		t.Errorf("90 calls reached servers %d times", total)
	}
}

// A slow server under load gets fewer calls, where calls go by load or response time, and all servers the same where they
// take turns.
func TestSlowServerGetsLess(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no such algorithms")
	}
	t.Parallel()
	const n, rate = 800, 200
	for _, c := range []struct {
		algorithm string
		most      float64 // share of the slow one; a ninth is that it is both of two that are drawn
	}{{"round-robin", 0.36}, {"least-load", 0.27}, {"fastest-response", 0.27}} {
		t.Run(c.algorithm, func(t *testing.T) {
			t.Parallel()
			p := startParty(t, lab.Setup{}, "udp", lab.EdgePool{Name: "pool", Servers: called("a", "b", "slow"), Fields: "inline_health_monitor: false, lb_algorithm: " + c.algorithm})
			p.servers["slow"].Do(lab.Conduct{After: 400 * time.Millisecond})
			got := p.calls(n, rate)
			share := float64(got["slow"]) / n
			t.Logf("the slow server got %.1f %% of the calls", 100*share)
			if share > c.most || c.algorithm == "round-robin" && share < 0.3 {
				t.Errorf("the slow server got %.1f %% of the calls, at most %.1f %% expected", 100*share, 100*c.most)
			}
			if got["slow"] == 0 {
				t.Error("the slow server got no call: nobody would notice when it is quick again")
			}
		})
	}
}
