package catalog

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"weak"

	"github.com/carillon-sip/carillon/internal/object"
)

// View is all objects at one revision. It never changes, and any number of goroutines may read it. What did not change
// since the view before is shared with it, so that a change costs what it touches and not what there is.
type View struct {
	Revision   int64 // of the store, up to which the view is complete
	Generation int64 // revision in which Generation was written last: what a transaction compares
	Changes    int64 // how often Generation was written: the number of the last change
	Modified   int64 // µs, the latest of all records, also of those that are gone
	Faults     []Fault

	records *table[*Record]      // by uuid
	kinds   map[string][]*Record // by kind, in the order of names, then tenants
	users   *table[[]string]     // by uuid, also of what is not there: the uuids of the records that refer to it, in no order

	mu      sync.Mutex      // guards the next four
	set     *resolved       // nil: not made yet
	base    *resolved       // what set will be made from; nil: from nothing
	renamed map[string]bool // uuids whose name is another than in base

	harmless weak.Pointer[View] // compared with which it is known to be so
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

// Empty is a view of nothing.
func Empty() *View { return &View{kinds: map[string][]*Record{}} }

// Get returns the object with that uuid if it is of that kind, or nil. An empty kind is any.
func (v *View) Get(kind, uuid string) *Record {
	r := v.records.get(uuid)
	if r == nil || kind != "" && r.Kind() != kind {
		return nil
	}
	return r
}

// Named returns the object with that name in exactly that tenant, or nil.
func (v *View) Named(kind, tenant, name string) *Record {
	list := v.kinds[kind]
	i, found := slices.BinarySearchFunc(list, name, func(r *Record, name string) int {
		return cmp.Or(cmp.Compare(r.Name(), name), cmp.Compare(r.Tenant, tenant))
	})
	if !found {
		return nil
	}
	return list[i]
}

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
func (v *View) Len() int { return v.records.size() }

// Referrers returns the objects that refer to one, by kind and name.
func (v *View) Referrers(uuid string) []*Record {
	var out []*Record
	for _, user := range v.users.get(uuid) {
		out = append(out, v.records.get(user))
	}
	slices.SortFunc(out, func(a, b *Record) int { return cmp.Or(cmp.Compare(a.Kind(), b.Kind()), byName(a, b)) })
	return out
}

// Change is one object that is put in the place of the one with its uuid, or with Gone the end of it.
type Change struct {
	Put  *Record
	Gone string // uuid
}

// With returns the view as it is after changes. Its Revision stays.
func (v *View) With(changes ...Change) *View {
	out := &View{Revision: v.Revision, Generation: v.Generation, Changes: v.Changes, Modified: v.Modified, Faults: v.Faults, kinds: maps.Clone(v.kinds)}
	records, users := v.records.edit(), usersOf(v)
	touched := map[string]*relist{} // by kind
	of := func(kind string) *relist {
		if touched[kind] == nil {
			touched[kind] = &relist{gone: map[*Record]bool{}}
		}
		return touched[kind]
	}
	renamed := map[string]bool{} // uuids
	for _, c := range changes {
		uuid := c.Gone
		if c.Put != nil {
			uuid = c.Put.UUID()
		}
		old := records.get(uuid)
		if old != nil {
			of(old.Kind()).gone[old] = true
		}
		if c.Put != nil {
			l := of(c.Put.Kind())
			l.put = append(l.put, c.Put)
			delete(l.gone, c.Put)
			out.Modified = max(out.Modified, c.Put.Modified)
		}
		records.set(uuid, c.Put, c.Put != nil)
		users.move(uuid, old, c.Put)
		if old == nil || c.Put == nil || old.Name() != c.Put.Name() || old.Tenant != c.Put.Tenant {
			renamed[uuid] = true
		}
	}
	out.records, out.users = records.done(), users.done()
	for kind, l := range touched {
		out.kinds[kind] = l.list(v.kinds[kind], out.records)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	out.inherit(v, renamed)
	return out
}

// relist is what is another in the list of a kind.
type relist struct {
	gone map[*Record]bool
	put  []*Record // of two with one uuid the last counts, which is what records has
}

// list makes the list from the one before: its records stay in their order.
func (l *relist) list(before []*Record, records *table[*Record]) []*Record {
	put := slices.DeleteFunc(l.put, func(r *Record) bool { return records.get(r.UUID()) != r })
	slices.SortFunc(put, byName)
	put = slices.Compact(put)
	if len(put) == 1 && len(l.gone) == 1 { // one that keeps its name, as most changes do
		if i, found := slices.BinarySearchFunc(before, put[0], byName); found && l.gone[before[i]] {
			out := slices.Clone(before)
			out[i] = put[0]
			return out
		}
	}
	out := make([]*Record, 0, len(before)+len(put))
	for _, r := range before {
		if l.gone[r] || records.get(r.UUID()) != r {
			continue
		}
		for len(put) > 0 && byName(put[0], r) < 0 {
			out, put = append(out, put[0]), put[1:]
		}
		if len(put) > 0 && put[0] == r {
			put = put[1:]
		}
		out = append(out, r)
	}
	return append(out, put...)
}

// usage is the users of a view in the making.
type usage struct {
	edit  *edit[[]string]
	fresh map[string]bool // lists that are shared with nobody yet
}

func usersOf(v *View) *usage { return &usage{v.users.edit(), map[string]bool{}} }

// move has a record refer to what now does, and no more to what old did. Either may be nil.
func (u *usage) move(uuid string, old, now *Record) {
	if old != nil {
		for i := range old.refs {
			if to := old.refs[i].Value; !refersTo(now, to) {
				u.change(to, uuid, false)
			}
		}
	}
	if now != nil {
		for i := range now.refs {
			if to := now.refs[i].Value; !refersTo(old, to) {
				u.change(to, uuid, true)
			}
		}
	}
}

func refersTo(r *Record, uuid string) bool {
	return uuid == "" || r != nil && slices.ContainsFunc(r.refs, func(ref object.Ref) bool { return ref.Value == uuid })
}

// change adds a user to what a uuid has, or takes it away.
func (u *usage) change(to, user string, add bool) {
	list := u.edit.get(to)
	if !u.fresh[to] {
		list, u.fresh[to] = slices.Clone(list), true
	}
	if i := slices.Index(list, user); i >= 0 && !add {
		list[i] = list[len(list)-1]
		list = list[:len(list)-1]
	} else if i < 0 && add {
		list = append(list, user)
	}
	u.edit.set(to, list, len(list) > 0)
}

func (u *usage) done() *table[[]string] { return u.edit.done() }

// TenantName is the name of a tenant, or its uuid if there is none such.
func (v *View) TenantName(uuid string) string {
	if t := v.records.get(uuid); t != nil {
		return t.Name()
	}
	return uuid
}
