package health

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

const (
	// KeptResults is how many results of a check are kept to be shown.
	KeptResults = 20
	// KeptTransitions is how many changes of state of a check are kept to be shown.
	KeptTransitions = 3
)

// ServerStatus is what is known of one server: Avi's `show pool <p> server hmonstat`.
type ServerStatus struct {
	Pool     string          `json:"pool"`
	Server   netip.AddrPort  `json:"server_name"`
	State    State           `json:"state"`
	Reason   Code            `json:"reason"`
	Since    time.Time       `json:"since"` // of State
	Paused   bool            `json:"paused,omitempty"`
	Monitors []MonitorStatus `json:"shm_runtime"` // in the order of the target
}

// ServerBrief is the little of a ServerStatus that is worth asking for every few seconds.
type ServerBrief struct {
	Pool           string
	Server         netip.AddrPort
	State          State
	Since          time.Time     // of State
	Latency        time.Duration // of the latest passed check, the longest over the monitors; 0 = none yet
	Checks, Failed uint64        // over all monitors
}

// MonitorStatus is what one monitor knows of a server.
type MonitorStatus struct {
	Name        string        `json:"health_monitor_name"`
	Type        Type          `json:"health_monitor_type"`
	Port        uint16        `json:"port"` // that is probed
	State       State         `json:"state"`
	Reason      Code          `json:"reason"`
	Detail      string        `json:"detail,omitempty"` // of the latest failure: status line, text that was missed, errno
	Since       time.Time     `json:"since"`
	Transitions []Transition  `json:"last_transitions"` // latest first, at most KeptTransitions
	Rise        int           `json:"rise_count"`       // checks passed in a row until now
	Fall        int           `json:"fall_count"`       // checks failed in a row until now
	Checks      uint64        `json:"total_checks"`
	Failed      uint64        `json:"total_failed_checks"`
	Counts      []CodeCount   `json:"total_count"` // failures by code, only those above 0
	LatencyLast time.Duration `json:"recent_response_time_ns"`
	LatencyMin  time.Duration `json:"min_response_time_ns"`
	LatencyAvg  time.Duration `json:"avg_response_time_ns"`
	LatencyMax  time.Duration `json:"max_response_time_ns"`
	Results     []Result      `json:"results"` // latest first, at most KeptResults
}

// Transition is one change of state.
type Transition struct {
	At     time.Time `json:"at"`
	State  State     `json:"state"`
	Reason Code      `json:"reason"`
}

// CodeCount counts the results of one code.
type CodeCount struct {
	Code  Code   `json:"type"`
	Count uint64 `json:"count"`
}

// Result is one check.
type Result struct {
	At      time.Time     `json:"at"` // when it ended
	Code    Code          `json:"code"`
	Status  int           `json:"status,omitempty"`     // SIP status code; 0 = none came, or not a SIP monitor
	Latency time.Duration `json:"latency_ns,omitempty"` // from the first datagram to the answer, or to the end without one
}

// LatencyBounds are the upper bounds of the buckets of a Histogram; one more bucket has none.
var LatencyBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second,
}

// Histogram counts latencies of passed checks.
type Histogram struct {
	Buckets [len(LatencyBounds) + 1]uint64 // not cumulative
	Count   uint64
	Sum     time.Duration
}

// MonitorStats sums up one monitor over the servers of a pool.
type MonitorStats struct {
	Pool, Monitor string
	Latency       Histogram
	Checks        uint64
	Failures      []CodeCount // by code, only those above 0
}

// Stats are the counters of a Manager since it began.
type Stats struct {
	Targets, Checks       int           // watched now; a check is a server under a monitor
	InFlight              int           // checks begun and not ended
	Started               uint64        // checks begun
	Retransmissions       uint64        // datagrams sent again within a check
	Late                  uint64        // checks that began more than a second late, for MaxStarts or MaxOpen
	Strays                uint64        // datagrams that no probe awaited: wrong branch, wrong source, late, not SIP
	KicksObeyed, KicksCut uint64        // Kick: obeyed, dropped for KickInterval or a full queue
	Dropped               uint64        // datagrams dropped in Deliver
	Lag                   time.Duration // how late the latest check began
	Monitors              []MonitorStats
}

// statsKey is under what the results of the servers of a pool are summed up.
type statsKey struct{ pool, monitor string }

// monitorStats is the loop's own form of MonitorStats.
type monitorStats struct {
	users   int // checks that are added up
	latency Histogram
	checks  uint64
	counts  [numCodes]uint64
}

func (s *monitorStats) add(out outcome, latency time.Duration) {
	s.checks++
	s.counts[out.code]++
	if out.code == Success && latency > 0 {
		s.latency.add(latency)
	}
}

func (l *loop) statsOf(pool, monitor string) *monitorStats {
	k := statsKey{pool, monitor}
	s := l.stats[k]
	if s == nil {
		s = &monitorStats{}
		l.stats[k] = s
	}
	return s
}

// Status returns what is known of all servers, in no order; nil after Close.
func (m *Manager) Status() []ServerStatus {
	var all []ServerStatus
	m.do(func() {
		all = make([]ServerStatus, 0, len(m.l.stats)*8)
		for s := range m.l.pools.all {
			all = append(all, s.status(m.l.begin))
		}
	})
	return all
}

// ServerStatus returns what is known of one server; false if it is not watched, or after Close.
func (m *Manager) ServerStatus(pool string, server netip.AddrPort) (ServerStatus, bool) {
	var st ServerStatus
	found := false
	m.do(func() {
		if s := m.l.pools.of(pool)[plain(server)]; s != nil {
			st, found = s.status(m.l.begin), true
		}
	})
	return st, found
}

// Briefs returns the brief of all servers, in no order; nil after Close.
func (m *Manager) Briefs() []ServerBrief {
	var all []ServerBrief
	m.do(func() {
		all = make([]ServerBrief, 0, len(m.l.stats)*8)
		for s := range m.l.pools.all {
			b := ServerBrief{Pool: s.key.pool, Server: s.key.addr, State: s.state, Since: s.since}
			for _, c := range s.checks {
				b.Latency = max(b.Latency, c.hist.last)
				b.Checks += c.hist.checks
				b.Failed += c.hist.failed
			}
			all = append(all, b)
		}
	})
	return all
}

func (s *server) status(begin time.Time) ServerStatus {
	st := ServerStatus{
		Pool: s.key.pool, Server: s.key.addr, State: s.state, Reason: s.reason, Since: s.since, Paused: s.paused,
		Monitors: make([]MonitorStatus, 0, len(s.checks)),
	}
	for _, c := range s.checks {
		st.Monitors = append(st.Monitors, c.status(begin))
	}
	return st
}

func (c *check) status(begin time.Time) MonitorStatus {
	h := &c.hist
	st := MonitorStatus{
		Name: c.mon.Name, Type: c.mon.Type, Port: c.addr.Port(),
		State: c.m.state, Reason: c.m.reason, Detail: h.failureDetail, Since: c.m.since, Rise: c.m.rise, Fall: c.m.fall,
		Checks: h.checks, Failed: h.failed, Counts: codeCounts(&h.counts),
		LatencyLast: h.last, LatencyMin: h.lo, LatencyMax: h.hi, Results: h.results(begin),
	}
	if c.m.state == Unknown {
		st.Reason = NotSettled
	}
	if h.timed > 0 {
		st.LatencyAvg = h.sum / time.Duration(h.timed)
	}
	for _, t := range c.m.transitions {
		if !t.At.IsZero() {
			st.Transitions = append(st.Transitions, t)
		}
	}
	return st
}

// Stats returns the counters of the Manager itself and the sums by pool and monitor, sorted by their names.
func (m *Manager) Stats() Stats {
	var st Stats
	m.do(func() {
		l := m.l
		st = l.count
		st.InFlight = len(l.runs)
		for s := range l.pools.all {
			st.Targets++
			st.Checks += len(s.checks)
		}
		for k, s := range l.stats {
			st.Monitors = append(st.Monitors, MonitorStats{
				Pool: k.pool, Monitor: k.monitor, Latency: s.latency, Checks: s.checks, Failures: codeCounts(&s.counts),
			})
		}
	})
	st.KicksCut, st.Dropped = m.l.kicksCut.Load(), m.l.dropped.Load()
	slices.SortFunc(st.Monitors, func(a, b MonitorStats) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Monitor, b.Monitor))
	})
	return st
}
