//go:build linux

package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestBroken: etcd meets a full disk after all. This process goes on, says that the
// store cannot be reached, and what was acknowledged is there later.
func TestBroken(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, 160<<20)
	data := filepath.Join(dir, "data")
	s := open(t, Config{Dir: data})
	want := map[string]bool{}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		put(t, s, key, "x")
		want[key] = true
	}
	fillDisk(t, dir)
	c, err := s.client() // past what would refuse it
	if err != nil {
		t.Fatal(err)
	}
	value := string(bytes.Repeat([]byte("x"), 4<<20))
	for i := range 100 {
		key := fmt.Sprint("big", i)
		if _, err := c.Put(t.Context(), defaultPrefix+key, value); err != nil {
			break
		}
		want[key] = true
	}
	eventually(t, "it shows", func() bool {
		_, _, err := s.Commit(t.Context(), Txn{})
		return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull)
	})
	if err := os.Remove(filepath.Join(dir, "filling")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs again", func() bool {
		_, _, err := s.Commit(t.Context(), Txn{})
		return err == nil
	})
	same(t, s, want)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	same(t, open(t, Config{Dir: data}), want)
}
