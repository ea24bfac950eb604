package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBackup: what was in the store when the backup was made is there again, under
// revisions that nobody has seen before.
func TestBackup(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	for i := range 50 {
		put(t, s, fmt.Sprint("k", i%20), fmt.Sprint(i))
	}
	want, _, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var backup bytes.Buffer
	if err := s.Snapshot(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	last := put(t, s, "later", "x")

	dir := filepath.Join(t.TempDir(), "restored")
	if err := Restore(dir, bytes.NewReader(backup.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := Restore(dir, bytes.NewReader(backup.Bytes())); err == nil || !strings.Contains(err.Error(), "holds a store already") {
		t.Errorf("restored over a store: %v", err)
	}
	r := open(t, Config{Dir: dir})
	got, revision, err := r.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, sameKVs); d != "" {
		t.Error(d)
	}
	if revision <= last {
		t.Errorf("restored at revision %d, and %d was seen before", revision, last)
	}
	f := r.Follow(t.Context(), "")
	nextGood(t, f)
	rev := put(t, r, "later", "y")
	for b := nextGood(t, f); b.Revision != rev; b = nextGood(t, f) {
		if !b.empty() {
			t.Fatalf("the follower does not follow: %+v", b)
		}
	}
}

// TestBadBackup: it is said, and no store is made of it.
func TestBadBackup(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a", strings.Repeat("x", 10000))
	var good bytes.Buffer
	if err := s.Snapshot(t.Context(), &good); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good.Bytes())
	flipped[len(flipped)-1]++
	for name, backup := range map[string][]byte{
		"nothing":  nil,
		"text":     bytes.Repeat([]byte("hello "), 10000),
		"cut off":  good.Bytes()[:good.Len()/2],
		"checksum": flipped,
	} {
		dir := t.TempDir()
		if err := Restore(dir, bytes.NewReader(backup)); err == nil || !strings.Contains(err.Error(), "no backup that can be restored") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, memberDir)); err == nil {
			t.Errorf("%s: a store was made", name)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "restoring*")); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}
