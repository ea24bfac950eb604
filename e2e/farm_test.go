package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// farm is the picture of most tests: a SIPp that calls, the balancer, and SIPps that serve.
//
//	caller 127.0.0.2 ---> balancer 127.0.0.1 ---> servers 127.0.0.11, .12, .13
type farm struct {
	t        *testing.T
	wire     *lab.Capture
	addrs    []netip.AddrPort // of the servers
	servers  []*lab.SIPp
	balancer *lab.Balancer
	scenario string // of the servers
	names    lab.Names
}

// startFarm starts a server on each of the hosts, then the balancer in front of them, all recorded.
func startFarm(t *testing.T, setup lab.Setup, hosts ...string) *farm {
	t.Helper()
	return startFarmOf(t, "server", setup, hosts...)
}

// startFarmOf is startFarm with servers that follow another scenario.
func startFarmOf(t *testing.T, scenario string, setup lab.Setup, hosts ...string) *farm {
	t.Helper()
	lab.Require(t, "sipp")
	f := &farm{t: t, addrs: lab.Addrs(t, hosts...), wire: lab.StartCapture(t), scenario: scenario}
	f.names = f.wire.Names
	for i := range f.addrs {
		f.servers = append(f.servers, f.startServer(i))
	}
	if setup.Listen == nil {
		setup.Listen = lab.Addrs(t, "127.0.0.1")
	}
	setup.Servers = f.addrs
	f.balancer = lab.StartBalancer(t, setup)
	for _, a := range setup.Listen {
		f.names[a] = "balancer"
	}
	return f
}

func (f *farm) startServer(i int) *lab.SIPp {
	f.t.Helper()
	name := fmt.Sprintf("server%d", i+1)
	f.names[f.addrs[i]] = name
	return lab.StartSIPp(f.t, lab.SIPpSpec{Name: name, Scenario: f.scenario, Local: f.addrs[i]})
}

// load is a number of calls at a rate.
type load struct {
	calls, rate int
	hold        time.Duration
	t1          time.Duration // first retransmission after so long, if not zero
	args        []string      // further flags of the caller
}

// loadLimit is how long a caller may take, whatever the rate: only a failure uses it up.
const loadLimit = 4 * time.Minute

// start starts a caller beside the balancer's address of that family.
func (f *farm) start(l load, to netip.AddrPort) *lab.SIPp {
	f.t.Helper()
	host := "127.0.0.2"
	if to.Addr().Is6() {
		host = "::1"
	}
	from := lab.Addr(f.t, host)
	f.names[from] = "caller"
	return lab.StartSIPp(f.t, lab.SIPpSpec{
		Name: "caller", Scenario: "caller", Local: from, Remote: to, Calls: l.calls, Rate: l.rate, Hold: l.hold, T1: l.t1, Args: l.args,
	})
}

// finish waits for the caller, checks SIPp's own account, and returns the calls as the wire saw them.
func (f *farm) finish(caller *lab.SIPp, l load) []*lab.Course {
	f.t.Helper()
	tally := caller.Finish(loadLimit)
	if tally.Succeeded != l.calls || tally.Failed != 0 {
		f.t.Errorf("SIPp: %d of %d calls succeeded, %d failed\n%s", tally.Succeeded, l.calls, tally.Failed, caller.Errors())
	}
	f.t.Logf("SIPp: %+v", tally)
	return f.courses(caller)
}

func (f *farm) courses(caller *lab.SIPp) []*lab.Course {
	f.t.Helper()
	return f.wire.Calls().Courses(caller.Addr, f.addrs)
}

// expectWhole fails the test unless there are so many calls, each complete and on one server.
func (f *farm) expectWhole(courses []*lab.Course, calls int) {
	f.t.Helper()
	faults := lab.Faults{Names: f.names}
	if len(courses) != calls {
		f.t.Errorf("%d calls on the wire, want %d", len(courses), calls)
	}
	for _, c := range courses {
		if !c.Complete() {
			faults.Add(c.Messages, "not complete")
		}
		if len(c.Reached) != 1 || c.Moved {
			faults.Add(c.Messages, "not on one server")
		}
	}
	faults.Report(f.t)
}
