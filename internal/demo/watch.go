package demo

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/demo/ua"
)

// reading is everything at one moment.
type reading struct {
	at      time.Time
	status  Status
	totals  ua.Totals
	servers []ua.ServerStats
	rate    float64
	paused  bool
}

// server finds the balancer's word on a server by its name.
func (r *reading) server(name string) (ServerStatus, bool) {
	for _, s := range r.status.Servers {
		if s.Name == name {
			return s, true
		}
	}
	return ServerStatus{State: stateUnknown}, false
}

// Sizes of what a watch keeps.
const (
	rateWindow = 2 * time.Second  // rates are means over this time
	timeWindow = 10 * time.Second // response times are those of this time
	maxBars    = 600              // seconds of the sparkline
	maxEvents  = 200
)

// bar is one second of the sparkline.
type bar struct {
	calls float64 // placed
	bad   bool    // some failed or were lost
}

// watch turns readings into what is shown: rates, the last seconds, and events. Its methods are safe to call at the same
// time.
type watch struct {
	started time.Time
	listen  netip.AddrPort
	phones  int
	names   []string
	addrs   []netip.AddrPort

	mu       sync.Mutex
	readings []reading     // within rateWindow, oldest first
	times    []timeReading // within timeWindow, oldest first
	bars     []bar
	second   int     // of the bar that is being filled
	edge     reading // at the start of that second
	events   []event
	stamp    uint64 // of the newest event
	servers  []watched
}

// watched is what a watch remembers of a server between readings.
type watched struct {
	died     time.Time // zero: alive, or its death has been noticed
	downAt   time.Time // when the balancer took it out; zero: it is in
	draining bool      // until its last call is over
}

func newWatch(now time.Time, listen netip.AddrPort, phones int, servers []*ua.Server) *watch {
	w := &watch{started: now, listen: listen, phones: phones, servers: make([]watched, len(servers))}
	for _, s := range servers {
		w.names = append(w.names, s.Name())
		w.addrs = append(w.addrs, s.Addr())
	}
	return w
}

// died tells the watch that a server was killed, so that it can say how long the balancer took to notice.
func (w *watch) died(server int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[server].died = now
}

// draining tells the watch to note when the last call of a server is over.
func (w *watch) draining(server int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[server].draining = true
}

// add takes in a reading; their times must not go back.
func (w *watch) add(r reading) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.readings); n > 0 {
		w.compare(&w.readings[n-1], &r)
	} else {
		w.edge = r
	}
	w.fillBars(&r)
	w.readings = append(w.readings, r)
	keep := 0
	for keep < len(w.readings)-2 && r.at.Sub(w.readings[keep+1].at) >= rateWindow {
		keep++
	}
	w.readings = slices.Delete(w.readings, 0, keep)
	w.addTimes(&r)
}

// timeReading is the response times of all servers at one moment.
type timeReading struct {
	at      time.Time
	servers []latency
}

func (w *watch) addTimes(r *reading) {
	t := timeReading{at: r.at, servers: make([]latency, len(w.names))}
	for i, name := range w.names {
		s, _ := r.server(name)
		t.servers[i] = s.Latency
	}
	w.times = append(w.times, t)
	keep := 0
	for keep < len(w.times)-2 && r.at.Sub(w.times[keep+1].at) >= timeWindow {
		keep++
	}
	w.times = slices.Delete(w.times, 0, keep)
}

// fillBars closes the bars of the seconds that are over.
func (w *watch) fillBars(r *reading) {
	second := int(r.at.Sub(w.started) / time.Second)
	if second <= w.second {
		return
	}
	n := second - w.second
	placed := float64(r.totals.Placed-w.edge.totals.Placed) / float64(n)
	bad := troubles(&r.totals) > troubles(&w.edge.totals)
	for range min(n, maxBars) {
		w.bars = append(w.bars, bar{calls: placed, bad: bad})
	}
	if extra := len(w.bars) - maxBars; extra > 0 {
		w.bars = slices.Delete(w.bars, 0, extra)
	}
	w.noteTroubles(r)
	w.second, w.edge = second, *r
}

func troubles(t *ua.Totals) uint64 { return t.Of(ua.Failed) + t.Of(ua.Lost) + t.Strayed }

// frame is what is shown at one moment: all the numbers, none of the looks.
type frame struct {
	now     time.Duration // since the start
	listen  netip.AddrPort
	phones  int
	rate    float64 // asked for
	paused  bool
	placing float64 // calls a second, as it is
	reading
	rows   []row
	bars   []bar
	events []event // oldest first
}

// row is a server.
type row struct {
	name  string
	addr  netip.AddrPort
	alive bool
	calls int
	ServerStatus
	callRate, requestRate float64 // a second
	p50, p99              time.Duration
}

// frame makes the picture of the last reading.
func (w *watch) frame(now time.Time) frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := frame{
		now: now.Sub(w.started), listen: w.listen, phones: w.phones,
		bars: slices.Clone(w.bars), events: slices.Clone(w.events),
	}
	if len(w.readings) == 0 {
		return f
	}
	first, last := &w.readings[0], &w.readings[len(w.readings)-1]
	f.reading, f.rate, f.paused = *last, last.rate, last.paused
	seconds := max(last.at.Sub(first.at).Seconds(), 1)
	per := func(a, b uint64) float64 {
		if b < a { // counters may begin anew
			return 0
		}
		return float64(b-a) / seconds
	}
	f.placing = per(first.totals.Placed, last.totals.Placed)
	for i, name := range w.names {
		was, _ := first.server(name)
		is, _ := last.server(name)
		recent := w.times[len(w.times)-1].servers[i].since(w.times[0].servers[i])
		f.rows = append(f.rows, row{
			p50: recent.quantile(0.5), p99: recent.quantile(0.99),
			name: name, addr: w.addrs[i], alive: last.servers[i].Alive, calls: last.servers[i].Calls, ServerStatus: is,
			callRate:    per(first.servers[i].Invites, last.servers[i].Invites),
			requestRate: per(was.Requests, is.Requests),
		})
	}
	return f
}
