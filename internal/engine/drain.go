package engine

import (
	"fmt"
	"time"

	"github.com/carillon-sip/carillon/internal/snapshot"
)

// DrainStatus is how far a server is that drains.
type DrainStatus struct {
	Calls     int64         // that are up on it; without Record-Route, Call-IDs that are known
	PerMinute float64       // how many end, over the last minute
	Expected  time.Duration // until the last ends at that rate; 0: nothing can be said
	Deadline  time.Time     // when it is disabled for good
}

// String says it in a sentence.
func (d *DrainStatus) String() string {
	text := fmt.Sprintf("%d calls left", d.Calls)
	if d.Expected > 0 {
		text += fmt.Sprintf(", %.1f end a minute, empty in about %s", d.PerMinute, d.Expected.Round(time.Second))
	}
	return text + ", disabled at " + d.Deadline.Format(time.TimeOnly)
}

// ebb is how many calls a draining server had, by second.
type ebb struct {
	calls [60]int64
	n     int // seconds that were noted
}

// noteDrains notes the calls of servers that drain, once a second. The caller holds e.mu.
func (e *Engine) noteDrains() {
	for k := range e.ebbs {
		if _, draining := e.drains[k]; !draining {
			delete(e.ebbs, k)
		}
	}
	for k := range e.drains {
		_, sv := e.find(k)
		if sv == nil {
			continue
		}
		b := e.ebbs[k]
		if b == nil {
			b = new(ebb)
			e.ebbs[k] = b
		}
		b.calls[b.n%len(b.calls)] = e.callsLeft(sv)
		b.n++
	}
}

// callsLeft are the calls that are up on a server, as far as a service with Record-Route sees them; else the Call-IDs.
func (e *Engine) callsLeft(sv *snapshot.Server) int64 {
	for _, s := range e.live.Load().snap.Services {
		if s.Has(sv.Pool) && s.RecordRoute {
			return max(0, sv.State.Dialogs.Load())
		}
	}
	return max(0, sv.State.Calls.Load())
}

// drainStatus tells of a server that drains; nil if it does not. The caller holds e.mu.
func (e *Engine) drainStatus(p *snapshot.Pool, sv *snapshot.Server) *DrainStatus {
	k := drainKey{p.ID, sv.Addr}
	until, draining := e.drains[k]
	if !draining {
		return nil
	}
	st := &DrainStatus{Calls: e.callsLeft(sv), Deadline: until}
	if b := e.ebbs[k]; b != nil && b.n > 1 {
		seconds := min(b.n, len(b.calls)) - 1
		first := b.calls[max(0, b.n-len(b.calls))%len(b.calls)]
		if ended := first - b.calls[(b.n-1)%len(b.calls)]; ended > 0 {
			st.PerMinute = float64(ended) * 60 / float64(seconds)
			st.Expected = time.Duration(float64(st.Calls) / st.PerMinute * float64(time.Minute))
		}
	}
	return st
}
