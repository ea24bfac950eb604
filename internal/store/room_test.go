//go:build linux

package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestSoftQuota holds that the quota which counts is found from etcd's own, which is all that a socket tells.
func TestSoftQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quota := rapid.Int64Range(1, 1<<40).Draw(t, "quota")
		if got := softQuota(hardQuota(quota)); hardQuota(got) != hardQuota(quota) || got < quota || got > quota+1 {
			t.Fatalf("%d, want %d", got, quota)
		}
	})
	if got := softQuota(hardQuota(512 << 20)); got != 512<<20 {
		t.Errorf("%d", got)
	}
}

// TestQuotaHistory: what fills the quota is history, so the store makes room by itself.
func TestQuotaHistory(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir(), QuotaBytes: 16 << 20})
	value := bytes.Repeat([]byte("x"), 1<<20)
	full := 0
	for range 60 {
		eventually(t, "a write is taken", func() bool {
			_, _, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: "a", Value: value}}})
			if errors.Is(err, ErrFull) {
				full++
			} else if err != nil {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	if full == 0 {
		t.Error("the quota was never used up: the test shows nothing")
	}
}

// TestQuotaContent: what fills it is content. Nothing is taken but deletes, and
// after those everything again.
func TestQuotaContent(t *testing.T) {
	t.Parallel()
	const quota, valueBytes, pages = 8 << 20, 64 << 10, 17 * 4096 // what a value takes in the database
	dir := shortDir(t)
	s := open(t, Config{Dir: dir, QuotaBytes: quota})
	value := bytes.Repeat([]byte("x"), valueBytes)
	want := map[string]bool{}
	for i := 0; ; i++ {
		key := fmt.Sprint("k", i)
		_, _, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: key, Value: value}}})
		switch {
		case err == nil && len(want)*pages < 2*quota:
			want[key] = true
			continue
		case !errors.Is(err, ErrFull):
			t.Fatal(i, err)
		case len(want)*pages > quota/10*9: // with less it is full of history, and that goes
		default:
			eventually(t, "there is room", func() bool { return !s.Status(t.Context()).Full })
			continue
		}
		break
	}
	same(t, s, want)
	if st := s.Status(t.Context()); !st.Full || !st.Healthy || st.Quota != quota {
		t.Errorf("%+v", st)
	}
	url, err := SocketURL(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st := open(t, Config{URLs: []string{url}}).Status(t.Context()); !st.Healthy || st.Quota != quota {
		t.Errorf("through its socket: %+v", st)
	}
	for i := range len(want) - 3 {
		key := fmt.Sprint("k", i)
		way := Txn{Delete: []string{key}}
		if i%2 == 0 { // as a controller does, with an audit record
			way.Frees, way.Put = true, []KV{{Key: "told", Value: []byte(key)}}
		}
		if _, ok, err := s.Commit(t.Context(), way); !ok || err != nil {
			t.Fatal(ok, err)
		}
		delete(want, key)
	}
	want["told"] = true
	eventually(t, "a write is taken", func() bool {
		_, _, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: "again", Value: value}}})
		return err == nil
	})
	want["again"] = true
	same(t, s, want)
	// What that write made of the file may be more than the quota, until the history is cleared once more.
	eventually(t, "it is full no more", func() bool { return !s.Status(t.Context()).Full })
}

func same(t *testing.T, s *Store, want map[string]bool) {
	t.Helper()
	kvs, _, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, kv := range kvs {
		got[kv.Key] = true
	}
	for key := range want {
		if !got[key] {
			t.Errorf("%s was acknowledged and is not there", key)
		}
	}
}

// TestDiskFull: somebody fills the disk while a writer writes. Writes are refused,
// reads go on, nothing that was acknowledged is lost, and when there is space again
// writes are taken.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, 160<<20)
	data := filepath.Join(dir, "data")
	s := open(t, Config{Dir: data})
	value := bytes.Repeat([]byte("x"), 10<<10)
	want := map[string]bool{}
	n := 0
	for round := range 3 {
		for end := n + 50; ; n++ {
			if n == end {
				fillDisk(t, dir)
			}
			key := fmt.Sprint("k", n)
			_, ok, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: key, Value: value}}})
			if errors.Is(err, ErrFull) {
				break
			}
			if !ok || err != nil || n > end {
				t.Fatal(round, n, ok, err)
			}
			want[key] = true
		}
		same(t, s, want)
		if st := s.Status(t.Context()); !st.Full || !st.Healthy {
			t.Errorf("%+v", st)
		}
		for i, way := range []Txn{{Delete: []string{"k0"}}, {Delete: []string{"k1"}, Put: []KV{{Key: "told", Value: value}}, Frees: true}} {
			if _, ok, err := s.Commit(t.Context(), way); !ok || err != nil {
				t.Errorf("a way out with no octet left, round %d: %v %v", round, ok, err)
			}
			delete(want, fmt.Sprint("k", i))
			want["told"] = true
		}
		if _, _, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: "more"}}}); !errors.Is(err, ErrFull) {
			t.Errorf("with the ballast gone: %v", err)
		}
		if err := os.Remove(filepath.Join(dir, "filling")); err != nil {
			t.Fatal(err)
		}
		put(t, s, "again", "")
		eventually(t, "the ballast is there again", func() bool {
			info, err := os.Stat(filepath.Join(data, ballastFile))
			return err == nil && info.Size() == ballast
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	same(t, open(t, Config{Dir: data}), want)
}

// fillDisk takes all that is left, at once.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filling"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize); err != nil {
		t.Fatal(err)
	}
}
