package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/server/v3/embed"
)

// change is one acknowledged write: what a follower must hear of.
type change struct {
	Revision int64
	Key      string
	Value    string
}

// TestMemberLost: three writers and three followers on three members, of which the
// leader and then a follower stop without a word and come back. What was
// acknowledged is there, and every follower hears of every revision, in order.
func TestMemberLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, true)
	const sides, step = 3, 60
	p := "config/"
	var heard [sides]chan []change
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range heard {
		f := open(t, c.config()).Follow(ctx, p)
		if b := nextGood(t, f); !b.Reset || len(b.Puts) > 0 {
			t.Fatalf("%+v", b)
		}
		heard[i] = make(chan []change, 1)
		go func() { heard[i] <- listen(t, f) }()
	}
	var acked atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	written := make([][]change, sides)
	for i := range sides {
		s := open(t, c.config())
		wg.Go(func() { written[i] = count(t, s, fmt.Sprint(p, "w", i), &acked, &stop) })
	}
	more := func() {
		want := acked.Load() + step
		eventually(t, "writes go on", func() bool { return acked.Load() >= want })
	}
	for _, which := range []func() *member{c.leader, func() *member { return other(c, c.leader()) }} {
		more()
		m := which()
		c.kill(m)
		more()
		c.start(m)
	}
	more()
	stop.Store(true)
	wg.Wait()
	put(t, open(t, c.config()), p+"end", "")

	var first []change
	for i := range heard {
		got := <-heard[i]
		if first == nil {
			first = got
		}
		if d := cmp.Diff(first, got); d != "" {
			t.Errorf("followers 0 and %d heard other things: %s", i, d)
		}
	}
	told := map[change]bool{}
	for i, h := range first {
		told[h] = true
		if i > 0 && h.Revision <= first[i-1].Revision {
			t.Errorf("%v came after %v", h, first[i-1])
		}
	}
	n := 0
	for _, w := range written {
		n += len(w)
		for _, a := range w {
			if !told[a] {
				t.Errorf("%v was acknowledged, and no follower heard of it", a)
			}
		}
	}
	if len(first) != n {
		t.Errorf("%d changes were heard of, %d were written", len(first), n)
	}
}

func other(c *cluster, not *member) *member {
	for _, m := range c.members {
		if m != not {
			return m
		}
	}
	return nil
}

// count writes 1, 2, 3 ... under a key, each compared with the one before, and gives
// back what is there for certain.
func count(t *testing.T, s *Store, key string, acked *atomic.Int64, stop *atomic.Bool) (written []change) {
	last := int64(0)
	for n := 1; !stop.Load(); n++ {
		value := strconv.Itoa(n)
		txn := Txn{Compare: []Cond{{key, last}}, Put: []KV{{Key: key, Value: []byte(value)}}}
		for done := false; !done; {
			rev, ok, err := s.Commit(t.Context(), txn)
			switch {
			case errors.Is(err, ErrUnavailable):
				// Once more: if it happened, the comparison says so.
				if !pause(t) {
					return written
				}
				continue
			case err != nil:
				t.Errorf("write %s: %v", key, err)
				return written
			case !ok:
				kv, _, _, err := s.Get(t.Context(), key)
				if err != nil {
					continue
				}
				if string(kv.Value) != value {
					t.Errorf("%s is %s, want %s", key, kv.Value, value)
					return written
				}
				rev = kv.Revision
			}
			last, done = rev, true
		}
		written = append(written, change{last, key, value})
		acked.Add(1)
	}
	return written
}

// pause is what a writer waits for before it tries again; false: the test is over.
func pause(t *testing.T) bool {
	select {
	case <-t.Context().Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}

// listen notes every put until the key "end" comes.
func listen(t *testing.T, f <-chan Batch) (heard []change) {
	for b := range f {
		if b.Reset {
			t.Error("a follower had to start anew")
		}
		for _, kv := range b.Puts {
			if kv.Key == "config/end" {
				return heard
			}
			heard = append(heard, change{kv.Revision, kv.Key, string(kv.Value)})
		}
	}
	return heard
}

// TestLost: without the store changes are refused, followers are told, and
// everything goes on when it is back: no follower starts anew, and leases are made
// again.
func TestLost(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, true)
	s := open(t, c.config())
	f := s.Follow(t.Context(), "config/")
	nextGood(t, f)
	rev := put(t, s, "config/a", "1")
	l, err := s.Lease(t.Context(), "engine/1", 2*time.Second, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for b := nextGood(t, f); b.Revision != rev; b = nextGood(t, f) {
		if !b.empty() {
			t.Fatalf("%+v", b)
		}
	}
	c.kill(c.members[0])
	for b := next(t, f); b.Err == nil; b = next(t, f) {
		if !b.empty() {
			t.Fatalf("%+v", b)
		}
	}
	if _, _, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: "config/b"}}}); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUncertain) {
		t.Errorf("commit without a store: %v", err)
	}
	if err := l.Put(t.Context(), []byte("y")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("lease without a store: %v", err)
	}
	if st := s.Status(t.Context()); st.Healthy || st.Error == "" {
		t.Errorf("%+v", st)
	}
	c.start(c.members[0])
	if b := next(t, f); !b.empty() || b.Revision < rev {
		t.Fatalf("%+v", b)
	}
	eventually(t, "the lease has its last value", func() bool {
		kv, _, _, err := s.Get(t.Context(), "engine/1")
		return err == nil && string(kv.Value) == "y"
	})
	rev = put(t, s, "config/c", "1")
	for b := nextGood(t, f); b.Revision < rev; b = nextGood(t, f) {
		if !b.empty() {
			t.Fatalf("%+v", b)
		}
	}
}

// TestAnotherHistory: what was followed is not what is there now, as after a backup
// was restored. The follower starts anew, also if the revisions would go on.
func TestAnotherHistory(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]int{"behind": 1, "ahead": 60} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1, true)
			one := c.members[0]
			two := &member{url: one.url, config: new(embed.Config)}
			*two.config = *one.config
			two.config.Dir = t.TempDir()
			c.members = append(c.members, two)
			c.kill(one)
			c.start(two)
			cfg := c.config()
			cfg.URLs = cfg.URLs[:1]
			s := open(t, cfg)
			for i := range ahead {
				put(t, s, fmt.Sprint("config/two", i), "2")
			}
			c.kill(two)
			c.start(one)
			eventually(t, "the first is there", func() bool {
				kvs, _, err := s.List(t.Context(), "")
				return err == nil && len(kvs) == 0
			})
			f := s.Follow(t.Context(), "config/")
			nextGood(t, f)
			var rev int64
			for i := range 20 {
				rev = put(t, s, fmt.Sprint("config/one", i), "1")
			}
			for b := nextGood(t, f); b.Revision < rev; b = nextGood(t, f) {
			}
			c.kill(one)
			c.start(two)
			for {
				b := nextGood(t, f)
				if !b.Reset {
					continue
				}
				if len(b.Puts) != ahead || b.Puts[0].Key != "config/two0" {
					t.Errorf("%d keys at %d: %v", len(b.Puts), b.Revision, b.Puts)
				}
				return
			}
		})
	}
}
