package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	etcdversion "go.etcd.io/etcd/api/v3/version"
)

// What a data directory has at its top; etcd's own files are in member/.
const (
	versionFile = "VERSION" // format, and who wrote it
	lockFile    = "LOCK"    // held by the process that runs the store; its pid is in it
	socketFile  = "store.sock"
	memberDir   = "member"
)

// format is that of the data directory. It grows when an older carillon must not
// touch what this one wrote.
const format = 1

// openDir checks the directory, makes it if it is not there, and takes the lock.
// If it is not fit, nothing in it was changed.
func openDir(dir, version string) (lock *os.File, err error) {
	if dir == "" {
		return nil, errors.New("store: no data directory was given")
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: the data directory cannot be made: %w", err)
	}
	if lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	if err := checkDir(dir); err != nil { // again, now that nobody else can change it
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it holds secrets
		return nil, fmt.Errorf("store: the data directory must be ours alone: %w", err)
	}
	return lock, writeVersion(dir, version)
}

// checkDir tells why what is at dir cannot be a data directory of this version.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: the data directory cannot be looked at; let this user read it, or give another: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("store: %s is no directory; give another data directory", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("store: the data directory cannot be read; let this user read it, or give another: %w", err)
	}
	known := false
	for _, e := range entries {
		known = known || e.Name() == versionFile || e.Name() == lockFile
	}
	if len(entries) > 0 && !known {
		return fmt.Errorf("store: %s is not empty and no data directory of carillon (it has no %s file); give an empty or a new one",
			dir, versionFile)
	}
	text, err := os.ReadFile(filepath.Join(dir, versionFile))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, memberDir)); err == nil {
			return fmt.Errorf("store: %s has data but no %s file; restore a backup into a new directory", dir, versionFile)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: the data directory cannot be read; let this user read it, or give another: %w", err)
	}
	return checkVersion(dir, string(text))
}

// checkVersion refuses what a newer carillon or etcd wrote.
func checkVersion(dir, text string) error {
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		facts[word] = rest
	}
	by := "carillon " + facts["carillon"]
	n, err := strconv.Atoi(facts["format"])
	if err != nil {
		return fmt.Errorf("store: %s has no format number; restore a backup into a new directory", filepath.Join(dir, versionFile))
	}
	if n > format {
		return fmt.Errorf("store: %s was written by a newer version (%s, format %d; this one knows %d): "+
			"run that version, or restore a backup of this version into a new directory", dir, by, n, format)
	}
	theirs, err := release(facts["etcd"])
	if err != nil {
		return fmt.Errorf("store: %s names no version of etcd; restore a backup into a new directory", filepath.Join(dir, versionFile))
	}
	ours, err := release(etcdversion.Version)
	if err != nil {
		return err
	}
	if slices.Compare(theirs, ours) > 0 {
		return fmt.Errorf("store: %s was written by a newer etcd (%s by %s; this one is %s): "+
			"run that version, or restore a backup of this version into a new directory", dir, facts["etcd"], by, etcdversion.Version)
	}
	return nil
}

// release is what decides about etcd's files: major and minor.
func release(version string) ([]int, error) {
	n := make([]int, 2)
	if _, err := fmt.Sscanf(version, "%d.%d.", &n[0], &n[1]); err != nil {
		return nil, fmt.Errorf("version %q: %w", version, err)
	}
	return n, nil
}

// writeVersion notes who writes here from now on.
func writeVersion(dir, version string) error {
	if version == "" {
		version = "unknown"
	}
	text := fmt.Sprintf("format %d\ncarillon %s\netcd %s\n", format, version, etcdversion.Version)
	path := filepath.Join(dir, versionFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	if err := writeFileSync(path, []byte(text)); err != nil {
		return fmt.Errorf("store: the data directory cannot be written: %w", err)
	}
	return nil
}

// writeFileSync replaces a file as a whole, or not at all.
func writeFileSync(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// lockDir makes sure that one process runs the store in dir.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: the data directory cannot be written; let this user write it, or give another: %w", err)
	}
	if taken, err := tryLock(f); err != nil {
		defer f.Close()
		if !taken {
			return nil, fmt.Errorf("store: lock %s: %w", path, err)
		}
		pid := make([]byte, 16)
		n, _ := f.ReadAt(pid, 0)
		return nil, fmt.Errorf("store: %s is %w by process %s; stop that one, or give another data directory",
			dir, ErrInUse, strings.TrimSpace(string(pid[:n])))
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("store: the data directory cannot be written: %w", err)
	}
	return f, nil
}
