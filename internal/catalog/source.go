package catalog

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/carillon-sip/carillon/internal/object"
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
	if news, err := s.at.take(ctx, b); news {
		s.tell(err)
	}
}

// tell has all hear how it is now. The caller holds s.mu.
func (s *Source) tell(err error) {
	s.err, s.told = err, true
	for _, f := range s.hear {
		f(s.at.v, err)
	}
}

// Commit is a change of the configuration that this process has made.
type Commit struct {
	Before, After *View    // After is Before with the changes, and nobody else knows it yet
	Changes       []Change // the same
	Modified      int64    // µs, what Generation reads now
	Txn           *store.Txn
	Revision      int64 // in which it happened
}

// Committed tells the source of a transaction that changed the configuration, in this process: what the store will tell in a
// moment is seen at once. The transaction must have compared Generation with that of the view before, so that nothing came
// between. If the source sees something else by now, or is at work, the store's word is waited for.
func (s *Source) Committed(ctx context.Context, c Commit) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.at.v != c.Before || s.at.lost || !s.told || s.err != nil {
		return
	}
	if c.plain() {
		c.date()
		s.at.v = c.After
		s.tell(nil)
		return
	}
	s.take(ctx, c.batch())
}

// plain reports whether what was stored reads as it was before: its objects need not be read again.
func (c *Commit) plain() bool {
	return len(c.Before.Faults) == 0 && !slices.ContainsFunc(c.Changes, func(ch Change) bool { return ch.Put != nil && !object.Plain(ch.Put.Kind()) })
}

// date gives the new view, and what is new in it, the numbers that the store gave them.
func (c *Commit) date() {
	for _, ch := range c.Changes {
		if ch.Put != nil {
			ch.Put.Revision = c.Revision
		}
	}
	v := c.After
	v.Revision, v.Generation, v.Changes, v.Modified = c.Revision, c.Revision, c.Before.Changes+1, max(v.Modified, c.Modified)
}

// batch is what the store will tell.
func (c *Commit) batch() store.Batch {
	before, t, revision := c.Before, c.Txn, c.Revision
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
	return b
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
