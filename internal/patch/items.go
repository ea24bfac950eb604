package patch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
)

// items is how the items of a list are known.
type items struct {
	kind, path string
	keys       []string // members that make an item what it is; none: looseKeys
	defaults   []string // of keys
}

// looseKeys are such members where the schema does not say; the first that is there counts.
var looseKeys = []string{"index", "key", "name", "uuid"}

// newItems is for the list at a path.
func newItems(kind, path string) *items {
	info, _ := object.Describe(kind, path)
	l := &items{kind: kind, path: path, keys: info.Key}
	for _, key := range l.keys {
		f, _ := object.Describe(kind, path+"."+key)
		l.defaults = append(l.defaults, strings.Trim(string(f.Default), `"`))
	}
	return l
}

// add appends items, or gives one that is there the new values.
func (l *items) add(have, more []any) []any {
	out := slices.Clone(have)
	places := map[string]int{} // of an item, by each of its ids
	for i, item := range have {
		for _, id := range l.ids(item) {
			places[id] = i
		}
	}
	for _, item := range more {
		ids := l.ids(item)
		known := slices.IndexFunc(ids, func(id string) bool { _, there := places[id]; return there })
		if known < 0 {
			for _, id := range ids {
				places[id] = len(out)
			}
			out = append(out, item)
			continue
		}
		i := places[ids[known]]
		old, ok := out[i].(map[string]any)
		if fresh, isObject := item.(map[string]any); ok && isObject {
			old = maps.Clone(old)
			maps.Copy(old, fresh)
			out[i] = old
		}
	}
	return out
}

// remove takes items away.
func (l *items) remove(have, less []any) []any {
	gone := map[string]bool{}
	for _, item := range less {
		for _, id := range l.ids(item) {
			gone[id] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(have), func(item any) bool {
		return slices.ContainsFunc(l.ids(item), func(id string) bool { return gone[id] })
	})
}

// ids returns the texts by which an item is known: several where a reference is its key, one by uuid, one by name.
func (l *items) ids(item any) []string {
	if one, ok := item.(string); ok {
		raw, expanded := object.Expand(l.kind, l.path, one)
		if !expanded {
			return refTexts(one)
		}
		item, _ = readObject(raw)
	}
	members, ok := item.(map[string]any)
	switch {
	case !ok:
		return []string{fmt.Sprint(item)}
	case len(l.keys) > 0:
		return l.keyed(members)
	case members["addr"] != nil:
		return []string{text(members)}
	}
	for _, key := range looseKeys {
		if members[key] != nil {
			return []string{text(members[key])}
		}
	}
	all, _ := json.Marshal(members) // sorted, so the same for the same
	return []string{string(all)}
}

// keyed returns the ids of an item with a key.
func (l *items) keyed(members map[string]any) []string {
	ids := []string{""}
	for i, key := range l.keys {
		value := l.defaults[i]
		if members[key] != nil {
			value = text(members[key])
		}
		var longer []string
		for _, id := range ids {
			for _, more := range refTexts(value) {
				longer = append(longer, id+"\x00"+more)
			}
		}
		ids = longer
	}
	return ids
}

// text is a value as text, an address in its normal form.
func text(value any) string {
	if addr, ok := value.(map[string]any); ok {
		value = addr["addr"]
	}
	out := fmt.Sprint(value)
	if a, err := netip.ParseAddr(out); err == nil {
		return a.String()
	}
	return out
}

// refTexts are the texts that a reference may be known by; of anything else it is the text itself.
func refTexts(value string) []string {
	r, ok := object.ParseRef(value)
	if !ok {
		return []string{text(value)}
	}
	var out []string
	for _, known := range []string{r.UUID, r.Name, r.Written} {
		if known != "" && !slices.Contains(out, known) {
			out = append(out, known)
		}
	}
	return out
}
