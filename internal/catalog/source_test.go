package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// TestCommittedIsWhatTheStoreTells changes the configuration and tells a source of each change at once. Who follows the
// store by himself sees the same at the same revisions, and what others change in between is seen too.
func TestCommittedIsWhatTheStoreTells(t *testing.T) {
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	src := NewSource(st, log)
	ctx, stop := context.WithCancel(t.Context())
	told, done := make(chan *View, 1000), make(chan struct{})
	go func() {
		defer close(done)
		Follow(ctx, st, log, func(v *View, _ error) { told <- v })
	}()
	t.Cleanup(func() {
		stop()
		<-done
		src.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := src.Load(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		before, err := src.Load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		txn := store.Txn{Compare: []store.Cond{{Key: Generation, Revision: before.Generation}}, Put: []store.KV{{Key: Generation, Value: fmt.Append(nil, 1000+i)},
			{Key: "audit/" + fmt.Sprint(i), Value: []byte("x")}}}
		kind, uuid, text := "Pool", fmt.Sprint("pool-", i%7), fmt.Sprintf(`"servers":["10.0.0.%d:5060"]`, i+1)
		if i%7 == 6 {
			kind, text = "VsVip", fmt.Sprintf(`"vip":["10.0.0.%d"]`, i+1)
		}
		change := Change{Gone: uuid}
		if i%5 == 4 && before.Get(kind, uuid) != nil {
			txn.Delete = append(txn.Delete, Key(kind, uuid))
		} else {
			change = Change{Put: record(t, kind, AdminTenant, fmt.Sprintf(`{"name":"p%d","uuid":%q,%s}`, i%7, uuid, text))}
			change.Put.Version, change.Put.Modified = uint32(i), 1000+int64(i)
			value, err := change.Put.Encode()
			if err != nil {
				t.Fatal(err)
			}
			txn.Put = append(txn.Put, store.KV{Key: Key(kind, uuid), Value: value})
		}
		after := before.With(change)
		revision, ok, err := st.Commit(ctx, txn)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if i%3 != 0 { // the others are another process's
			c := Commit{before, after, []Change{change}, 1000 + int64(i), &txn, revision}
			src.Committed(ctx, c)
			src.Committed(ctx, c) // said twice it counts once
		}
		same(t, src, told, revision)
	}
}

// same waits until both see a revision, and compares what they see.
func same(t *testing.T, src *Source, told chan *View, revision int64) {
	t.Helper()
	var other *View
	for other == nil || other.Revision < revision {
		other = <-told
	}
	seen := make(chan *View, 1000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go src.Follow(ctx, func(v *View, _ error) { seen <- v })
	v := <-seen
	for v.Revision < revision {
		v = <-seen
	}
	if v.Revision != other.Revision || v.Generation != other.Generation || v.Changes != other.Changes || v.Modified != other.Modified {
		t.Fatalf("revision %d, generation %d, %d changes, %d; the store says %d, %d, %d, %d", v.Revision, v.Generation, v.Changes, v.Modified,
			other.Revision, other.Generation, other.Changes, other.Modified)
	}
	if got, want := string(v.Set().JSON(object.Full)), string(other.Set().JSON(object.Full)); got != want {
		t.Fatalf("it sees\n%s\nand the store has\n%s", got, want)
	}
	other.All(func(r *Record) bool {
		if mine := v.Get(r.Kind(), r.UUID()); mine == nil || mine.Revision != r.Revision || mine.Modified != r.Modified || mine.Version != r.Version {
			t.Errorf("%s: %+v, the store has %+v", r.Key(), mine, r)
		}
		return true
	})
}
