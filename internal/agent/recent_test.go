package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/report"
)

// TestBases holds that what is recent goes back as far as a score looks, or to the start, and little further, and that
// few are kept.
func TestBases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		began := time.Now()
		b, now, count := newBases(began), began, uint64(0)
		type point struct {
			at    time.Time
			count uint64
		}
		points := []point{{began, 0}}
		say := func() *report.Engine {
			return &report.Engine{Services: []report.Service{{Name: "vs", Requests: report.Counts[string]{"INVITE": count}}}}
		}
		for range rapid.IntRange(0, 40).Draw(t, "minutes") {
			now = now.Add(baseEvery + time.Duration(rapid.IntRange(0, 500).Draw(t, "late ms"))*time.Millisecond)
			count += rapid.Uint64Range(0, 9).Draw(t, "requests")
			b.note(say(), now)
			points = append(points, point{now, count})
		}
		now = now.Add(time.Duration(rapid.IntRange(0, 59).Draw(t, "seconds later")) * time.Second)
		count += rapid.Uint64Range(0, 9).Draw(t, "requests")
		e := say()
		b.tell(e, now)
		from := points[0]
		for _, p := range points {
			if now.Sub(p.at) >= report.ScoreWindow {
				from = p
			}
		}
		if r := e.Services[0].Recent; r.Requests != count-from.count || r.Seconds != int(now.Sub(from.at).Seconds()) {
			t.Fatalf("%+v, want %d since %s", r, count-from.count, now.Sub(from.at))
		}
		if most := int(report.ScoreWindow/baseEvery) + 1; len(b.all) > most {
			t.Fatalf("%d are kept, want %d at the most", len(b.all), most)
		}
	})
}
