package catalog

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// seen is what Follow has told.
type seen struct {
	v   *View
	err error
}

// TestNewerFormat holds that a configuration which a newer version has taken over stays out of bounds, whatever is written
// after it, and that all of it is there when it is ours again.
func TestNewerFormat(t *testing.T) {
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	told, done := make(chan seen, 100), make(chan struct{})
	go func() {
		defer close(done)
		Follow(ctx, st, slog.New(slog.DiscardHandler), func(v *View, err error) { told <- seen{v, err} })
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	put := func(name, format string) seen {
		t.Helper()
		o, err := object.Decode("Pool", []byte(`{"name":"`+name+`","uuid":"pool-`+name+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		value, err := NewRecord(o, AdminTenant, 1, 1).Encode()
		if err != nil {
			t.Fatal(err)
		}
		txn := store.Txn{Put: []store.KV{{Key: Key("Pool", "pool-"+name), Value: value}, {Key: Generation, Value: []byte("1")}}}
		if format != "" {
			txn.Put = append(txn.Put, store.KV{Key: Format, Value: []byte(format)})
		}
		if _, _, err := st.Commit(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
		return <-told
	}
	<-told // nothing
	if s := put("a", "1"); s.err != nil || s.v.Len() != 1 {
		t.Fatalf("%d objects, %v", s.v.Len(), s.err)
	}
	for _, step := range []struct{ name, format string }{{"b", "2"}, {"c", ""}, {"d", ""}} {
		if s := put(step.name, step.format); !errors.Is(s.err, ErrNewer) || s.v.Len() != 1 {
			t.Errorf("%s, of a newer version: %d objects, %v", step.name, s.v.Len(), s.err)
		}
	}
	if s := put("e", "1"); s.err != nil || s.v.Len() != 5 || s.v.Generation != s.v.Revision {
		t.Errorf("ours again: %d objects, %v", s.v.Len(), s.err)
	}
	if s := put("f", ""); s.err != nil || s.v.Len() != 6 {
		t.Errorf("and on: %d objects, %v", s.v.Len(), s.err)
	}
}
