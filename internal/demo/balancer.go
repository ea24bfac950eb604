package demo

import "time"

// balancer is what the demonstration needs of the balancer.
type balancer struct {
	status func() Status
	enable func(server int, enabled bool) error // false: drain
	stop   func()
}

// Status is a reading of the balancer: what the view shows of engine.Status. Counters count since the start.
type Status struct {
	Revision     uint64
	Transactions int               // remembered
	Calls        int               // Call-IDs remembered
	Requests     map[string]uint64 // forwarded, by method
	Responses    map[int]uint64    // forwarded or of its own, by status; 1 to 6: other statuses of that class
	Routed       []ReasonCount     // requests, by what decided where they went
	Dropped      []ReasonCount     // refused or dropped, by reason
	Servers      []ServerStatus
}

// ReasonCount counts messages by what became of them.
type ReasonCount struct {
	Reason string
	Count  uint64
}

// ServerStatus is a reading of one server.
type ServerStatus struct {
	Name      string
	State     string // one of the words below
	Reason    string
	HashShare float64 // of the keys, 0 to 1
	Requests  uint64
	Open      int64 // transactions
	Latency   latency
}

// Words of ServerStatus.State.
const (
	stateUp       = "up"
	stateDown     = "down"
	stateDisabled = "disabled"
	stateDraining = "draining"
	stateBackoff  = "backoff"
	stateUnknown  = "unknown"
)

// latency counts response times: place i those below 2^(i+6) µs and not counted before, the last the rest.
type latency [latencyBuckets]uint64

const latencyBuckets = 22

// since is what was counted after an earlier reading.
func (l latency) since(was latency) latency {
	for i := range l {
		l[i] -= min(was[i], l[i])
	}
	return l
}

// quantile is the time that a share p did not exceed, evened out within its place; 0 if nothing was counted.
func (l latency) quantile(p float64) time.Duration {
	total := uint64(0)
	for _, n := range l {
		total += n
	}
	want := p * float64(total)
	for i, n := range l {
		if n == 0 || want > float64(n) {
			want -= float64(n)
			continue
		}
		high := time.Duration(1<<(i+6)) * time.Microsecond
		low := high / 2
		if i == 0 {
			low = 0
		}
		return low + time.Duration(float64(high-low)*want/float64(n))
	}
	return 0
}
