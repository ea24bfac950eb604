package catalog

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"

	"github.com/carillon-sip/carillon/internal/store"
)

// Follow calls f with the view at every revision of the configuration, from the one the store is at now, and tells of
// trouble with the store: err is not nil while it cannot be reached, and the view is then the last one known. It
// returns when ctx ends.
func Follow(ctx context.Context, st *store.Store, log *slog.Logger, f func(v *View, err error)) {
	w := &follower{st: st, log: log, v: Empty()}
	for b := range st.Follow(ctx, Prefix) {
		if news, err := w.take(ctx, b); news {
			f(w.v, err)
		}
	}
}

// follower is how far somebody who follows is.
type follower struct {
	st   *store.Store
	log  *slog.Logger
	v    *View
	lost bool // a batch was not understood, so those behind it do not fit
}

// take brings in a batch, and reports whether there is something to tell.
func (w *follower) take(ctx context.Context, b store.Batch) (news bool, err error) {
	if b.Err != nil {
		return true, b.Err
	}
	if w.lost && !b.Reset {
		whole, err := again(ctx, w.st)
		if err != nil {
			return true, err
		}
		b = whole
	}
	if !b.Reset && b.Revision <= w.v.Revision {
		return false, nil // somebody was ahead of it
	}
	next, err := w.v.Advance(b)
	if w.lost = err != nil; w.lost {
		return true, err
	}
	for _, fault := range next.Faults[min(len(w.v.Faults), len(next.Faults)):] {
		w.log.Warn("a record of the store cannot be read, what it was before goes on", "key", fault.Key, "error", fault.Err)
	}
	w.v = next
	return true, nil
}

// again is the whole content as a batch.
func again(ctx context.Context, st *store.Store) (store.Batch, error) {
	kvs, revision, err := st.List(ctx, Prefix)
	return store.Batch{Revision: revision, Puts: kvs, Reset: true}, err
}

// Load returns the view at the newest revision.
func Load(ctx context.Context, st *store.Store) (*View, error) {
	b, err := again(ctx, st)
	if err != nil {
		return nil, err
	}
	return Empty().Advance(b)
}

// Advance returns the view after a batch of the store. A record that cannot be read is a Fault of the view; what it
// was before stays. ErrNewer means that the store is not ours to read any more.
func (v *View) Advance(b store.Batch) (*View, error) {
	var changes []Change
	var faults []Fault
	if !b.Reset {
		faults = v.Faults
	}
	generation, number, modified := v.Generation, v.Changes, v.Modified
	for _, kv := range b.Puts {
		switch {
		case kv.Key == Generation:
			generation, number = kv.Revision, kv.Version
			if n, err := strconv.ParseInt(string(kv.Value), 10, 64); err == nil {
				modified = max(modified, n)
			}
		case kv.Key == Format:
			if n, err := strconv.Atoi(string(bytes.TrimSpace(kv.Value))); err != nil || n > FormatVersion {
				return nil, ErrNewer
			}
		case len(kv.Key) > len(Objects) && kv.Key[:len(Objects)] == Objects:
			faults = without(faults, kv.Key)
			r, err := decode(kv)
			if err != nil {
				faults = append(faults, Fault{kv.Key, err})
				continue
			}
			if old := v.records.get(r.UUID()); old != nil && old.Revision == r.Revision && old.Modified == r.Modified {
				r = old // a reset that changed nothing
			}
			changes = append(changes, Change{Put: r})
		}
	}
	for _, kv := range b.Deletes {
		faults = without(faults, kv.Key)
		if len(kv.Key) > len(Objects) {
			changes = append(changes, Change{Gone: kv.Key[bytes.LastIndexByte([]byte(kv.Key), '/')+1:]})
		}
	}
	if b.Reset {
		changes = append(changes, v.missing(b.Puts)...)
	}
	next := v
	if len(changes) > 0 {
		next = v.With(changes...)
	} else {
		next = v.same()
	}
	next.Revision, next.Generation, next.Changes = b.Revision, generation, number
	next.Modified, next.Faults = max(next.Modified, modified), faults
	return next, nil
}

// missing are the ends of the objects that a whole content has no more.
func (v *View) missing(puts []store.KV) []Change {
	keep := make(map[string]bool, len(puts))
	for _, kv := range puts {
		keep[kv.Key] = true
	}
	var out []Change
	v.records.all(func(uuid string, r *Record) {
		if !keep[r.Key()] {
			out = append(out, Change{Gone: uuid})
		}
	})
	return out
}

// same is the view with nothing changed, to be given another revision.
func (v *View) same() *View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &View{records: v.records, kinds: v.kinds, users: v.users, set: v.set, base: v.base, renamed: v.renamed}
}

func without(faults []Fault, key string) []Fault {
	var out []Fault
	for _, f := range faults {
		if f.Key != key {
			out = append(out, f)
		}
	}
	return out
}
