package agent

import (
	"fmt"
	"net/netip"
	"net/url"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/metric"
)

// A line with room remembers every value of its last ticks, and one without still knows the latest.
func TestLineRemembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const keep = 20
		room := rapid.SampledFrom([]int{1000, 3, 0}).Draw(t, "room")
		var l line
		var all []float32
		runs := 0
		for tick := range uint32(rapid.IntRange(1, 120).Draw(t, "ticks")) {
			v := float32(rapid.IntRange(0, 2).Draw(t, "value"))
			if tick == 0 {
				l.now = v
			}
			more, lost := l.set(v, tick, max(tick, keep)-keep, room-runs)
			runs += more
			if all = append(all, v); runs != len(l.runs) || runs > max(room, keep+1) || lost > 0 && room == 1000 {
				t.Fatalf("%d runs, counted %d, %d lost", len(l.runs), runs, lost)
			}
			first := max(tick+1, keep) - keep
			got := make([]float32, tick+1-first)
			l.fill(got, first)
			want := all[first:]
			if got[len(got)-1] != v {
				t.Fatalf("the latest value is %v, want %v", got[len(got)-1], v)
			}
			if room < 1000 {
				continue
			}
			sum, most := 0.0, want[0]
			for i, w := range want {
				if sum, most = sum+float64(w), max(most, w); got[i] != w {
					t.Fatalf("tick %d of %d: %v, want %v", i, tick, got, want)
				}
			}
			if mean, m := l.span(first, uint32(len(want))); m != most || mean != float32(sum/float64(len(want))) {
				t.Fatalf("mean %v and maximum %v of %v", mean, m, want)
			}
		}
	})
}

// samples makes samples of an engine with so many pools of servers; every counter of the first busy ones rises.
type samples struct {
	at    time.Time
	wall  time.Duration // what the clock on the wall was set by
	pools int
	busy  int
	n     uint64
}

func (s *samples) next(d time.Duration) *engine.Sample {
	s.at = s.at.Add(d)
	s.n++
	out := &engine.Sample{At: setWall(s.at, s.wall)}
	for i := range s.pools {
		id := fmt.Sprint("pool-", i)
		p := engine.PoolSample{ID: id, Name: "name of " + id, Up: 20}
		for j := range 20 {
			sv := engine.ServerSample{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j)}), 5060), Up: true}
			if i < s.busy {
				sv.Calls, sv.Counts = int64(s.n%7), new(engine.ServerCounts)
				sv.Counts.Requests[0], sv.Counts.Responses[1] = s.n*s.n, s.n*s.n*2
				sv.Counts.Latency[5] = s.n * 10
			}
			p.Servers = append(p.Servers, sv)
		}
		out.Pools = append(out.Pools, p)
		out.Services = append(out.Services, engine.ServiceSample{ID: id, Name: "name of " + id, RxPackets: s.n * 50, Latency: new(metric.Snapshot)})
	}
	return out
}

// setWall is a time as it is read once the clock on the wall was set by d: its monotonic reading stays. Of its first word the upper bit
// says that there is one, the next 33 are seconds.
func setWall(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(d/time.Second) << 30
	return t
}

// However the clock on the wall is set: each sample is one point, of the value that it had, 5 s behind the one before, and the last one stands at the
// time that it is now.
func TestHistoryAndTheClock(t *testing.T) {
	now := time.Now()
	if later := setWall(now, -time.Hour); later.Sub(now) != 0 || later.Round(0).Sub(now.Round(0)) != -time.Hour {
		t.Fatalf("%v is no %v whose clock was set", later, now)
	}
	jumps := rapid.SampledFrom([]time.Duration{0, time.Second, -time.Second, 7 * time.Second, -time.Hour, time.Hour, 366 * 24 * time.Hour, -30 * 365 * 24 * time.Hour})
	rapid.Check(t, func(t *rapid.T) {
		src := &samples{at: now, pools: 1, busy: 1}
		h := newHistory(src.at)
		h.add(src.next(0))
		n := rapid.IntRange(1, 3*coarseEvery).Draw(t, "samples")
		for range n {
			src.wall = max(-50*365*24*time.Hour, min(src.wall+jumps.Draw(t, "jump"), 50*365*24*time.Hour)) // after 1970
			h.add(src.next(sampleEvery))
		}
		end := setWall(src.at, src.wall).Unix()
		for step, most := range map[int]int{5: n, 300: n / coarseEvery} {
			all, err := h.ask(question{ids: []string{"l4_client.avg_rx_pkts"}, step: step})
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			points := all[0].Points
			if len(points) != most {
				t.Fatalf("%d points of %d s after %d samples, want %d", len(points), step, n, most)
			}
			for i, p := range points {
				if p.Value != 10 || i > 0 && p.At-points[i-1].At != int64(step) || p.At > end {
					t.Fatalf("points of %d s: %v; it is %d", step, points, end)
				}
			}
			if step == 5 && points[n-1].At != end {
				t.Fatalf("the last point is of %d; it is %d", points[n-1].At, end)
			}
			for _, q := range []question{{step: step, from: end + 1}, {step: step, to: end - int64(n+1)*5}} {
				q.ids = []string{"l4_client.avg_rx_pkts"}
				if all, err := h.ask(q); err != nil || len(all[0].Points) != 0 {
					t.Fatalf("points outside of what was asked for: %v, %v", all, err)
				}
			}
		}
	})
}

// Figures of the last hour and the last day, at their times.
func TestHistory(t *testing.T) {
	src := &samples{at: time.Now(), pools: 2, busy: 1}
	h := newHistory(src.at)
	for range 2000 {
		h.add(src.next(sampleEvery))
	}
	ask := func(query string) []float64 {
		t.Helper()
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := asked(v)
		if err != nil {
			t.Fatal(err)
		}
		s, err := h.ask(q)
		if err != nil || len(s) != 1 {
			t.Fatalf("%s: %d series, %v", query, len(s), err)
		}
		var out []float64
		for i, p := range s[0].Points {
			if i > 0 && p.At-s[0].Points[i-1].At != int64(s[0].StepS) {
				t.Fatalf("%s: steps from %d to %d", query, s[0].Points[i-1].At, p.At)
			}
			out = append(out, p.Value)
		}
		if end := src.at.Unix(); len(s[0].Points) > 0 && s[0].StepS == 5 && s[0].Points[len(s[0].Points)-1].At != end {
			t.Fatalf("%s: ends at %d, want %d", query, s[0].Points[len(s[0].Points)-1].At, end)
		}
		return out
	}
	if got := ask("metric_id=l4_client.avg_rx_pkts&entity=pool-0"); len(got) != fineTicks || got[0] != 10 || got[719] != 10 {
		t.Errorf("packets of the last hour: %d values, %v", len(got), got[:1])
	}
	want := float64(2000*2000-1999*1999) / 5
	if got := ask("metric_id=sip_server.avg_requests_invite&entity=name+of+pool-0&obj_id=10.0.0.3:5060&limit=10"); len(got) != 10 || float32(got[9]) != float32(want) {
		t.Errorf("requests of a server: %v, want %v at last", got, want)
	}
	if got := ask("metric_id=sip_server.avg_requests&entity=pool-0&limit=1"); got[0] < 19.999*want || got[0] > 20.001*want {
		t.Errorf("requests of a pool: %v, want %v", got, 20*want)
	}
	coarse := ask("metric_id=sip_server.avg_requests_invite&entity=pool-0&obj_id=10.0.0.3:5060&step=300")
	if len(coarse) != 1999/coarseEvery {
		t.Errorf("%d values of 5 minutes, want %d", len(coarse), 1999/coarseEvery)
	}
	for i := 1; i < len(coarse); i++ { // the rate rises by 0.4 a tick
		if d := coarse[i] - coarse[i-1]; i > 1 && (d < 23.9 || d > 24.1) {
			t.Errorf("5 minutes %d: the rate rises by %v, want 24", i, d)
		}
	}
	if got := ask("metric_id=sip_server.calls&entity=pool-0&obj_id=10.0.0.3:5060&step=300&limit=1"); got[0] != 6 {
		t.Errorf("most calls of 5 minutes: %v", got)
	}
	src.pools = 1
	h.add(src.next(sampleEvery))
	if len(h.tracks) != 22 {
		t.Errorf("%d tracks after a pool has gone", len(h.tracks))
	}
}

// With 20,000 servers, most of them idle, the memory is bounded, and a sample is taken in quickly.
func TestHistoryOfManyServers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	src := &samples{at: time.Now(), pools: 1000, busy: 100}
	h := newHistory(src.at)
	before := heap()
	var took time.Duration
	const ticks = 400
	for range ticks {
		s := src.next(sampleEvery)
		begin := time.Now()
		h.add(s)
		took += time.Since(begin)
	}
	h.before = nil
	used := int(heap()-before) >> 20
	t.Logf("%d servers, %d of them busy, %d samples: %d MB, %d runs, %d lost, %v a sample", 20*src.pools, 20*src.busy, ticks, used, h.runs, h.lost, took/ticks)
	if used > 64 || h.runs > maxRuns {
		t.Errorf("%d MB, %d runs", used, h.runs)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
