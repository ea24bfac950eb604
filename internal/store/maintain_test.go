package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestDefragmentCluster: every member has raised its alarm, and takes changes again.
func TestDefragmentCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, true)
	s := open(t, c.config())
	for range 20 {
		put(t, s, "a", strings.Repeat("x", 100_000))
	}
	for _, m := range c.members {
		alarm := &pb.AlarmRequest{MemberID: uint64(m.etcd.Server.MemberID()), Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE}
		if _, err := m.etcd.Server.Alarm(t.Context(), alarm); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Room(t.Context()); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "carillon store defrag") {
		t.Errorf("room: %v", err)
	}
	for what, txn := range map[string]Txn{"a write": {Put: []KV{{Key: "b"}}}, "a delete that is told of": {Put: []KV{{Key: "audit"}}, Delete: []string{"a"}, Frees: true}} {
		if _, _, err := s.Commit(t.Context(), txn); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "carillon store defrag") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s.KeepsWayOut() {
		t.Error("a cluster is said to take deletes")
	}
	done, err := s.Defragment(t.Context())
	if err != nil || len(done) != 3 {
		t.Fatal(done, err)
	}
	for _, d := range done {
		if d.After >= d.Before || !d.Disarmed || d.Member == "" {
			t.Errorf("%+v", d)
		}
	}
	put(t, s, "b", "")
	eventually(t, "it has room", func() bool { return s.Room(t.Context()) == nil })
}

// TestDefragment of an embedded store.
func TestDefragment(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	for range keepHistory + 50 {
		put(t, s, "a", strings.Repeat("x", 5000))
	}
	done, err := s.Defragment(t.Context())
	if err != nil || len(done) != 1 || done[0].Disarmed || done[0].Before < done[0].After {
		t.Error(done, err)
	}
	put(t, s, "a", "")
}

// TestInspect: a backup is told from what is none.
func TestInspect(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a", "1")
	last := put(t, s, "b", "2")
	var backup bytes.Buffer
	if err := s.Snapshot(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "backup.db")
	write(t, path, backup.String())
	if b, err := Inspect(path); err != nil || b.Revision != last || b.Keys < 2 || b.Bytes == 0 || b.Hash == 0 {
		t.Errorf("%+v %v", b, err)
	}
	damaged := backup.Bytes()
	damaged[len(damaged)/2] ^= 1
	write(t, path, string(damaged))
	if _, err := Inspect(path); err == nil || !strings.Contains(err.Error(), "checksum is wrong") {
		t.Errorf("damaged: %v", err)
	}
	if _, err := Inspect(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}
