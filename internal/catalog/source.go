package catalog

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/carillon-sip/carillon/internal/store"
)

// Source follows a store once for all in a process who want to see: what they look at is the same memory.
type Source struct {
	mu     sync.Mutex // guards what follows; held while hearers are called, so that each hears all in order
	at     follower
	err    error // of the last batch; valid iff told
	told   bool
	hear   map[int]func(*View, error)
	number int

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// NewSource begins to follow a store.
func NewSource(st *store.Store, log *slog.Logger) *Source {
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{at: follower{st: st, log: log, v: Empty()}, hear: map[int]func(*View, error){}, stop: stop}
	s.wg.Go(func() {
		for b := range st.Follow(ctx, Prefix) {
			s.mu.Lock()
			s.take(ctx, b)
			s.mu.Unlock()
		}
	})
	return s
}

// take brings in a batch and tells of it. The caller holds s.mu.
func (s *Source) take(ctx context.Context, b store.Batch) {
	news, err := s.at.take(ctx, b)
	if !news {
		return
	}
	s.err, s.told = err, true
	for _, f := range s.hear {
		f(s.at.v, err)
	}
}

// Committed tells the source of a transaction that changed the configuration from before on, in this process: what the
// store will tell in a moment is seen at once. The transaction must have compared Generation with that of before, so
// that nothing came between. If the source sees something else by now, or is at work, the store's word is waited for.
func (s *Source) Committed(ctx context.Context, before *View, t *store.Txn, revision int64) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.at.v != before || s.at.lost || !s.told || s.err != nil {
		return
	}
	b := store.Batch{Revision: revision}
	for _, kv := range t.Put {
		if !strings.HasPrefix(kv.Key, Prefix) {
			continue
		}
		kv.Revision = revision
		if kv.Key == Generation {
			kv.Version = before.Changes + 1
		}
		b.Puts = append(b.Puts, kv)
	}
	for _, key := range t.Delete {
		if strings.HasPrefix(key, Prefix) {
			b.Deletes = append(b.Deletes, store.KV{Key: key, Revision: revision})
		}
	}
	s.take(ctx, b)
}

// Close ends following. The store is the caller's.
func (s *Source) Close() {
	s.stop()
	s.wg.Wait()
}

// Follow does what the function Follow does, with the views of the source. f must return soon.
func (s *Source) Follow(ctx context.Context, f func(v *View, err error)) {
	s.mu.Lock()
	s.number++
	me := s.number
	if s.told {
		f(s.at.v, s.err)
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
