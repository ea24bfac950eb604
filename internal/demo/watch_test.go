package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStoryInEvents(t *testing.T) {
	var got []string
	for _, e := range story().frame(begin.Add(time.Minute)).events {
		got = append(got, clock(e.at)+" "+e.text)
	}
	want := []string{
		"00:00:40 server-2 killed with 33 calls up",
		"00:00:42 server-2 down (port unreachable), 2.0 s after its death: its 33.3 % of the keys moved, +16.7 % each",
		"00:00:43 33 calls lost with the server that had them (481)",
		"00:00:55 server-3 is to drain: its 48 calls may go on, new ones go elsewhere",
		"00:00:55 server-3 draining: its 50.0 % of the keys moved, server-1 +50.0 %",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRatesAreOfTheLastSeconds(t *testing.T) {
	f := story().frame(begin.Add(time.Minute))
	if f.placing < 18 || f.placing > 22 {
		t.Errorf("%v calls/s, want about 20", f.placing)
	}
	if r := f.rows[0]; r.callRate != 8 || r.requestRate != 28 {
		t.Errorf("server-1: %v calls/s, %v requests/s; want 8, 28", r.callRate, r.requestRate)
	}
	if r := f.rows[1]; r.callRate != 0 || r.requestRate != 0 || r.alive {
		t.Errorf("the dead server: %+v", r)
	}
	if len(f.bars) != 59 {
		t.Errorf("%d bars after 59 full seconds", len(f.bars))
	}
	for i, b := range f.bars {
		if lost := i >= 42 && i <= 50; b.bad != lost {
			t.Errorf("second %d: bad is %v, want %v", i, b.bad, lost)
		}
	}
}

func TestMoved(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, test := range []struct {
		before, after []float64
		who           int
		want          string
	}{
		{[]float64{.25, .5, .25}, []float64{.5, 0, .5}, 1, "its 50.0 % of the keys moved, +25.0 % each"},
		{[]float64{.2, .5, .3}, []float64{.4, 0, .6}, 1, "its 50.0 % of the keys moved, a +20.0 %, c +30.0 %"},
		{[]float64{.5, 0, .5}, []float64{.25, .5, .25}, 1, "it has 50.0 % of the keys, -25.0 % each"},
		{[]float64{1, 0, 0}, []float64{0, 0, 0}, 0, "its 100.0 % of the keys moved"},
		{[]float64{.5, 0, .5}, []float64{.5, 0, .5}, 1, ""},
	} {
		if got := moved(names, test.before, test.after, test.who); got != test.want {
			t.Errorf("%v to %v: %q, want %q", test.before, test.after, got, test.want)
		}
	}
}

func TestLatencyQuantiles(t *testing.T) {
	var was, is latency
	was[3], is[3], is[10] = 5, 5+99, 1
	recent := is.since(was)
	if p := recent.quantile(0.5); p < 256*time.Microsecond || p > 512*time.Microsecond {
		t.Errorf("p50 %v, want between 256 and 512 µs", p)
	}
	if p := recent.quantile(0.999); p < 32*time.Millisecond || p > 66*time.Millisecond {
		t.Errorf("p99.9 %v, want between 32.8 and 65.5 ms", p)
	}
	if p := (latency{}).quantile(0.5); p != 0 {
		t.Errorf("of nothing: %v", p)
	}
}

// TestPlainLines has the story printed: a line a second, events as they come, and those that grow again.
func TestPlainLines(t *testing.T) {
	w := story()
	w.readings, w.times, w.bars, w.events, w.stamp, w.second = nil, nil, nil, nil, 0, 0
	w.servers = make([]watched, 3)
	var p printed
	var b strings.Builder
	for tick := 4 * 38; tick <= 4*45; tick++ {
		at := begin.Add(time.Duration(tick) * 250 * time.Millisecond)
		if tick == 4*40 {
			w.note(at, bad, "server-2 killed with 33 calls up")
		}
		w.add(chapter(at, tick))
		b.WriteString(p.next(w.frame(at)))
	}
	golden(t, "plain.txt", b.String())
}

func TestSummary(t *testing.T) {
	golden(t, "summary.txt", summary(story().frame(begin.Add(time.Minute))))
}
