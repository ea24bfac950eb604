package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain allows what is etcd's: one whose disk failed does not stop (TestBroken),
// and members that were stopped hard leave connections between them.
func TestMain(m *testing.M) {
	const server = "go.etcd.io/etcd/server/v3/etcdserver.(*EtcdServer)."
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(server+"applyAll"), goleak.IgnoreTopFunction(server+"HardStop"),
		goleak.IgnoreTopFunction("go.etcd.io/etcd/pkg/v3/schedule.(*fifo).Stop"),
		goleak.IgnoreTopFunction("go.etcd.io/etcd/server/v3/storage.OpenBackend"), // TestDamagedDatabase
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
}

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

// nextGood is next without word of trouble, which a store that is slow for a while makes and which is over by itself.
func nextGood(t testing.TB, batches <-chan Batch) Batch {
	t.Helper()
	for {
		if b := next(t, batches); !errors.Is(b.Err, ErrUnavailable) {
			return b
		}
	}
}

func put(t testing.TB, s *Store, key, value string) int64 {
	t.Helper()
	rev, ok, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: key, Value: []byte(value)}}})
	if err != nil || !ok {
		t.Fatalf("put %s: %v %v", key, ok, err)
	}
	return rev
}

// TestStart: the embedded store is there at once, also when it has data, and nobody
// else gets at its directory.
func TestStart(t *testing.T) {
	const limit, limitAgain = 2 * time.Second, time.Second
	var dir string
	s := soon(t, limit, func(n int) Config {
		dir = filepath.Join(t.TempDir(), "state", fmt.Sprint("carillon", n))
		return Config{Dir: dir, Version: "1.2.3"}
	})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	want := map[string]int64{}
	for i := range 2000 {
		key := fmt.Sprint("k", i%500)
		want[key] = put(t, s, key, strings.Repeat("x", 2000))
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("in use by process ", os.Getpid())) {
		t.Errorf("a second start: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Commit(t.Context(), Txn{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
	s = soon(t, limitAgain, func(int) Config { return Config{Dir: dir} })
	kvs, _, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range kvs {
		if want[kv.Key] != kv.Revision {
			t.Errorf("%s is of revision %d, want %d", kv.Key, kv.Revision, want[kv.Key])
		}
		delete(want, kv.Key)
	}
	if len(want) > 0 {
		t.Errorf("%d keys are lost", len(want))
	}
}

// soon opens a store within a limit. A start that is slow is so each time; one that the machine or its disk stood still in
// is not, so several are tried.
func soon(t *testing.T, limit time.Duration, config func(n int) Config) *Store {
	t.Helper()
	var took []time.Duration
	for n := range 5 {
		begin := time.Now()
		s := open(t, config(n))
		if took = append(took, time.Since(begin)); took[n] <= limit {
			return s
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Fatalf("starts took %s, want one of at most %s", took, limit)
	return nil
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
