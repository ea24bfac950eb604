package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is what a store must do, without any durability.
type model struct {
	s        *Store
	prefix   string
	follower <-chan Batch

	kvs      map[string]KV
	revision int64
	began    bool // the follower gave its Reset
	expected []Batch
}

// TestModel compares Commit, Get, List and Follow with a map.
func TestModel(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := &model{s: s, prefix: fmt.Sprint("run", run, "/"), kvs: map[string]KV{}}
		m.follower = s.Follow(ctx, m.prefix)
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) { m.commit(t, rt) },
			"get":    func(rt *rapid.T) { m.get(t, rt) },
			"list":   func(rt *rapid.T) { m.list(t, rt) },
			"follow": func(rt *rapid.T) { m.follow(t, rt) },
		})
		m.follow(t, rt)
	})
}

var anyKey = rapid.SampledFrom([]string{"a", "b", "c", "c/d", "e"})

func (m *model) commit(t *testing.T, rt *rapid.T) {
	var txn Txn
	holds := true
	for _, key := range rapid.SliceOfN(anyKey, 0, 3).Draw(rt, "compare") {
		c := Cond{m.prefix + key, m.kvs[m.prefix+key].Revision}
		if rapid.IntRange(0, 5).Draw(rt, "wrong") == 0 {
			c.Revision += rapid.Int64Range(-1, 1).Draw(rt, "by")
		}
		holds = holds && c.Revision == m.kvs[c.Key].Revision
		txn.Compare = append(txn.Compare, c)
	}
	keys := rapid.SliceOfDistinct(anyKey, rapid.ID[string]).Draw(rt, "keys")
	puts := rapid.IntRange(0, len(keys)).Draw(rt, "puts")
	for i, key := range keys {
		if i < puts {
			txn.Put = append(txn.Put, KV{Key: m.prefix + key, Value: []byte(rapid.StringN(0, 3, 9).Draw(rt, "value"))})
		} else {
			txn.Delete = append(txn.Delete, m.prefix+key)
		}
	}
	revision, ok, err := m.s.Commit(t.Context(), txn)
	if err != nil || ok != holds {
		rt.Fatalf("%+v: %v %v, want %v", txn, ok, err, holds)
	}
	if revision < m.revision {
		rt.Fatalf("revision %d after %d", revision, m.revision)
	}
	if !ok {
		return
	}
	b := m.apply(&txn, revision)
	changed := len(b.Puts)+len(b.Deletes) > 0
	if changed && revision == m.revision {
		rt.Fatalf("a change, and the revision stays %d", revision)
	}
	m.revision = revision
	if changed {
		m.expected = append(m.expected, b)
	}
}

func (m *model) apply(txn *Txn, revision int64) Batch {
	b := Batch{Revision: revision}
	for _, p := range txn.Put {
		kv := KV{Key: p.Key, Value: p.Value, Revision: revision, Created: revision, Version: 1}
		if old, ok := m.kvs[p.Key]; ok {
			kv.Created, kv.Version = old.Created, old.Version+1
		}
		m.kvs[p.Key] = kv
		b.Puts = append(b.Puts, kv)
	}
	for _, key := range txn.Delete {
		if _, ok := m.kvs[key]; ok {
			delete(m.kvs, key)
			b.Deletes = append(b.Deletes, KV{Key: key, Revision: revision})
		}
	}
	byKey := func(a, b KV) int { return strings.Compare(a.Key, b.Key) }
	slices.SortFunc(b.Puts, byKey)
	slices.SortFunc(b.Deletes, byKey)
	return b
}

func (m *model) get(t *testing.T, rt *rapid.T) {
	key := m.prefix + anyKey.Draw(rt, "key")
	kv, found, _, err := m.s.Get(t.Context(), key)
	want, wanted := m.kvs[key]
	if err != nil || found != wanted {
		rt.Fatalf("%s: %v %v", key, found, err)
	}
	if d := cmp.Diff(want, kv, sameKVs); d != "" {
		rt.Fatal(d)
	}
}

func (m *model) list(t *testing.T, rt *rapid.T) {
	prefix := m.prefix + rapid.SampledFrom([]string{"", "c", "x"}).Draw(rt, "prefix")
	kvs, revision, err := m.s.List(t.Context(), prefix)
	if err != nil || revision < m.revision {
		rt.Fatalf("%d after %d: %v", revision, m.revision, err)
	}
	var want []KV
	for _, key := range slices.Sorted(maps.Keys(m.kvs)) {
		if len(key) >= len(prefix) && key[:len(prefix)] == prefix {
			want = append(want, m.kvs[key])
		}
	}
	if d := cmp.Diff(want, kvs, sameKVs); d != "" {
		rt.Fatal(d)
	}
}

// follow takes what the follower has for all that was committed.
func (m *model) follow(t *testing.T, rt *rapid.T) {
	for len(m.expected) > 0 || !m.began {
		b := nextGood(t, m.follower)
		switch {
		case b.Reset && !m.began:
			m.began = true
			for len(m.expected) > 0 && m.expected[0].Revision <= b.Revision {
				m.expected = m.expected[1:]
			}
		case b.empty():
		default:
			if len(m.expected) == 0 {
				rt.Fatalf("%+v was not committed", b)
			}
			if d := cmp.Diff(m.expected[0], b, sameKVs); d != "" {
				rt.Fatal(d)
			}
			m.expected = m.expected[1:]
		}
	}
}
