package e2e

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// A server dies (SIGKILL) under load and comes back. A second after its death no new call may fail; calls on the
// other servers do not notice; and the server gets calls again when it is back.
func TestServerKilledAndRevived(t *testing.T) {
	for name, noRecordRoute := range map[string]bool{"Record-Route": false, "no Record-Route": true} {
		t.Run(name, func(t *testing.T) {
			if noRecordRoute && testing.Short() {
				t.Skip("the other half is enough for -short")
			}
			killAndRevive(t, noRecordRoute)
		})
	}
}

func killAndRevive(t *testing.T, noRecordRoute bool) {
	// After the revival, for which up to 4 s are usual, some seconds are left before the last tenth of the calls.
	l := load{calls: 14000, rate: 1000, hold: time.Second}
	f := startFarm(t, lab.Setup{NoRecordRoute: noRecordRoute, HealthIntervalS: 2}, "127.0.0.11", "127.0.0.12", "127.0.0.13")
	l.t1, l.args = 4*time.Second, []string{"-max_non_invite_retrans", "2"} // a BYE to the dead server is given up after 12 s, not 40
	caller := f.start(l, f.balancer.Addr)
	f.awaitCall(2000)
	f.servers[1].Kill()
	killed := time.Now()
	f.awaitCall(4000)
	revived := time.Now()
	f.startServer(1)
	caller.Finish(loadLimit)
	courses := f.courses(caller)
	if len(courses) != l.calls {
		t.Errorf("%d calls on the wire, want %d", len(courses), l.calls)
	}
	f.expectUnharmed(courses, killed)
	f.expectBack(courses, revived)
}

// awaitCall returns when the n-th call has been placed.
func (f *farm) awaitCall(n int) {
	f.t.Helper()
	prefix := []byte("Call-ID: " + fmt.Sprint(n) + ".caller@")
	f.wire.Await(fmt.Sprintf("call %d", n), func(p lab.Packet) bool { return strings.Contains(string(p.Data), string(prefix)) })
}

// expectUnharmed checks every call against what a server's death at that time excuses.
func (f *farm) expectUnharmed(courses []*lab.Course, killed time.Time) {
	f.t.Helper()
	dead := f.addrs[1]
	faults := lab.Faults{Names: f.names}
	var lost, early int
	for _, c := range courses {
		late := c.Start.After(killed.Add(time.Second))
		switch {
		case c.Complete() && !c.Moved:
		case late:
			faults.Add(c.Messages, "started more than 1 s after the kill and did not complete on one server")
		case c.Server.IsValid() && c.Server != dead:
			faults.Add(c.Messages, "on a surviving server and disturbed")
		case c.Start.After(killed):
			early++
		case slices.Contains(c.Reached, dead):
			lost++ // it was up on the dead server
		default:
			faults.Add(c.Messages, "had nothing to do with the dead server and did not complete")
		}
	}
	f.t.Logf("%d calls died with their server, %d of the first second after it failed", lost, early)
	faults.Report(f.t)
}

// expectBack checks that the revived server answers calls again, and the others keep doing so.
func (f *farm) expectBack(courses []*lab.Course, revived time.Time) {
	f.t.Helper()
	count := make(map[netip.AddrPort]int)
	var first time.Time
	for _, c := range courses {
		if c.Start.After(revived) && c.Server.IsValid() {
			count[c.Server]++
			if c.Server == f.addrs[1] && first.IsZero() {
				first = c.Start
			}
		}
	}
	for i, a := range f.addrs {
		if count[a] == 0 {
			f.t.Errorf("server%d answered no call that started after the revival", i+1)
		}
	}
	f.t.Logf("first call on the revived server after %v; calls since by server: %d %d %d", first.Sub(revived).Round(time.Millisecond),
		count[f.addrs[0]], count[f.addrs[1]], count[f.addrs[2]])
	// Back means back to the full share: the last tenth of the calls is spread as if nothing had happened.
	tail := courses[len(courses)*9/10:]
	onRevived := 0
	for _, c := range tail {
		if c.Server == f.addrs[1] {
			onRevived++
		}
	}
	n := float64(len(tail))
	if math.Abs(float64(onRevived)-n/3) > 5.5*math.Sqrt(n*2/9) {
		f.t.Errorf("the revived server has %d of the last %.0f calls", onRevived, n)
	}
}
