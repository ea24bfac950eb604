package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
)

// ErrInUse says that another process runs the store of a data directory.
var ErrInUse = errors.New("in use")

// SocketURL is where the store of a data directory is reached while a process runs
// it. Where a path is too long for a socket there is none.
func SocketURL(dir string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, socketFile))
	if err == nil && len(path) > unixPathMax {
		err = fmt.Errorf("store: %s has no socket, its path is too long: stop the process that runs it first", dir)
	}
	return socketScheme + path, err
}

const socketScheme = "unix://"

// Holds reports whether a data directory holds a store.
func Holds(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, memberDir))
	return err == nil
}

// DiskRoom says why the disk of a data directory does not do for changes, whoever runs
// the store in it.
func DiskRoom(dir string) error { return disk{dir: dir}.room(diskReserve, 0) }

// maintainTime is what one step of Defragment may take, on one member.
const maintainTime = 5 * time.Minute

// Defragmented is what was done to one member.
type Defragmented struct {
	Member        string
	Before, After int64 // octets of its database file
	Disarmed      bool  // the alarm for want of room was ended
}

// Defragment makes room: it drops history, has every member write its file anew, one
// after the other, and ends the alarms of those that had raised one. A member does
// not answer while it writes. A cluster asks for its root user.
func (s *Store) Defragment(ctx context.Context) ([]Defragmented, error) {
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	st := s.Status(ctx)
	if !st.Healthy {
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, st.Error)
	}
	keep := st.Revision - keepHistory
	if st.Full {
		keep = st.Revision
	}
	if err := compactTo(ctx, c, keep); err != nil {
		return nil, err
	}
	var out []Defragmented
	urls := c.Endpoints()
	if s.node != nil {
		urls = []string{""}
	}
	for _, url := range urls {
		d, err := s.defragmentOne(ctx, c, url)
		if err != nil {
			return out, fmt.Errorf("store: %s: %w", url, explain(err))
		}
		out = append(out, d)
	}
	r, err := c.AlarmList(ctx)
	if err != nil {
		return out, explain(err)
	}
	if slices.ContainsFunc(r.Alarms, func(a *pb.AlarmMember) bool { return a.Alarm == pb.AlarmType_NOSPACE }) {
		if _, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
			return out, explain(err)
		}
		for i := range out {
			out[i].Disarmed = true
		}
	}
	return out, nil
}

func compactTo(ctx context.Context, c *clientv3.Client, revision int64) error {
	if revision <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maintainTime)
	defer cancel()
	if _, err := c.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil && !is(err, rpctypes.ErrCompacted) {
		return explain(err)
	}
	return nil
}

func (s *Store) defragmentOne(ctx context.Context, c *clientv3.Client, url string) (Defragmented, error) {
	ctx, cancel := context.WithTimeout(ctx, maintainTime)
	defer cancel()
	d := Defragmented{Member: url}
	before, err := c.Status(ctx, url)
	if err != nil {
		return d, err
	}
	if s.node == nil {
		_, err = c.Defragment(ctx, url)
	} else if in := s.node.now.Load(); in != nil {
		d.Member = memberName
		err = in.etcd.Server.Backend().Defrag() // the client within a process has no way to it
	} else {
		err = errStopped
	}
	if err != nil {
		return d, err
	}
	after, err := c.Status(ctx, url)
	if err != nil {
		return d, err
	}
	d.Before, d.After = before.DbSize, after.DbSize
	return d, nil
}

// Backup is what a file of Snapshot holds.
type Backup struct {
	Hash     uint32 // etcd's, over all keys
	Revision int64
	Keys     int // of all revisions in it
	Bytes    int64
	Version  string // of etcd's format; empty before 3.6
}

// Inspect checks a backup, its checksum first, and tells what is in it.
func Inspect(path string) (b Backup, err error) {
	if err := checkSum(path); err != nil {
		return b, fmt.Errorf("store: %s is no backup: %w", path, err)
	}
	err = guarded(func(m snapshot.Manager) error {
		st, err := m.Status(path)
		b = Backup{st.Hash, st.Revision, st.TotalKey, st.TotalSize, st.Version}
		return err
	})
	if err != nil {
		err = fmt.Errorf("store: %s is no backup: %w", path, err)
	}
	return b, err
}

// guarded does something with backups. etcd breaks by the end of goroutines (see
// zapTo), and its database by panics when the file is none.
func guarded(do func(snapshot.Manager) error) error {
	var closing atomic.Bool
	done := make(chan error, 1)
	go func() {
		err := errors.New("it broke while it was read")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it broke while it was read: %v", p)
			}
			done <- err
		}()
		lg := zapTo(slog.New(slog.DiscardHandler), &closing, func(why string) { err = errors.New(why) })
		err = do(snapshot.NewV3(lg))
	}()
	return <-done
}
