package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/store"
)

// Sessions are numbered by the controller that opened them, each user's from 1. So the logouts of whoever logs in and
// out all day are one stretch of numbers: what is remembered of them, here and in the store, grows with the sessions
// that go on between them, never with the logouts.

const (
	revokedPrefix = "revoked/" // and the run of a controller, and the uuid of a user
	// MaxLogouts is how many stretches of logged out sessions are remembered of one user at one controller. Beyond it the
	// oldest sessions between them end too.
	MaxLogouts = 256
	// revokedFor is how long logouts are remembered after the last of a user: no cookie of before is good any more then. By
	// the monotonic clock: when the one on the wall is set forward and back, they outlive the cookies.
	revokedFor = SessionIdle + 2*sessionRenew
	// revokedAtOnce is how many keys are forgotten in one transaction.
	revokedAtOnce = 50
)

// span is sessions that were logged out, by number.
type span struct {
	from, to uint64
	last     time.Time // when the last of them was
}

// spans are in order, and do not touch.
type spans []span

func (s spans) has(n uint64) bool {
	_, found := slices.BinarySearchFunc(s, n, func(a span, n uint64) int {
		switch {
		case a.to < n:
			return -1
		case a.from > n:
			return 1
		}
		return 0
	})
	return found
}

// with adds a number, and forgets what is over. early is how many sessions between had to go with it.
func (s spans) with(n uint64, now time.Time) (out spans, early uint64) {
	out = s.union(span{n, n, now})
	out = slices.DeleteFunc(out, func(a span) bool { return now.Sub(a.last) > revokedFor })
	for len(out) > MaxLogouts {
		early += out[1].from - out[0].to - 1
		out[1].from = out[0].from
		out = out[1:]
	}
	return out, early
}

// union adds a stretch, and joins what touches it. s stays as it is.
func (s spans) union(a span) spans {
	out := make(spans, 0, len(s)+1)
	at := 0
	for _, b := range s {
		switch {
		case b.to+1 < a.from:
			out = append(out, b)
			at = len(out)
		case a.to+1 < b.from:
			out = append(out, b)
		default:
			a.from, a.to = min(a.from, b.from), max(a.to, b.to)
			if b.last.After(a.last) {
				a.last = b.last
			}
		}
	}
	return slices.Insert(out, at, a)
}

func (s spans) String() string {
	var b strings.Builder
	for i, a := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d-%d", a.from, a.to)
	}
	return b.String()
}

func readSpans(text string) (out spans) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 64)
		b, err2 := strconv.ParseUint(to, 10, 64)
		if ok && err == nil && err2 == nil && a <= b {
			out = append(out, span{from: a, to: b})
		}
	}
	return out
}

// logouts are the sessions that were logged out, at every controller.
type logouts struct {
	run string // of this controller; another one after each start, so that numbers are never used again

	mu     sync.RWMutex
	opened map[string]uint64     // by user: sessions opened here
	by     map[string]*loggedOut // by key

	writing sync.Mutex
}

// loggedOut is what one user has logged out at one controller.
type loggedOut struct {
	spans    spans
	heard    time.Time // when it last became more
	changes  uint64    // of spans, made here
	stored   uint64    // of them, what the store has
	revision int64     // of the store
}

func newLogouts() *logouts {
	return &logouts{run: rand.Text()[:10], opened: map[string]uint64{}, by: map[string]*loggedOut{}}
}

// open numbers a new session.
func (l *logouts) open(user string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened[user]++
	return l.run + "." + strconv.FormatUint(l.opened[user], 10)
}

// has reports whether a session was logged out. What is no number of a session counts as one that was.
func (l *logouts) has(user, id string) bool {
	run, n, ok := numberOf(id)
	if !ok {
		return true
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.by[revokedKey(run, user)]
	return o != nil && o.spans.has(n)
}

func numberOf(id string) (run string, n uint64, ok bool) {
	run, text, ok := strings.Cut(id, ".")
	n, err := strconv.ParseUint(text, 10, 64)
	return run, n, ok && err == nil
}

func revokedKey(run, user string) string { return revokedPrefix + run + "/" + user }

// put logs a session out, here at first. It returns the key, and how many others had to end with it.
func (l *logouts) put(user, id string, now time.Time) (key string, early uint64) {
	run, n, ok := numberOf(id)
	if !ok {
		return "", 0
	}
	key = revokedKey(run, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.by[key]
	if o == nil {
		o = &loggedOut{}
		l.by[key] = o
	}
	o.spans, early = o.spans.with(n, now)
	o.changes, o.heard = o.changes+1, now
	return key, early
}

// learn takes in what the store has of a key: sessions that were logged out elsewhere.
func (l *logouts) learn(kv store.KV, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.by[kv.Key]
	switch {
	case o == nil:
		o = &loggedOut{}
		l.by[kv.Key] = o
	case o.revision == kv.Revision:
		return
	}
	for _, a := range readSpans(string(kv.Value)) {
		a.last = now
		o.spans = o.spans.union(a)
	}
	o.heard, o.revision = now, kv.Revision
}

// drop forgets a key that the store has no more, unless something of it is still to be written.
func (l *logouts) drop(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.by[key]; o != nil && o.stored != o.changes {
		o.revision = 0
		return
	}
	delete(l.by, key)
}

// len is how many stretches are remembered.
func (l *logouts) len() (n int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, o := range l.by {
		n += len(o.spans)
	}
	return n
}

// over are the keys that need not be remembered any more, each as it was last seen.
func (l *logouts) over(now time.Time) (out []store.Cond) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for key, o := range l.by {
		if now.Sub(o.heard) > revokedFor {
			out = append(out, store.Cond{Key: key, Revision: o.revision})
		}
	}
	return out
}

// Logout ends a session on every controller.
func (c *Controller) Logout(ctx context.Context, s *Session) error {
	l := c.logouts
	key, early := l.put(s.user, s.id, time.Now())
	c.counts.endedEarly.Add(early)
	l.writing.Lock() // those that came meanwhile are written as one
	defer l.writing.Unlock()
	for {
		t, changes := l.unwritten(key)
		if changes == 0 {
			return nil
		}
		revision, ok, err := c.st.Commit(ctx, t)
		if err == nil && ok {
			l.written(key, revision, changes)
			return nil
		}
		if err == nil { // another controller wrote the key too
			kv, _, _, getErr := c.st.Get(ctx, key)
			kv.Key, err = key, getErr
			l.learn(kv, time.Now())
		}
		if err != nil {
			return unavailable(err)
		}
	}
}

// unwritten is the transaction that brings a key up to date, and how many changes it is ahead by; 0: it is none.
func (l *logouts) unwritten(key string) (t store.Txn, changes uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.by[key]
	if o == nil || o.stored == o.changes {
		return t, 0
	}
	return store.Txn{Compare: []store.Cond{{Key: key, Revision: o.revision}}, Put: []store.KV{{Key: key, Value: []byte(o.spans.String())}}, Frees: true}, o.changes
}

func (l *logouts) written(key string, revision int64, changes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.by[key]; o != nil {
		o.stored, o.revision = changes, max(o.revision, revision)
	}
}

// followLogouts learns of logouts at other controllers, and forgets old ones.
func (c *Controller) followLogouts(ctx context.Context) {
	batches := c.st.Follow(ctx, revokedPrefix)
	tidy := time.NewTicker(time.Minute)
	defer tidy.Stop()
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return
			}
			for _, kv := range b.Puts {
				c.logouts.learn(kv, time.Now())
			}
			for _, kv := range b.Deletes {
				c.logouts.drop(kv.Key)
			}
		case now := <-tidy.C:
			c.forgetLogouts(ctx, now)
		}
	}
}

func (c *Controller) forgetLogouts(ctx context.Context, now time.Time) {
	for old := range slices.Chunk(c.logouts.over(now), revokedAtOnce) {
		t := store.Txn{Compare: old}
		for _, k := range old {
			t.Delete = append(t.Delete, k.Key)
		}
		_, ok, err := c.st.Commit(ctx, t)
		if err != nil {
			c.log.Debug("old logouts are still remembered", "error", err)
			return
		}
		if ok {
			for _, k := range old {
				c.logouts.drop(k.Key)
			}
		}
	}
}
