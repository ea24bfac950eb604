package report

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// reportOf is an engine that has counted so much.
func reportOf(good, failed uint64) *Engine {
	s := Server{Name: "a", Addr: netip.MustParseAddrPort("192.0.2.1:5060"), Oper: Oper{State: Up}, Ratio: 1, Requests: Counts[string]{"INVITE": good + failed},
		Responses: Counts[int]{200: good, 503: failed}, Failovers: failed, Latency: Latency{Count: good, SumUS: 1000 * good}}
	return &Engine{Services: []Service{{Name: "vs", Oper: Oper{State: Up}, Requests: Counts[string]{"INVITE": good + failed}, Responses: Counts[int]{200: good, 500: failed},
		Reasons: Counts[string]{"new_call": good, "junk": failed}, CallsFull: failed, Listeners: []Listener{{RxPackets: good, RxDropped: failed}}}},
		Pools: []Pool{{Name: "p", Oper: Oper{State: Up}, Full: failed, Servers: []Server{s}}}}
}

// TestScoreRecovers holds that what is over has no part in a score, and what is not has.
func TestScoreRecovers(t *testing.T) {
	began := time.Now()
	scores := func(e *Engine) [3]int {
		return [3]int{e.Services[0].Score(&e.Pools[0]).Value, e.Pools[0].Score().Value, e.Pools[0].Servers[0].Score(&e.Pools[0]).Value}
	}
	bad := reportOf(500, 500)
	bad.Since(NewBaseline(&Engine{}, began), began.Add(time.Minute))
	if got := scores(bad); got[0] > 30 || got[1] > 50 || got[2] > 50 {
		t.Errorf("half of all fails: %v", got)
	}
	after := reportOf(1500, 500)
	after.Since(NewBaseline(bad, began.Add(time.Minute)), began.Add(6*time.Minute))
	if got := scores(after); got != [3]int{100, 100, 100} {
		t.Errorf("it is over: %v", got)
	}
	if r := after.Services[0].Recent; r.Seconds != 300 || r.Requests != 1000 || r.Answered != 1000 || r.Messages != 1000 || r.Packets != 1000 || r.Failed+r.Bad+r.CallsFull+r.Dropped > 0 {
		t.Errorf("%+v", r)
	}
	two := Merge([]*Engine{after, bad})
	if r := two.Services[0].Recent; r.Requests != 2000 || r.Failed != 500 || r.Seconds != 300 {
		t.Errorf("of two engines: %+v", r)
	}
	quiet := reportOf(500, 500)
	quiet.Since(NewBaseline(bad, began), began.Add(6*time.Minute))
	if got := scores(quiet); got != [3]int{100, 100, 100} {
		t.Errorf("nothing came since: %v", got)
	}
}

// TestRecent holds that what is recent and what was before are all there is, and that a counter that began anew is taken
// as it is.
func TestRecent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1000)
		before, failed := n.Draw(t, "before"), n.Draw(t, "failed before")
		now, failedNow := n.Draw(t, "now"), n.Draw(t, "failed now")
		e := reportOf(now, failedNow)
		at := time.Now()
		e.Since(NewBaseline(reportOf(before, failed), at), at.Add(time.Minute))
		for name, r := range map[string]*Recent{"service": e.Services[0].Recent, "server": e.Pools[0].Servers[0].Recent} {
			want := [2]uint64{now + failedNow, failedNow}
			if now >= before && failedNow >= failed {
				want = [2]uint64{now + failedNow - before - failed, failedNow - failed}
			}
			if [2]uint64{r.Requests, r.Failed} != want {
				t.Errorf("%s: %+v, want %v", name, r, want)
			}
		}
	})
}
