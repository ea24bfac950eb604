package catalog

import (
	"cmp"
	"context"
	"log/slog"
	"sync"

	"github.com/carillon-sip/carillon/internal/store"
)

// Source follows a store once for all in a process who want to see: what they look at is the same memory.
type Source struct {
	mu     sync.Mutex // guards what follows; held while hearers are called, so that each hears all in order
	view   *View      // nil: none yet
	err    error      // valid iff told
	told   bool
	hear   map[int]func(*View, error)
	number int

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// NewSource begins to follow a store.
func NewSource(st *store.Store, log *slog.Logger) *Source {
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{hear: map[int]func(*View, error){}, stop: stop}
	s.wg.Go(func() { Follow(ctx, st, log, s.tell) })
	return s
}

// Close ends following. The store is the caller's.
func (s *Source) Close() {
	s.stop()
	s.wg.Wait()
}

func (s *Source) tell(v *View, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view, s.err, s.told = v, err, true
	for _, f := range s.hear {
		f(v, err)
	}
}

// Follow does what the function Follow does, with the views of the source. f must return soon.
func (s *Source) Follow(ctx context.Context, f func(v *View, err error)) {
	s.mu.Lock()
	s.number++
	me := s.number
	if s.told {
		f(s.view, s.err)
	}
	s.hear[me] = f
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	delete(s.hear, me)
	s.mu.Unlock()
}

// Load returns the newest view of a source, and waits for the first.
func (s *Source) Load(ctx context.Context) (*View, error) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	var out *View
	var why error
	s.Follow(ctx, func(v *View, err error) {
		if why = err; err == nil && out == nil {
			out = v
			done()
		}
	})
	if out == nil {
		return nil, cmp.Or(why, ctx.Err())
	}
	return out, nil
}
