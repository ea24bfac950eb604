package agent

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// What is remembered.
const (
	sampleEvery = 5 * time.Second
	fineTicks   = 720 // an hour
	coarseEvery = 60  // ticks: 5 minutes
	coarseTicks = 288 // a day
	// maxRuns is how many stretches of one value all lines may have, of 8 octets each and up to as much again to grow in: some
	// 25 MB. Beyond it lines forget their oldest, which Lost counts.
	maxRuns = 1_500_000
	// maxPoints is how many points one answer has at the most.
	maxPoints = 500_000
)

// trackKey names what has a history: a service, a pool, or a server of a pool.
type trackKey struct {
	pool   bool   // it is a pool or a server
	id     string // of the service or pool
	server netip.AddrPort
}

// track is the history of one of them.
type track struct {
	name  string    // of the service or pool
	born  uint32    // tick of its first values
	seen  uint32    // tick of its last values
	first []float32 // these values; shared by those who began alike
	// past is nil as long as all values are as they were at first, which they mostly are where nobody calls.
	past *past
}

// past are the values of a track, a line each.
type past struct {
	fine []line
	mean []line // a tick is coarseEvery of the others
	most []line
}

// begin makes the lines of a track whose values were those at first until now.
func (t *track) begin() {
	n := len(t.first)
	all := make([]line, 3*n)
	t.past = &past{all[:n:n], all[n : 2*n : 2*n], all[2*n:]}
	for i, v := range t.first {
		t.past.fine[i].now, t.past.mean[i].now, t.past.most[i].now = v, v, v
	}
}

// history remembers the figures of an engine.
type history struct {
	mu     sync.Mutex
	start  time.Time
	tick   uint32
	tracks map[trackKey]*track
	before *engine.Sample
	born   map[int][]float32 // by their number: the first values of the last track that began
	runs   int
	lost   uint64 // stretches that were forgotten before their time
}

func newHistory(now time.Time) *history {
	return &history{start: now, tracks: map[trackKey]*track{}, born: map[int][]float32{}}
}

// watch samples the engine until ctx ends.
func (h *history) watch(ctx context.Context, eng *engine.Engine) {
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	spare := h.add(eng.Sample(nil))
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			spare = h.add(eng.Sample(spare))
		}
	}
}

// add takes a sample into the history, and gives back the one that is looked at no more. The first one only says where counters
// begin.
func (h *history) add(s *engine.Sample) (done *engine.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.before
	h.before = s
	if before == nil || !s.At.After(before.At) {
		return before
	}
	// by the monotonic clock: a jump of the wall clock moves nothing
	h.tick = max(h.tick+1, uint32(s.At.Sub(h.start)/sampleEvery))
	seconds := s.At.Sub(before.At).Seconds()
	h.services(s, before, seconds)
	h.pools(s, before, seconds)
	for k, t := range h.tracks {
		if t.seen != h.tick {
			h.forget(k, t)
		}
	}
	return before
}

func (h *history) forget(k trackKey, t *track) {
	delete(h.tracks, k)
	if t.past == nil {
		return
	}
	for _, lines := range [][]line{t.past.fine, t.past.mean, t.past.most} {
		for i := range lines {
			h.runs -= len(lines[i].runs)
		}
	}
}

func (h *history) services(s, before *engine.Sample, seconds float64) {
	old := make(map[string]*engine.ServiceSample, len(before.Services))
	for i := range before.Services {
		old[before.Services[i].ID] = &before.Services[i]
	}
	var values [numService]float32
	for i := range s.Services {
		v := &s.Services[i]
		if o := old[v.ID]; o != nil {
			serviceValues(values[:], v, o, seconds)
			h.put(trackKey{id: v.ID}, v.Name, values[:])
		}
	}
}

func (h *history) pools(s, before *engine.Sample, seconds float64) {
	old := make(map[string]*engine.PoolSample, len(before.Pools))
	for i := range before.Pools {
		old[before.Pools[i].ID] = &before.Pools[i]
	}
	for i := range s.Pools {
		if o := old[s.Pools[i].ID]; o != nil {
			h.pool(&s.Pools[i], o, seconds)
		}
	}
}

func (h *history) pool(p, old *engine.PoolSample, seconds float64) {
	var values [numServer]float32
	var total [numPool]float32
	var latency snapshot.Answers
	for j := range p.Servers {
		v := &p.Servers[j]
		var o *engine.ServerSample
		if j < len(old.Servers) && old.Servers[j].Addr == v.Addr {
			o = &old.Servers[j]
		} else if k := slices.IndexFunc(old.Servers, func(o engine.ServerSample) bool { return o.Addr == v.Addr }); k >= 0 {
			o = &old.Servers[k]
		} else {
			continue
		}
		serverValues(values[:], v, o, seconds, &latency)
		for i, x := range values {
			total[i] += x
		}
		h.put(trackKey{true, p.ID, v.Addr}, p.Name, values[:])
	}
	if n := len(p.Servers); n > 0 {
		total[gHealth] /= float32(n)
	}
	total[gP50], total[gP99] = 0, 0
	latencies(total[:], &latency)
	total[gServersUp] = float32(p.Up)
	h.put(trackKey{pool: true, id: p.ID}, p.Name, total[:])
}

// put gives a track its values of this tick.
func (h *history) put(k trackKey, name string, values []float32) {
	t := h.tracks[k]
	if t == nil {
		if !slices.Equal(h.born[len(values)], values) {
			h.born[len(values)] = slices.Clone(values)
		}
		t = &track{born: h.tick, first: h.born[len(values)]}
		h.tracks[k] = t
	}
	if t.past == nil {
		if slices.Equal(t.first, values) {
			t.name, t.seen = name, h.tick
			return
		}
		t.begin()
	}
	coarse := t.seen/coarseEvery != h.tick/coarseEvery && t.seen > 0
	t.name = name
	for i, v := range values {
		h.set(&t.past.fine[i], v, h.tick, fineTicks)
		if coarse {
			last := h.tick/coarseEvery - 1
			first := max(last*coarseEvery, t.born)
			if n := (last+1)*coarseEvery - first; n <= coarseEvery && n > 0 {
				mean, most := t.past.fine[i].span(first, n)
				h.set(&t.past.mean[i], mean, last, coarseTicks)
				h.set(&t.past.most[i], most, last, coarseTicks)
			}
		}
	}
	t.seen = h.tick
}

func (h *history) set(l *line, v float32, tick, ticks uint32) {
	more, lost := l.set(v, tick, max(tick, ticks)-ticks, maxRuns-h.runs)
	h.runs += more
	h.lost += uint64(lost)
}

// question is what is asked of a history.
type question struct {
	ids      []string // none: all
	entity   string   // name or ID; "": all
	server   string   // address; "": services and pools themselves; "*": all servers
	step     int      // s
	limit    int      // points of a series, the newest
	from, to int64    // s since 1970; 0: open
}

// asked reads a question. The words are Avi's where it has them.
func asked(v url.Values) (question, error) {
	q := question{entity: v.Get("entity"), server: v.Get("obj_id"), step: 5}
	if ids := v.Get("metric_id"); ids != "" {
		q.ids = strings.Split(ids, ",")
	}
	for _, n := range []struct {
		name string
		to   *int
	}{{"step", &q.step}, {"limit", &q.limit}} {
		if s := v.Get(n.name); s != "" {
			i, err := strconv.Atoi(s)
			if err != nil || i < 1 {
				return q, fmt.Errorf("%s=%s: want a number above 0", n.name, s)
			}
			*n.to = i
		}
	}
	for _, n := range []struct {
		name string
		to   *int64
	}{{"start", &q.from}, {"stop", &q.to}} {
		if s := v.Get(n.name); s != "" {
			i, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return q, fmt.Errorf("%s=%s: want seconds since 1970", n.name, s)
			}
			*n.to = i
		}
	}
	return q, nil
}

// ask gives the series that a question wants: with the step of 5 s of the last hour, with a longer one of the last day.
func (h *history) ask(q question) ([]report.Series, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out, points := []report.Series{}, 0
	for k, t := range h.tracks {
		switch {
		case q.entity != "" && q.entity != k.id && q.entity != t.name,
			q.server == "" && k.server.IsValid(),
			q.server != "" && !k.server.IsValid(),
			q.server != "" && q.server != "*" && q.server != k.server.String():
			continue
		}
		figures := serviceFigures
		if k.pool {
			figures = serverFigures
		}
		for i := range figures {
			f := &figures[i]
			if f.lines[len(f.lines)-1] >= len(t.first) || len(q.ids) > 0 && !slices.Contains(q.ids, f.id) {
				continue
			}
			s := report.Series{ID: f.id, Entity: t.name, Points: h.points(t, f, &q)}
			s.StepS = 5
			if q.step > 5 {
				s.StepS = 300
			}
			if k.server.IsValid() {
				s.Server = k.server.String()
			}
			if points += len(s.Points); points > maxPoints {
				return nil, fmt.Errorf("more than %d points: ask for fewer figures, servers or a smaller limit", maxPoints)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// points are the values of one figure.
func (h *history) points(t *track, f *figure, q *question) []report.Point {
	if t.past == nil {
		still := *t
		still.begin()
		t = &still
	}
	lines, ticks, end := t.past.fine, uint32(fineTicks), h.tick+1
	first := t.born
	if q.step > 5 {
		lines, ticks, end = t.past.mean, coarseTicks, h.tick/coarseEvery
		first = t.born / coarseEvery
		if f.most {
			lines = t.past.most
		}
	}
	if end > ticks {
		first = max(first, end-ticks)
	}
	if q.limit > 0 && end > uint32(q.limit) {
		first = max(first, end-uint32(q.limit))
	}
	if first >= end {
		return []report.Point{}
	}
	values, one := make([]float32, end-first), make([]float32, end-first)
	for _, i := range f.lines {
		lines[i].fill(one, first)
		for j, v := range one {
			values[j] += v * f.factor
		}
	}
	out := make([]report.Point, 0, len(values))
	for i, v := range values {
		tick := int64(first) + int64(i)
		if q.step > 5 {
			tick = (tick + 1) * coarseEvery // its end
		}
		// counted back from the last sample: the clock on the wall may have jumped since the first
		at := h.before.At.Add(time.Duration(tick-int64(h.tick)) * sampleEvery).Unix()
		if at >= q.from && (q.to == 0 || at <= q.to) {
			out = append(out, report.Point{At: at, Value: float64(v)})
		}
	}
	return out
}
