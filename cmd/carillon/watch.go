package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a file must have been left alone before it is read: editors
	// and tools write in several steps.
	settle = 100 * time.Millisecond
	// maxLinks is how many links may stand on the way to a file, as in Linux.
	maxLinks = 40
)

// watch tells when a file has changed. It watches folders, since a file is mostly
// replaced and not written in place: its own, and that of each link on the way to it,
// for it may be a link that changes, as with a mounted ConfigMap.
func watch(ctx context.Context, file string) (<-chan struct{}, error) {
	if file == "" {
		return nil, nil
	}
	if !filepath.IsAbs(file) { // filepath.Abs would take a link and a ".." after it away together
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		file = dir + "/" + file
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	names, err := follow(w, file)
	if err != nil {
		w.Close()
		return nil, err
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer w.Close()
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-w.Events:
				if slices.Contains(names, ev.Name) && !ev.Has(fsnotify.Chmod) {
					timer.Reset(settle)
				}
			case <-w.Errors:
			case <-timer.C:
				// before the file is read: what changes from here on is seen
				if now, err := follow(w, file); err == nil {
					names = now
				}
				select {
				case changed <- struct{}{}:
				default: // one that nobody has taken yet will do
				}
			}
		}
	}()
	return changed, nil
}

// follow has all folders watched that the way to a file leads through by a name that
// decides where it ends, and no others. It gives these names.
func follow(w *fsnotify.Watcher, file string) ([]string, error) {
	names := way(file)
	folders := map[string]bool{}
	for _, n := range names {
		folders[filepath.Dir(n)] = true
	}
	for _, old := range w.WatchList() {
		if !folders[old] {
			_ = w.Remove(old) // gone itself, mostly
		}
	}
	for f := range folders {
		if err := w.Add(f); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// way lists the links on the way to a file, whose path is absolute, and at last the file,
// or what is missing on the way. The folders of these names have no links in their paths.
func way(file string) (names []string) {
	at, rest := "/", strings.Split(file, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, part)
		info, err := os.Lstat(next)
		if err != nil || len(rest) == 0 && info.Mode()&fs.ModeSymlink == 0 {
			return append(names, next)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		names = append(names, next)
		to, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return names
		}
		if filepath.IsAbs(to) {
			at = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return names
}
