package catalog

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/carillon-sip/carillon/internal/object"
)

// View is all objects at one revision. It never changes, and any number of goroutines may read it.
type View struct {
	Revision   int64 // of the store, up to which the view is complete
	Generation int64 // revision in which Generation was written last: what a transaction compares
	Changes    int64 // how often Generation was written: the number of the last change
	Modified   int64 // µs, the latest of all records, also of those that are gone
	Faults     []Fault

	records map[string]*Record   // by uuid
	kinds   map[string][]*Record // by kind, in the order of names, then tenants
	names   map[nameKey]*Record

	prev  *resolved // of the view that this one was made of
	set   *resolved
	setup sync.Once
}

// Fault is a record of the store that cannot be read. What it was before stays in the view.
type Fault struct {
	Key string
	Err error
}

// Names are the kind of the object, as it is written elsewhere, and its uuid.
func (f Fault) Names() (kind, uuid string) {
	kind, uuid, _ = strings.Cut(strings.TrimPrefix(f.Key, Objects), "/")
	if k, ok := object.FindKind(kind); ok {
		kind = k.Name
	}
	return kind, uuid
}

type nameKey struct{ kind, tenant, name string }

// Empty is a view of nothing.
func Empty() *View {
	return &View{records: map[string]*Record{}, kinds: map[string][]*Record{}, names: map[nameKey]*Record{}}
}

// Get returns the object with that uuid if it is of that kind, or nil. An empty kind is any.
func (v *View) Get(kind, uuid string) *Record {
	r := v.records[uuid]
	if r == nil || kind != "" && r.Kind() != kind {
		return nil
	}
	return r
}

// Named returns the object with that name in exactly that tenant, or nil.
func (v *View) Named(kind, tenant, name string) *Record { return v.names[nameKey{kind, tenant, name}] }

// Find returns the object that a name means to somebody in a tenant: one of the tenant, else one of admin.
func (v *View) Find(kind, tenant, name string) *Record {
	if r := v.Named(kind, tenant, name); r != nil {
		return r
	}
	return v.Named(kind, AdminTenant, name)
}

// List returns the objects of a kind by name. The caller must not change it.
func (v *View) List(kind string) []*Record { return v.kinds[kind] }

// All calls f for every record, a kind at a time, until it returns false.
func (v *View) All(f func(*Record) bool) {
	for _, kind := range slices.Sorted(maps.Keys(v.kinds)) {
		for _, r := range v.kinds[kind] {
			if !f(r) {
				return
			}
		}
	}
}

// Len is the number of objects.
func (v *View) Len() int { return len(v.records) }

// Referrers returns the objects that refer to one, by kind and name.
func (v *View) Referrers(uuid string) []*Record {
	var out []*Record
	v.All(func(r *Record) bool {
		if slices.ContainsFunc(r.refs, func(ref object.Ref) bool { return ref.Value == uuid }) {
			out = append(out, r)
		}
		return true
	})
	return out
}

// Change is one object that is put in the place of the one with its uuid, or with Gone the end of it.
type Change struct {
	Put  *Record
	Gone string // uuid
}

// With returns the view as it is after changes. Its Revision stays.
func (v *View) With(changes ...Change) *View {
	out := &View{Revision: v.Revision, Generation: v.Generation, Changes: v.Changes, Modified: v.Modified, Faults: v.Faults,
		records: maps.Clone(v.records), kinds: maps.Clone(v.kinds), names: maps.Clone(v.names)}
	touched := map[string]bool{} // kinds
	renamed := map[string]bool{} // uuids
	for _, c := range changes {
		uuid := c.Gone
		if c.Put != nil {
			uuid = c.Put.UUID()
		}
		old := out.records[uuid]
		if old != nil {
			touched[old.Kind()] = true
			delete(out.records, uuid)
			if k := (nameKey{old.Kind(), old.Tenant, old.Name()}); out.names[k] == old {
				delete(out.names, k)
			}
		}
		if c.Put != nil {
			touched[c.Put.Kind()] = true
			out.records[uuid] = c.Put
			out.names[nameKey{c.Put.Kind(), c.Put.Tenant, c.Put.Name()}] = c.Put
			out.Modified = max(out.Modified, c.Put.Modified)
		}
		if old == nil || c.Put == nil || old.Name() != c.Put.Name() || old.Tenant != c.Put.Tenant {
			renamed[uuid] = true
		}
	}
	for kind := range touched {
		out.relist(kind, v.kinds[kind])
	}
	out.prev = v.inherit(renamed)
	return out
}

// relist makes the list of a kind anew, from the one before: most of its records stay where they are.
func (v *View) relist(kind string, before []*Record) {
	list := make([]*Record, 0, len(before)+1)
	known := make(map[*Record]bool, len(before))
	for _, r := range before {
		if v.records[r.UUID()] == r {
			list, known[r] = append(list, r), true
		}
	}
	sorted := len(list)
	for _, r := range v.records {
		if r.Kind() == kind && !known[r] {
			list = append(list, r)
		}
	}
	if len(list) > sorted {
		slices.SortStableFunc(list, byName)
	}
	v.kinds[kind] = list
}

// TenantName is the name of a tenant, or its uuid if there is none such.
func (v *View) TenantName(uuid string) string {
	if t := v.records[uuid]; t != nil {
		return t.Name()
	}
	return uuid
}
