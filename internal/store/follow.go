package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// Times of a follower.
const (
	lookEvery   = 2 * time.Second // it asks whether the store is there, and is what it was
	lookTimeout = 3 * time.Second
	retryMin    = 100 * time.Millisecond
	retryMax    = 3 * time.Second
	stuckLooks  = 5 // looks in a row at which the store is ahead and the watch says nothing
)

// Batch is what one revision changed. Or, with Reset, all there is; or, with Err,
// that the store is in trouble; or, with none of these, that nothing changed up to
// Revision: what follows trouble that ended, and what other prefixes did.
type Batch struct {
	Revision int64
	Puts     []KV
	Deletes  []KV // Key, and Revision of the deletion
	Reset    bool // Puts is the whole content; what it lacks is gone
	Err      error
}

// Follow starts with a Reset batch, then gives one batch a revision that changed
// something under prefix, in order and without gaps, until ctx ends or the store is
// closed; then the channel closes. Another Reset comes if a revision was compacted
// before it could be had, or if the store lost its history (a backup was restored):
// only then may Revision go back. Trouble is told once, by a batch with Err; the
// next batch without says that it is over.
func (s *Store) Follow(ctx context.Context, prefix string) <-chan Batch {
	f := &follower{s: s, prefix: prefix, queue: newQueue(), id: followers.Add(1)}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(s.ctx, cancel)
	s.wg.Add(2)
	go func() {
		defer s.wg.Done()
		defer cancel()
		f.run(ctx)
	}()
	go func() {
		defer s.wg.Done()
		f.queue.deliver(ctx)
	}()
	return f.queue.out
}

// followers numbers them, for a watch stream each.
var followers atomic.Int64

// follower belongs to one goroutine, but for the queue.
type follower struct {
	s      *Store
	prefix string
	id     int64
	queue  *queue

	last    int64 // newest revision queued or known to have changed nothing; 0: list first
	changed int64 // newest revision queued that changed something
	trouble bool  // told

	// By these a history is known again; without their values.
	cluster uint64
	newest  KV // a put of changed
	anchor  KV // what was newest when the last look began
	first   KV // what came first after that
}

var (
	errHistory = errors.New("what was delivered does not fit what the store has")
	errBehind  = errors.New("the reader is slow")
)

func (f *follower) run(ctx context.Context) {
	retry := retryMin
	for ctx.Err() == nil {
		before := f.last
		err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if f.last != before {
			retry = retryMin
		}
		switch {
		case errors.Is(err, errBehind):
			f.queue.drained(ctx) // then the store gives again what we have not taken
			continue
		case errors.Is(err, errHistory), is(err, rpctypes.ErrCompacted):
			f.last = 0
		default:
			f.tell(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, retryMax)
	}
}

// session lists if need be, then watches until something is wrong.
func (f *follower) session(ctx context.Context) error {
	c, err := f.s.client()
	if err != nil {
		return err
	}
	if f.last == 0 {
		if err := f.list(ctx); err != nil {
			return err
		}
	} else if err := f.look(ctx, c, f.seen()); err != nil {
		return err
	}
	f.over()
	// A stream of its own: what tells its progress is then about this watch alone.
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "follower", strconv.FormatInt(f.id, 10)))
	defer cancel()
	watch := c.Watch(clientv3.WithRequireLeader(ctx), f.s.prefix+f.prefix,
		clientv3.WithPrefix(), clientv3.WithRev(f.last+1), clientv3.WithProgressNotify())
	return f.watch(ctx, c, watch)
}

func (f *follower) list(ctx context.Context) error {
	kvs, revision, cluster, err := f.s.list(ctx, f.prefix)
	if err != nil {
		return err
	}
	f.newest = KV{}
	for _, kv := range kvs {
		if kv.Revision > f.newest.Revision {
			f.newest = kv
		}
	}
	if f.newest.Revision == 0 {
		if f.newest, err = f.s.newest(ctx, revision); err != nil {
			return err
		}
	}
	f.newest.Value = nil
	f.anchor, f.first = f.newest, KV{}
	f.last, f.changed, f.cluster = revision, revision, cluster
	f.trouble = false
	f.queue.push(Batch{Revision: revision, Puts: kvs, Reset: true})
	return nil
}

func (f *follower) watch(ctx context.Context, c *clientv3.Client, watch clientv3.WatchChan) error {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	type result struct {
		seen history
		err  error
	}
	looked := make(chan result, 1)
	looking, silent := false, 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r, ok := <-watch:
			if !ok {
				return fmt.Errorf("%w: the watch ended", ErrUnavailable)
			}
			if err := r.Err(); err != nil {
				return watchError(err)
			}
			silent = 0
			if err := f.take(&r); err != nil {
				return err
			}
		case <-every.C:
			if now, err := f.s.client(); err != nil || now != c {
				return fmt.Errorf("%w: it starts anew", ErrUnavailable)
			}
			if looking {
				continue
			}
			looking = true
			go func(seen history) { looked <- result{seen, f.lookOn(ctx, c, seen)} }(f.seen())
			f.first = KV{}
		case r := <-looked:
			looking = false
			if errors.Is(r.err, errHistory) {
				return r.err
			}
			if r.err != nil {
				if r.seen.first.Revision > 0 {
					f.first = r.seen.first
				}
				f.tell(r.err) // the watch stays: it comes back by itself
				continue
			}
			f.anchor = r.seen.newest
			f.over()
			if silent++; silent > stuckLooks {
				return fmt.Errorf("%w: the watch hangs", ErrUnavailable)
			}
		}
	}
}

// watchError keeps a compaction recognisable.
func watchError(err error) error {
	if is(err, rpctypes.ErrCompacted) {
		return err
	}
	return explain(err)
}

// lookOn looks, and asks for a word about how far the watch is.
func (f *follower) lookOn(ctx context.Context, c *clientv3.Client, seen history) error {
	if err := f.look(ctx, c, seen); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	_ = c.RequestProgress(clientv3.WithRequireLeader(ctx)) // a watch that hangs shows by its silence
	return nil
}

// history is what a store must have to be the one that was followed.
type history struct {
	cluster               uint64
	revision              int64 // or a later one
	anchor, first, newest KV
}

func (f *follower) seen() history { return history{f.cluster, f.last, f.anchor, f.first, f.newest} }

// look tells whether the store can be reached and still has the history. It looks
// for the anchor and for what came first since: if another history took over in
// between, one of them is of the old one.
func (f *follower) look(ctx context.Context, c *clientv3.Client, seen history) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, kv := range []KV{seen.anchor, seen.first} {
		if err := f.find(ctx, c, seen, kv); err != nil {
			return err
		}
	}
	return nil
}

// find looks for one change; the zero KV stands for none.
func (f *follower) find(ctx context.Context, c *clientv3.Client, seen history, kv KV) error {
	key := f.s.prefix + cmp.Or(kv.Key, f.prefix)
	r, err := c.Get(ctx, key, clientv3.WithKeysOnly())
	if err != nil {
		return explain(err)
	}
	if r.Header.Revision < seen.revision || r.Header.ClusterId != seen.cluster {
		return errHistory
	}
	if kv.Revision == 0 || sameKV(r.Kvs, kv) {
		return nil
	}
	// It was changed since. Then it was so at its time, unless nobody knows any more.
	r, err = c.Get(ctx, key, clientv3.WithKeysOnly(), clientv3.WithRev(kv.Revision))
	switch {
	case err != nil && is(err, rpctypes.ErrCompacted):
		return nil
	case err != nil && is(err, rpctypes.ErrFutureRev):
		return errHistory
	case err != nil:
		return explain(err)
	case !sameKV(r.Kvs, kv):
		return errHistory
	}
	return nil
}

func sameKV(kvs []*mvccpb.KeyValue, want KV) bool {
	return len(kvs) == 1 && kvs[0].ModRevision == want.Revision && kvs[0].CreateRevision == want.Created &&
		kvs[0].Version == want.Version
}

// take queues what a response has: whole revisions, each of them complete.
func (f *follower) take(r *clientv3.WatchResponse) error {
	if r.Header.ClusterId != f.cluster {
		return errHistory
	}
	for events := r.Events; len(events) > 0; {
		revision := events[0].Kv.ModRevision
		n := 1
		for n < len(events) && events[n].Kv.ModRevision == revision {
			n++
		}
		if revision > f.last {
			f.one(revision, events[:n])
		} else if revision > f.changed {
			return errHistory // it was said that nothing changed up to there
		}
		events = events[n:]
	}
	if r.IsProgressNotify() && r.Header.Revision > f.last {
		f.last = r.Header.Revision
		f.queue.push(Batch{Revision: f.last})
	}
	if f.queue.full() {
		return errBehind
	}
	return nil
}

func (f *follower) one(revision int64, events []*clientv3.Event) {
	b := Batch{Revision: revision}
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			b.Deletes = append(b.Deletes, KV{Key: strings.TrimPrefix(string(e.Kv.Key), f.s.prefix), Revision: revision})
			continue
		}
		kv := f.s.kv(e.Kv)
		b.Puts = append(b.Puts, kv)
		kv.Value = nil
		f.newest = kv
		if f.first.Revision == 0 {
			f.first = kv
		}
	}
	byKey := func(a, b KV) int { return strings.Compare(a.Key, b.Key) }
	slices.SortFunc(b.Puts, byKey)
	slices.SortFunc(b.Deletes, byKey)
	f.last, f.changed = revision, revision
	f.trouble = false
	f.queue.push(b)
}

// tell says that there is trouble, once.
func (f *follower) tell(err error) {
	if f.trouble {
		return
	}
	f.trouble = true
	f.queue.push(Batch{Revision: f.last, Err: err})
}

// over says that trouble is over.
func (f *follower) over() {
	if !f.trouble {
		return
	}
	f.trouble = false
	f.queue.push(Batch{Revision: f.last})
}
