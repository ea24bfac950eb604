package e2e

import (
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// One of three servers is no use. The caller sees one call that works, whichever server the hash gave it first.
func TestFailover(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(f *farm) // makes server1 useless
		t1    time.Duration
	}{
		// The kernel answers for the dead server with ICMP port unreachable.
		{"gone", func(f *farm) { f.servers[0].Kill() }, 0},
		{"503 to all", func(f *farm) {
			f.servers[0].Kill()
			lab.StartSIPp(f.t, lab.SIPpSpec{Name: "server1", Scenario: "server-503", Local: f.addrs[0]})
		}, 0},
		// It lives, for the monitor too, but answers no call: the second retransmission goes elsewhere.
		{"silent", func(f *farm) {
			f.servers[0].Kill()
			lab.StartAnswerer(f.t, f.addrs[0], true)
		}, 300 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			if lab.StandIn() && c.name == "gone" {
				t.Skip("the stand-in does not hear ICMP")
			}
			l := load{calls: 60, rate: 60, t1: c.t1}
			f := startFarm(t, lab.Setup{}, "127.0.0.11", "127.0.0.12", "127.0.0.13")
			c.spoil(f)
			courses := f.finish(f.start(l, f.balancer.Addr), l)
			f.expectElsewhere(courses)
		})
	}
}

// expectElsewhere checks that every call is complete on server2 or server3, that server1 was tried, and that a second
// attempt is a transaction of its own: it has another branch (RFC 3263 4.3).
func (f *farm) expectElsewhere(courses []*lab.Course) {
	f.t.Helper()
	faults := lab.Faults{Names: f.names}
	tried := 0
	for _, c := range courses {
		if !c.Complete() || c.Moved || c.Server == f.addrs[0] {
			faults.Add(c.Messages, "not complete on another server")
		}
		branches := make(map[string]bool)
		first := false
		for _, m := range c.Messages {
			if m.Src == f.balancer.Addr && !m.IsResponse() && m.Method() == "INVITE" {
				branches[m.Dst.String()+" "+m.Branch()] = true
				first = first || m.Dst == f.addrs[0]
			}
		}
		if first {
			tried++
		}
		if want := len(c.Reached); len(branches) != want {
			faults.Add(c.Messages, "%d branches for %d servers", len(branches), want)
		}
	}
	f.t.Logf("%d of %d calls tried server1 first", tried, len(courses))
	if tried == 0 {
		f.t.Error("no call tried the bad server: the test shows nothing")
	}
	faults.Report(f.t)
}
