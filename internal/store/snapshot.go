package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	etcdversion "go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
)

// Snapshot writes the whole store as it is now: etcd's database with its checksum,
// as etcdctl snapshot save does. A cluster asks for its root user.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	r, err := c.SnapshotWithVersion(ctx)
	if err != nil {
		return explain(err)
	}
	defer r.Snapshot.Close()
	if _, err := io.Copy(w, r.Snapshot); err != nil {
		return fmt.Errorf("store: snapshot: %w", explain(err))
	}
	return nil
}

// revisionBump is added to the revisions of a backup: what was seen after it was
// made, by engines and in answers of the API, is then never mistaken for what comes.
const revisionBump = 1_000_000

// Restore makes a data directory of what Snapshot wrote, or etcdctl snapshot save of
// a cluster. dir must be new or empty; if the backup is no good, it holds no store.
func Restore(dir string, r io.Reader) (err error) {
	lock, err := openDir(dir, "")
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(filepath.Join(dir, memberDir)); err == nil {
		return fmt.Errorf("store: %s holds a store already; restore into a new directory", dir)
	}
	work, err := os.MkdirTemp(dir, "restoring.")
	if err != nil {
		return fmt.Errorf("store: the data directory cannot be written: %w", err)
	}
	defer os.RemoveAll(work)
	backup := filepath.Join(work, "backup")
	f, err := os.OpenFile(backup, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("store: the data directory cannot be written: %w", err)
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: the backup cannot be copied: %w", err)
	}
	if err := checkSum(backup); err != nil {
		return fmt.Errorf("store: this is no backup that can be restored: %w", err)
	}
	if err := rebuild(backup, filepath.Join(work, "data")); err != nil {
		return fmt.Errorf("store: this is no backup that can be restored: %w", err)
	}
	return os.Rename(filepath.Join(work, "data", memberDir), filepath.Join(dir, memberDir))
}

// checkSum compares a backup with the SHA-256 at its end. Before that nobody may map
// it: what reads a database that was cut off ends the process.
func checkSum(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const page = 512 // the database has whole ones
	size := info.Size() - sha256.Size
	if size <= 0 || size%page != 0 {
		return fmt.Errorf("it has %d octets, which no backup has; was it cut off?", info.Size())
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, f, size); err != nil {
		return err
	}
	want, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(want, sum.Sum(nil)) {
		err = errors.New("its checksum is wrong")
	}
	return err
}

// rebuild makes etcd's directory.
func rebuild(backup, dir string) error {
	return guarded(func(m snapshot.Manager) error {
		if err := checkBackup(m, backup); err != nil {
			return err
		}
		return m.Restore(snapshot.RestoreConfig{
			SnapshotPath: backup, OutputDataDir: dir,
			Name: memberName, PeerURLs: []string{memberURL}, InitialCluster: memberName + "=" + memberURL,
			InitialClusterToken: clusterToken,
			RevisionBump:        revisionBump, MarkCompacted: true,
		})
	})
}

// checkBackup refuses what a newer etcd wrote.
func checkBackup(m snapshot.Manager, backup string) error {
	st, err := m.Status(backup)
	if err != nil || st.Version == "" {
		return err
	}
	theirs, err := release(st.Version + ".")
	if err != nil {
		return err
	}
	ours, err := release(etcdversion.Version)
	if err == nil && slices.Compare(theirs, ours) > 0 {
		err = fmt.Errorf("it was written by a newer etcd (%s; this one is %s)", st.Version, etcdversion.Version)
	}
	return err
}
