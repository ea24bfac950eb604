package catalog

import (
	"hash/maphash"
	"maps"
)

// tableParts is in how many parts a table is kept: a change copies those that it touches.
const tableParts = 256

// table maps uuids to values and never changes: with makes another one that shares the parts in which nothing is another.
type table[V any] struct {
	parts [tableParts]map[string]V
	len   int
}

var tableSeed = maphash.MakeSeed()

func partOf(uuid string) int { return int(maphash.String(tableSeed, uuid) % tableParts) }

// get returns the value of a uuid, the zero one if it has none. A nil table is empty.
func (t *table[V]) get(uuid string) V {
	if t == nil {
		var none V
		return none
	}
	return t.parts[partOf(uuid)][uuid]
}

// all calls f for every entry, in no order.
func (t *table[V]) all(f func(uuid string, v V)) {
	if t == nil {
		return
	}
	for _, part := range t.parts {
		for uuid, v := range part {
			f(uuid, v)
		}
	}
}

// size is the number of entries.
func (t *table[V]) size() int {
	if t == nil {
		return 0
	}
	return t.len
}

// edit is a table in the making.
type edit[V any] struct {
	table[V]
	own [tableParts]bool // parts that are shared with nobody yet
}

// edit begins another table with what t has.
func (t *table[V]) edit() *edit[V] {
	e := &edit[V]{}
	if t != nil {
		e.table = *t
	}
	return e
}

// set gives a uuid a value, or takes it away if keep is false.
func (e *edit[V]) set(uuid string, v V, keep bool) {
	i := partOf(uuid)
	_, had := e.parts[i][uuid]
	if !had && !keep {
		return
	}
	if !e.own[i] {
		if e.own[i] = true; e.parts[i] == nil {
			e.parts[i] = map[string]V{}
		} else {
			e.parts[i] = maps.Clone(e.parts[i])
		}
	}
	switch {
	case !keep:
		delete(e.parts[i], uuid)
		e.len--
	case !had:
		e.len++
		fallthrough
	default:
		e.parts[i][uuid] = v
	}
}

// done is the table; e must not be used any more.
func (e *edit[V]) done() *table[V] { return &e.table }
