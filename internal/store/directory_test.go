//go:build linux

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestDirectory: what cannot be a data directory is refused with a word on what to
// do, and nothing in it is changed.
func TestDirectory(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf("format %d\ncarillon 0.9\netcd 3.7.0\n", format)
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"newer carillon", map[string]string{"VERSION": "format 2\ncarillon 9.1\netcd 3.7.0\n", "member/x": ""},
			"written by a newer version (carillon 9.1, format 2; this one knows 1): run that version, or restore a backup"},
		{"newer etcd", map[string]string{"VERSION": "format 1\ncarillon 0.9\netcd 3.99.1\n"},
			"written by a newer etcd (3.99.1 by carillon 0.9;"},
		{"no format", map[string]string{"VERSION": "hello\n"}, "has no format number; restore a backup"},
		{"no etcd", map[string]string{"VERSION": "format 1\n"}, "names no version of etcd; restore a backup"},
		{"somebody's", map[string]string{"photo.jpg": "x"}, "is not empty and no data directory of carillon"},
		{"version lost", map[string]string{"LOCK": "", "member/x": ""}, "has data but no VERSION file; restore a backup"},
		{"fit", map[string]string{"VERSION": good, "LOCK": "1\n"}, ""},
		{"after a crash at the first start", map[string]string{"LOCK": "1\n"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				write(t, filepath.Join(dir, name), text)
			}
			before := tree(t, dir)
			lock, err := openDir(dir, "0.9")
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := lock.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if d := cmp.Diff(before, tree(t, dir)); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, path, "")
		if _, err := openDir(path, ""); err == nil || !strings.Contains(err.Error(), path+" is no directory; give another") {
			t.Error(err)
		}
		if _, err := openDir(filepath.Join(path, "below"), ""); err == nil {
			t.Error("made below a file")
		}
	})
}

// TestForbiddenDirectory asks as a user who may not.
func TestForbiddenDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, versionFile), "format 1\ncarillon 0.9\netcd 3.7.0\n")
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Root may all; this thread is to be somebody else for its files.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const nobody = 65534
		if err := unix.Setfsuid(nobody); err != nil {
			t.Skip(err)
		}
		defer unix.Setfsuid(0)
	}
	if _, err := openDir(dir, ""); err == nil || !strings.Contains(err.Error(), "let this user read it, or give another") {
		t.Error(err)
	}
}

// TestReadOnlyDirectory is on a file system that takes nothing.
func TestReadOnlyDirectory(t *testing.T) {
	dir := tmpfs(t, 1<<20)
	write(t, filepath.Join(dir, versionFile), "format 1\ncarillon 0.9\netcd 3.7.0\n")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "cannot be written; let this user write it") {
		t.Error(err)
	}
}

// tmpfs gives a file system of its own.
func tmpfs(t *testing.T, sizeBytes int) string {
	t.Helper()
	dir := shortDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", sizeBytes)); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree is all that is below dir, with what files hold.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		found[path] = fmt.Sprint(info.Mode(), info.ModTime())
		if !d.IsDir() {
			text, err := os.ReadFile(path)
			found[path] += string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDamagedDatabase: an etcd that hangs over its own damaged file is an error, not a start without end.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	put(t, s, "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "member", "snap", "db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 4*os.Getpagesize()), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "failed to open database") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
}
