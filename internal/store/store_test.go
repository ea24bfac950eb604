package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Logf("%s", p)
	}
	return len(p), nil
}

func logTo(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(testLog{t}, nil)) }

func open(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Logger == nil {
		c.Logger = logTo(t)
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func next(t testing.TB, batches <-chan Batch) Batch {
	t.Helper()
	select {
	case b, ok := <-batches:
		if !ok {
			t.Fatal("the follower ended")
		}
		return b
	case <-time.After(patience):
		t.Fatal("no batch came")
	}
	panic("unreachable")
}

func put(t testing.TB, s *Store, key, value string) int64 {
	t.Helper()
	rev, ok, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: key, Value: []byte(value)}}})
	if err != nil || !ok {
		t.Fatalf("put %s: %v %v", key, ok, err)
	}
	return rev
}

func TestSmoke(t *testing.T) {
	dir := t.TempDir() + "/data"
	begin := time.Now()
	s := open(t, Config{Dir: dir})
	t.Log("start", time.Since(begin))
	f := s.Follow(t.Context(), "config/")
	if b := next(t, f); !b.Reset || len(b.Puts) != 0 {
		t.Fatalf("%+v", b)
	}
	begin = time.Now()
	rev := put(t, s, "config/a", "1")
	t.Log("commit", time.Since(begin))
	b := next(t, f)
	t.Log("followed", time.Since(begin), rev, b)
	rev2, ok, err := s.Commit(t.Context(), Txn{Compare: []Cond{{"config/a", 0}}, Put: []KV{{Key: "config/a", Value: []byte("2")}}})
	t.Log(rev2, ok, err)
	l, err := s.Lease(t.Context(), "engine/se-1", 5*time.Second, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	rev3 := put(t, s, "other", "1")
	for b = next(t, f); b.Revision < rev3; b = next(t, f) {
		t.Log(b)
	}
	t.Log(b, fmt.Sprint(rev3))
	l.Close()
	if _, found, _, err := s.Get(t.Context(), "engine/se-1"); found || err != nil {
		t.Error(found, err)
	}
	t.Logf("%+v", s.Status(t.Context()))
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil {
		t.Error("opened twice")
	} else {
		t.Log(err)
	}
	begin = time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	t.Log("close", time.Since(begin))
	begin = time.Now()
	s2 := open(t, Config{Dir: dir})
	t.Log("restart", time.Since(begin))
	kv, found, _, err := s2.Get(context.Background(), "config/a")
	t.Log(kv, found, err)
	_, _, err = s.Commit(t.Context(), Txn{})
	if !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

// shortDir is one whose path does for a socket.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
