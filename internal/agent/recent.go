package agent

import (
	"context"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/report"
)

// baseEvery is how often it is noted what the engine has counted, for what is recent of it.
const baseEvery = time.Minute

// bases are what the engine had counted at times of the last minutes, the oldest first. There is always one. Times
// are compared by the monotonic clock, so a jump of the wall clock moves nothing.
type bases struct {
	mu  sync.Mutex
	all []*report.Baseline
}

func newBases(now time.Time) *bases {
	return &bases{all: []*report.Baseline{report.NewBaseline(&report.Engine{}, now)}}
}

// note adds what a report says, and forgets what is older than it need be.
func (b *bases) note(e *report.Engine, now time.Time) {
	one := report.NewBaseline(e, now)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, one)
	for len(b.all) > 1 && now.Sub(b.all[1].At) >= report.ScoreWindow {
		b.all = b.all[1:]
	}
}

// tell says in a report what of it is recent.
func (b *bases) tell(e *report.Engine, now time.Time) {
	b.mu.Lock()
	oldest := b.all[0]
	for _, base := range b.all[1:] {
		if now.Sub(base.At) >= report.ScoreWindow {
			oldest = base
		}
	}
	b.mu.Unlock()
	e.Since(oldest, now)
}

// watch notes what the engine has counted until ctx ends.
func (b *bases) watch(ctx context.Context, eng *engine.Engine) {
	t := time.NewTicker(baseEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			st := eng.Status()
			b.note(Convert(&st, report.Registration{}), time.Now())
		}
	}
}
