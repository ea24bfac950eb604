package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// copySuffix marks files that are not yet in place of what they are a copy of.
const copySuffix = ".copy"

// bury makes sure that an etcd which does not stop touches nothing any more that the
// next one works with. It hangs because a write failed under a lock or in its raft
// loop; then it holds the files of its log and its database open and locked. What
// it could still write is written now, and the next one gets copies in their place:
// to it all looks as after a crash, for which etcd is made.
func (n *node) bury(in *instance) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // what was closed already, by a close that got stuck further on, cannot be closed again
		in.etcd.Server.Cleanup()
	}()
	select {
	case <-done:
	case <-time.After(closeTimeout): // it waits for a lock of a goroutine that is gone: nobody gets past it
	}
	member := filepath.Join(n.dir, memberDir)
	logs, err := filepath.Glob(filepath.Join(member, "wal", "*.wal"))
	if err != nil {
		return err
	}
	for _, path := range append(logs, filepath.Join(member, "snap", "db")) {
		if err := replaceByCopy(path); err != nil {
			return fmt.Errorf("store: copy %s: %w", path, err)
		}
	}
	return nil
}

// replaceByCopy gives path another inode with the same content.
func replaceByCopy(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+copySuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return errors.Join(err, os.Remove(path+copySuffix))
	}
	return os.Rename(path+copySuffix, path)
}

// removeCopies clears what a crash in the midst of bury left.
func removeCopies(dir string) {
	for _, below := range []string{"wal", "snap"} {
		entries, err := os.ReadDir(filepath.Join(dir, memberDir, below))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), copySuffix) {
				_ = os.Remove(filepath.Join(dir, memberDir, below, e.Name()))
			}
		}
	}
}
