package health

import (
	"net/netip"
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
	LatencyLast time.Duration `json:"recent_response_time"`
	LatencyMin  time.Duration `json:"min_response_time"`
	LatencyAvg  time.Duration `json:"avg_response_time"`
	LatencyMax  time.Duration `json:"max_response_time"`
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
	Status  int           `json:"status,omitempty"`  // SIP status code; 0 = none came, or not a SIP monitor
	Latency time.Duration `json:"latency,omitempty"` // from the first datagram to the answer, or to the end without one
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
