package health

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStatus: all that is shown of a server, after two checks that passed, one not sent, and two that failed.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{})
		start := time.Now()
		walk := []outcome{
			{status: 200}, {status: 404}, {code: ProbeNotSent, detail: "no buffers"}, {code: NoResponse},
			{code: ResponseCodeMismatch, status: 503, detail: "SIP/2.0 503 No"},
		}
		n := 0
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			n++
			return time.Duration(n) * time.Millisecond, walk[n-1], true
		})
		mon := sipMonitor("a")
		mon.Port = 5070
		other := Target{Pool: "o", Server: netip.MustParseAddrPort("[2001:db8::1]:5060")}
		apply(t, m, server1(mon), other)
		after(time.Second)
		kicked := time.Now()
		m.Kick("p", server1().Server)
		after(1100 * time.Millisecond)
		if n != len(walk) {
			t.Fatalf("%d checks", n)
		}
		down := kicked.Add(1005 * time.Millisecond)
		up := start.Add(502 * time.Millisecond)
		want := []ServerStatus{
			{Pool: "o", Server: other.Server, State: Up, Reason: NoMonitor, Since: start, Monitors: []MonitorStatus{}},
			{
				Pool: "p", Server: server1().Server, State: Down, Reason: ResponseCodeMismatch, Since: down,
				Monitors: []MonitorStatus{{
					Name: "a", Type: SIP, Port: 5070, State: Down, Reason: ResponseCodeMismatch, Detail: "SIP/2.0 503 No", Since: down,
					Transitions: []Transition{{down, Down, ResponseCodeMismatch}, {up, Up, Success}},
					Fall:        2, Checks: 5, Failed: 2,
					Counts:      []CodeCount{{NoResponse, 1}, {ResponseCodeMismatch, 1}, {ProbeNotSent, 1}},
					LatencyLast: 2 * time.Millisecond, LatencyMin: time.Millisecond, LatencyAvg: 1500 * time.Microsecond, LatencyMax: 2 * time.Millisecond,
					Results: []Result{
						{down, ResponseCodeMismatch, 503, 5 * time.Millisecond},
						{kicked.Add(504 * time.Millisecond), NoResponse, 0, 4 * time.Millisecond},
						{kicked.Add(3 * time.Millisecond), ProbeNotSent, 0, 3 * time.Millisecond},
						{up, Success, 404, 2 * time.Millisecond},
						{start.Add(time.Millisecond), Success, 200, time.Millisecond},
					},
				}},
			},
		}
		all := m.Status()
		slices.SortFunc(all, func(a, b ServerStatus) int { return strings.Compare(a.Pool, b.Pool) })
		same(t, "status", all, want)
		one, ok := m.ServerStatus("p", netip.MustParseAddrPort("[::ffff:10.0.0.1]:5060"))
		if !ok {
			t.Fatal("not found by its mapped address")
		}
		same(t, "status of one", one, want[1])
		if _, ok := m.ServerStatus("q", server1().Server); ok {
			t.Error("found in a pool it is not in")
		}
		for _, b := range m.Briefs() {
			if b.Pool == "p" {
				same(t, "brief", b, ServerBrief{
					Pool: "p", Server: server1().Server, State: Down, Since: down, Latency: 2 * time.Millisecond, Checks: 5, Failed: 2,
				})
			}
		}
		st := m.Stats()
		hist := Histogram{Count: 2, Sum: 3 * time.Millisecond}
		hist.Buckets[1], hist.Buckets[2] = 1, 1
		same(t, "sums", st.Monitors, []MonitorStats{{
			Pool: "p", Monitor: "a", Latency: hist, Checks: 5,
			Failures: []CodeCount{{NoResponse, 1}, {ResponseCodeMismatch, 1}, {ProbeNotSent, 1}},
		}})
		if st.Targets != 2 || st.Checks != 1 || st.InFlight != 0 || st.Started != 5 || st.KicksObeyed != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRing(t *testing.T) {
	var h history
	for i := range 3 * KeptResults {
		h.add(time.Duration(i)*time.Second, outcome{status: 200 + i}, time.Millisecond)
	}
	rs := h.results(epoch)
	if len(rs) != KeptResults || rs[0].Status != 200+3*KeptResults-1 || rs[KeptResults-1].Status != 200+2*KeptResults {
		t.Errorf("%+v", rs)
	}
	if n := len((&history{}).results(epoch)); n != 0 {
		t.Errorf("%d results of nothing", n)
	}
}

func TestHistogramBuckets(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, LatencyBounds[0], LatencyBounds[0] + 1, LatencyBounds[len(LatencyBounds)-1], time.Hour} {
		h.add(d)
	}
	if h.Buckets[0] != 2 || h.Buckets[1] != 1 || h.Buckets[len(LatencyBounds)-1] != 1 || h.Buckets[len(LatencyBounds)] != 1 || h.Count != 5 {
		t.Errorf("%+v", h)
	}
}
