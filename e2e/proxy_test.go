package e2e

import (
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// core is the place of the balancer in an operator's network:
//
//	caller, user (SIPp) <---> proxy (Kamailio) <---> balancer <---> server1, server2, server3 (SIPp)
type core struct {
	*farm
	proxy *lab.Kamailio
}

func startCore(t *testing.T, setup lab.Setup, serverScenario string) *core {
	t.Helper()
	lab.Require(t, "sipp", "kamailio")
	setup.Listen = lab.Addrs(t, "127.0.0.1")
	f := startFarmOf(t, serverScenario, setup, "127.0.0.11", "127.0.0.12", "127.0.0.13")
	c := &core{farm: f}
	c.proxy = lab.StartKamailio(t, "proxy.cfg", lab.Addrs(t, "127.0.0.3"), map[string]string{"EDGE": strconv.Quote(f.balancer.Addr.String())})
	f.names[c.proxy.Addr] = "proxy"
	return c
}

// expectFlow checks every call against one ladder, in which "server" is whichever server has the call and 100 counts
// only where the proxy sends it. The ladder holds link by link: what happens on two links at a time has no order.
func (c *core) expectFlow(calls lab.Calls, ids []string, want []string) {
	c.t.Helper()
	faults := lab.Faults{Names: c.names}
	expected := links(want)
	for _, id := range ids {
		var got []string
		servers := make(map[string]bool)
		for _, m := range lab.Distinct(calls.ByID[id]) {
			if m.Status() == 100 && m.Src != c.proxy.Addr {
				continue
			}
			step := c.names.Step(m)
			for _, s := range []string{"server1", "server2", "server3"} {
				if strings.Contains(step, s) {
					servers[s] = true
					step = strings.ReplaceAll(step, s, "server")
				}
			}
			got = append(got, step)
		}
		if !maps.EqualFunc(links(got), expected, slices.Equal) {
			faults.Add(calls.ByID[id], "another ladder than\n\t%s", strings.Join(want, "\n\t"))
		}
		if len(servers) != 1 {
			faults.Add(calls.ByID[id], "not on one server")
		}
	}
	faults.Report(c.t)
}

// links sorts steps by the two parties they are between.
func links(steps []string) map[string][]string {
	out := make(map[string][]string)
	for _, step := range steps {
		fields := strings.Fields(step)
		ends := []string{fields[0], fields[2]}
		slices.Sort(ends)
		key := strings.Join(ends, "-")
		out[key] = append(out[key], step)
	}
	return out
}

// steps reads a ladder written as lines of "a -> b WORD"; "a <- b WORD" is the way back.
func steps(text string) []string {
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fields := strings.Fields(line)
		if fields[1] == "<-" {
			fields[0], fields[2] = fields[2], fields[0]
		}
		out = append(out, fields[0]+" -> "+fields[2]+" "+fields[3])
	}
	return out
}

// The call flow of the guide, between a proxy and application servers.
func TestCallFlowBehindProxy(t *testing.T) {
	c := startCore(t, lab.Setup{}, "server")
	l := load{calls: 20, rate: 20, hold: 50 * time.Millisecond}
	f := c.farm
	courses := f.finish(f.start(l, c.proxy.Addr), l)
	f.expectWhole(courses, l.calls)
	c.expectFlow(f.wire.Calls(), ids(courses), steps(`
		caller   -> proxy    INVITE
		caller   <- proxy    100
		proxy    -> balancer INVITE
		balancer -> server   INVITE
		balancer <- server   180
		proxy    <- balancer 180
		caller   <- proxy    180
		balancer <- server   200
		proxy    <- balancer 200
		caller   <- proxy    200
		caller   -> proxy    ACK
		proxy    -> balancer ACK
		balancer -> server   ACK
		caller   -> proxy    BYE
		proxy    -> balancer BYE
		balancer -> server   BYE
		balancer <- server   200
		proxy    <- balancer 200
		caller   <- proxy    200`))
}

func ids(courses []*lab.Course) []string {
	var out []string
	for _, c := range courses {
		out = append(out, c.ID)
	}
	return out
}

// A server sends requests within a call that a user has placed, and ends it.
func TestServerHangsUp(t *testing.T) {
	c := startCore(t, lab.Setup{}, "server-hangs-up")
	from := lab.Addr(t, "127.0.0.2")
	c.names[from] = "caller"
	caller := lab.StartSIPp(t, lab.SIPpSpec{
		Name: "caller", Scenario: "caller-hung-up", Local: from, Remote: c.proxy.Addr, Calls: 20, Rate: 20, Hold: 1,
	})
	c.expectTally(caller, 20)
	c.expectFlow(c.wire.Calls(), ids(c.courses(caller)), steps(`
		caller   -> proxy    INVITE
		caller   <- proxy    100
		proxy    -> balancer INVITE
		balancer -> server   INVITE
		balancer <- server   180
		proxy    <- balancer 180
		caller   <- proxy    180
		balancer <- server   200
		proxy    <- balancer 200
		caller   <- proxy    200
		caller   -> proxy    ACK
		proxy    -> balancer ACK
		balancer -> server   ACK
		balancer <- server   INFO
		proxy    <- balancer INFO
		caller   <- proxy    INFO
		caller   -> proxy    200
		proxy    -> balancer 200
		balancer -> server   200
		balancer <- server   BYE
		proxy    <- balancer BYE
		caller   <- proxy    BYE
		caller   -> proxy    200
		proxy    -> balancer 200
		balancer -> server   200`))
}

func (c *core) expectTally(caller *lab.SIPp, calls int) {
	c.t.Helper()
	if tally := caller.Finish(60 * time.Second); tally.Succeeded != calls || tally.Failed != 0 {
		c.t.Errorf("SIPp: %+v, want %d good calls\n%s", tally, calls, caller.Errors())
	}
}

// An application server starts calls and notifications itself: they are not balanced but go where their Route or
// Request-URI says, through the balancer.
func TestServerStartsRequests(t *testing.T) {
	c := startCore(t, lab.Setup{}, "server")
	userAddr := lab.Addr(t, "127.0.0.4")
	c.names[userAddr] = "user"
	lab.StartSIPp(t, lab.SIPpSpec{Name: "user", Scenario: "user", Local: userAddr})
	outOfCall, err := filepath.Abs("testdata/sipp/out-of-call.xml")
	if err != nil {
		t.Fatal(err)
	}
	// The server's own SIPp makes way for one that calls, on the same address: by it the balancer knows its servers.
	c.servers[0].Kill()
	start := func(scenario string, user netip.AddrPort) *lab.SIPp {
		return lab.StartSIPp(t, lab.SIPpSpec{
			Name: scenario, Scenario: scenario, Local: c.addrs[0], Remote: c.balancer.Addr, Calls: 10, Rate: 10, Hold: 1,
			Keys: map[string]string{"user": user.String(), "proxy": c.proxy.Addr.String()},
			Args: []string{"-oocsf", outOfCall},
		})
	}
	calling := start("server-calls", userAddr)
	c.expectTally(calling, 10)
	c.expectFlow(c.wire.Calls(), ids(c.courses(calling)), steps(`
		server   -> balancer INVITE
		balancer -> proxy    INVITE
		balancer <- proxy    100
		proxy    -> user     INVITE
		proxy    <- user     180
		balancer <- proxy    180
		server   <- balancer 180
		proxy    <- user     200
		balancer <- proxy    200
		server   <- balancer 200
		server   -> balancer ACK
		balancer -> proxy    ACK
		proxy    -> user     ACK
		server   -> balancer BYE
		balancer -> proxy    BYE
		proxy    -> user     BYE
		proxy    <- user     200
		balancer <- proxy    200
		server   <- balancer 200`))
	notifying := start("server-notifies", userAddr)
	c.expectTally(notifying, 10)
	calls := c.wire.Calls()
	var notified []string
	for _, id := range calls.IDs {
		if strings.HasSuffix(id, ".server-notifies@127.0.0.11") {
			notified = append(notified, id)
		}
	}
	c.expectFlow(calls, notified, steps(`
		server   -> balancer NOTIFY
		balancer -> user     NOTIFY
		balancer <- user     200
		server   <- balancer 200`))
}
