package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestConformance is what every way to a store must do.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		conform(t, Config{Dir: t.TempDir()}, true)
	})
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		dir := shortDir(t)
		open(t, Config{Dir: dir})
		conform(t, Config{URLs: []string{"unix://" + filepath.Join(dir, socketFile)}}, false)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		conform(t, newCluster(t, 3, true).config(), true)
	})
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		conform(t, newCluster(t, 1, false).withPassword("carillon", "s3cret"), false)
	})
}

// conform tests what c leads to. bulk: also what takes many megabytes, and an
// administrator's rights.
func conform(t *testing.T, c Config, bulk bool) {
	s := open(t, c)
	t.Run("Commit", func(t *testing.T) { testCommit(t, s) })
	t.Run("List", func(t *testing.T) { testList(t, s) })
	t.Run("Follow", func(t *testing.T) { testFollow(t, s) })
	t.Run("Other", func(t *testing.T) { testOther(t, s) })
	t.Run("TooLarge", func(t *testing.T) { testTooLarge(t, s) })
	t.Run("Lease", func(t *testing.T) { testLease(t, s) })
	t.Run("Status", func(t *testing.T) { testStatus(t, s) })
	if bulk {
		t.Run("Slow", func(t *testing.T) { testSlow(t, s) })
		t.Run("Compacted", func(t *testing.T) { testCompacted(t, s) })
	}
}

func testCommit(t *testing.T, s *Store) {
	a, b := t.Name()+"/a", t.Name()+"/b"
	one := put(t, s, a, "1")
	for _, tt := range []struct {
		name string
		txn  Txn
		ok   bool
	}{
		{"absent, and is there", Txn{Compare: []Cond{{a, 0}}, Put: []KV{{Key: a, Value: []byte("x")}}}, false},
		{"stale", Txn{Compare: []Cond{{a, one - 1}}, Delete: []string{a}}, false},
		{"one of two", Txn{Compare: []Cond{{a, one}, {b, one}}, Delete: []string{a}}, false},
		{"both", Txn{Compare: []Cond{{a, one}, {b, 0}}, Put: []KV{{Key: b, Value: []byte("2")}}, Delete: []string{a}}, true},
		{"gone", Txn{Compare: []Cond{{a, one}}, Put: []KV{{Key: a}}}, false},
		{"nothing", Txn{}, true},
	} {
		revision, ok, err := s.Commit(t.Context(), tt.txn)
		if err != nil || ok != tt.ok || revision < one {
			t.Errorf("%s: %d %v %v", tt.name, revision, ok, err)
		}
	}
	if _, found, _, err := s.Get(t.Context(), a); found || err != nil {
		t.Error(found, err)
	}
	kv, found, revision, err := s.Get(t.Context(), b)
	if !found || err != nil || string(kv.Value) != "2" || kv.Key != b || kv.Version != 1 || kv.Created != kv.Revision || revision < kv.Revision {
		t.Errorf("%+v %v %d %v", kv, found, revision, err)
	}
	_, _, err = s.Commit(t.Context(), Txn{Put: []KV{{Key: a}, {Key: a}}})
	if err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("a key twice: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err = s.Commit(ctx, Txn{Put: []KV{{Key: a}}}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func testList(t *testing.T, s *Store) {
	const n = 2*pageKeys + 7
	prefix := t.Name() + "/"
	var want []string
	for i := 0; i < n; {
		var txn Txn
		for ; i < n && len(txn.Put) < s.MaxOps(); i++ {
			key := fmt.Sprintf("%s%05d", prefix, i)
			txn.Put = append(txn.Put, KV{Key: key})
			want = append(want, key)
		}
		if _, ok, err := s.Commit(t.Context(), txn); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	last := put(t, s, t.Name(), "beside")
	kvs, revision, err := s.List(t.Context(), prefix)
	if err != nil || revision != last {
		t.Errorf("revision %d, want %d: %v", revision, last, err)
	}
	var got []string
	for _, kv := range kvs {
		got = append(got, kv.Key)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

var sameKVs = cmp.Options{cmpopts.IgnoreFields(KV{}, "Lease"), cmpopts.EquateEmpty()}

// sameBatch leaves out what etcd makes up.
var sameBatch = cmp.Options{cmpopts.IgnoreFields(KV{}, "Created", "Version", "Lease"), cmpopts.EquateEmpty()}

func testFollow(t *testing.T, s *Store) {
	p := t.Name() + "/"
	first := put(t, s, p+"a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := s.Follow(ctx, p)
	want := []Batch{{Revision: first, Reset: true, Puts: []KV{{Key: p + "a", Value: []byte("1"), Revision: first}}}}
	got := []Batch{nextGood(t, f)}
	for i := range 10 {
		text := fmt.Sprint(i)
		txn := Txn{Put: []KV{{Key: p + "x", Value: []byte(text)}, {Key: p + "b" + text}, {Key: t.Name()}}, Delete: []string{p + "a"}}
		rev, ok, err := s.Commit(t.Context(), txn)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		b := Batch{Revision: rev, Puts: []KV{{Key: p + "b" + text, Revision: rev}, {Key: p + "x", Value: []byte(text), Revision: rev}}}
		if i == 0 {
			b.Deletes = []KV{{Key: p + "a", Revision: rev}}
		}
		want = append(want, b)
	}
	for len(got) < len(want) {
		if b := nextGood(t, f); !b.empty() {
			got = append(got, b)
		}
	}
	if d := cmp.Diff(want, got, sameBatch); d != "" {
		t.Error(d)
	}
	cancel()
	for range f { // it closes
	}
}

// testOther: a follower hears of revisions that changed nothing of its own.
func testOther(t *testing.T, s *Store) {
	f := s.Follow(t.Context(), t.Name()+"/")
	nextGood(t, f)
	want := put(t, s, "elsewhere", "1")
	for {
		b := nextGood(t, f)
		if !b.empty() {
			t.Fatalf("%+v", b)
		}
		if b.Revision >= want {
			return
		}
	}
}

// testSlow: a reader that is far behind gets every revision all the same.
func testSlow(t *testing.T, s *Store) {
	p := t.Name() + "/"
	f := s.Follow(t.Context(), p)
	want := fill(t, s, p)
	n := 0
	for b := nextGood(t, f); ; b = nextGood(t, f) {
		if b.Err != nil || (b.Reset && n > 0) {
			t.Fatalf("%+v", b)
		}
		n += len(b.Puts)
		if b.Revision == want {
			break
		}
	}
	if n != filling {
		t.Errorf("%d changes, want %d", n, filling)
	}
}

// testCompacted: unless what it missed was compacted; then it starts anew.
func testCompacted(t *testing.T, s *Store) {
	p := t.Name() + "/"
	f := s.Follow(t.Context(), p)
	if b := nextGood(t, f); !b.Reset {
		t.Fatal(b)
	}
	want := fill(t, s, p)
	c, err := s.client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), want, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for {
		b := nextGood(t, f)
		if b.Revision < last || b.Err != nil {
			t.Fatalf("revision %d after %d: %v", b.Revision, last, b.Err)
		}
		last = b.Revision
		if b.Reset {
			if len(b.Puts) != filling || b.Revision < want {
				t.Errorf("%d keys at %d, want %d at %d", len(b.Puts), b.Revision, filling, want)
			}
			return
		}
	}
}

// filling is how many changes of 1 MiB are more than a queue holds.
const filling = queueSizeBytes>>20 + 8

func fill(t *testing.T, s *Store, prefix string) (revision int64) {
	t.Helper()
	value := string(bytes.Repeat([]byte("x"), 1<<20))
	for i := range filling {
		revision = put(t, s, fmt.Sprintf("%s%d", prefix, i), value)
	}
	return revision
}

func testTooLarge(t *testing.T, s *Store) {
	key := t.Name()
	size := maxRequestBytes + 600<<10 // also more than our client sends
	if c, err := s.client(); err == nil && !s.Embedded() && strings.HasPrefix(c.Endpoints()[0], "https:") {
		size = clusterMaxRequestBytes + 1
	}
	many := Txn{}
	for i := range s.MaxOps() + 1 {
		many.Delete = append(many.Delete, fmt.Sprint(key, i))
	}
	for name, txn := range map[string]Txn{
		"octets":     {Put: []KV{{Key: key, Value: make([]byte, size)}}},
		"operations": many,
	} {
		if _, _, err := s.Commit(t.Context(), txn); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many.Delete = many.Delete[1:]
	if _, ok, err := s.Commit(t.Context(), many); !ok || err != nil {
		t.Errorf("as many as allowed: %v %v", ok, err)
	}
}

func testLease(t *testing.T, s *Store) {
	key := t.Name()
	get := func() string {
		kv, found, _, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			return "-"
		}
		return string(kv.Value)
	}
	// So long that it does not end by itself while the machine stands still.
	l, err := s.Lease(t.Context(), key, patience/2, []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "1" {
		t.Error(got)
	}
	if err := l.Put(t.Context(), []byte("2")); err != nil || get() != "2" {
		t.Error(err, get())
	}
	// The store loses it, as after a long time without a connection.
	c, err := s.client()
	if err != nil {
		t.Fatal(err)
	}
	id, err := l.current()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is back", func() bool { return get() == "2" })
	if _, ok, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: key + "/beside", Lease: l}}}); !ok || err != nil {
		t.Error(ok, err)
	}
	l.Close()
	if got := get(); got != "-" {
		t.Error(got)
	}
	if _, found, _, err := s.Get(t.Context(), key+"/beside"); found || err != nil {
		t.Error(found, err)
	}
}

func testStatus(t *testing.T, s *Store) {
	st := s.Status(t.Context())
	if !st.Healthy || st.Error != "" || st.Revision == 0 || st.Leader == "" || st.SizeBytes == 0 || st.Full {
		t.Errorf("%+v", st)
	}
	for _, m := range st.Members {
		if !m.Healthy {
			t.Errorf("%+v", m)
		}
	}
}

// eventually waits for what must become true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for end := time.After(patience); !is(); {
		select {
		case <-end:
			t.Fatalf("not within %s: %s", patience, what)
		case <-every.C:
		}
	}
}
