package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file must have been left alone before it is read: editors
// and tools write in several steps.
const settle = 100 * time.Millisecond

// watch tells when a file has changed. It watches the folder, since a file is mostly
// replaced and not written in place; for a mounted ConfigMap the link that changes
// is in the folder too.
func watch(ctx context.Context, file string) (<-chan struct{}, error) {
	if file == "" {
		return nil, nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := w.Add(filepath.Dir(file)); err != nil {
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
				base := filepath.Base(ev.Name)
				if (base == filepath.Base(file) || base == "..data") && !ev.Has(fsnotify.Chmod) {
					timer.Reset(settle)
				}
			case <-w.Errors:
			case <-timer.C:
				changed <- struct{}{}
			}
		}
	}()
	return changed, nil
}
