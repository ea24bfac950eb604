package catalog

import (
	"cmp"

	"github.com/carillon-sip/carillon/internal/object"
)

// resolved is a set in which references are names, and what it was made of.
type resolved struct {
	set   *object.Set
	lists map[string][]*Record // by kind: what stands at each place of the set
}

// maxRenamed is how many names may have changed before a set is made from nothing rather than from the one before.
const maxRenamed = 1000

// EngineName is what an object is called in the set of an engine: its name, behind that of its tenant unless that is
// admin.
func (v *View) EngineName(r *Record) string {
	if r.Tenant == AdminTenant {
		return r.Name()
	}
	return v.TenantName(r.Tenant) + "/" + r.Name()
}

// Set returns the objects as an engine runs them. It is made once a view, when somebody asks; what did not change since
// the last view that was asked is shared with it. The caller must not change it.
func (v *View) Set() *object.Set {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.set == nil {
		v.set = v.resolveAll()
		v.base, v.renamed = nil, nil
	}
	return v.set.set
}

// inherit takes over from the view before what a set can be made from. The caller holds the lock of before.
func (v *View) inherit(before *View, renamed map[string]bool) {
	if v.base = before.set; v.base == nil {
		v.base = before.base
		for uuid := range before.renamed {
			renamed[uuid] = true
		}
	}
	for uuid := range renamed { // objects of a tenant carry its name
		if before.Get("Tenant", uuid) != nil || v.Get("Tenant", uuid) != nil {
			v.base = nil
		}
	}
	if len(renamed) > maxRenamed {
		v.base = nil
	}
	if v.base != nil {
		v.renamed = renamed
	}
}

// resolveAll makes the set, from base as far as it goes.
func (v *View) resolveAll() *resolved {
	out := &resolved{&object.Set{}, v.kinds}
	for kind, list := range v.kinds {
		var was []*Record
		if v.base != nil {
			was = v.base.lists[kind]
		}
		stale := 0
		for i, r := range list {
			if i >= len(was) || was[i] != r || v.renamedFor(r) {
				stale++
			}
		}
		switch {
		case len(list) == 0:
		case len(list) == len(was) && stale == 0:
			out.set.Share(v.base.set, kind)
		case len(list) == len(was):
			out.set.Replace(v.base.set, kind, func(i int) (object.Any, bool) {
				if r := list[i]; was[i] != r || v.renamedFor(r) {
					return v.resolve(r), true
				}
				return object.Any{}, false
			})
		default:
			v.relay(out.set, kind, list, was)
		}
	}
	return out
}

// relay makes the list of a kind of which objects came or went.
func (v *View) relay(out *object.Set, kind string, list, was []*Record) {
	at := make(map[*Record]int, len(was))
	for i, r := range was {
		at[r] = i
	}
	out.Fill(kind, len(list), func(i int) object.Any {
		if j, ok := at[list[i]]; ok && !v.renamedFor(list[i]) {
			return v.base.set.Nth(kind, j)
		}
		return v.resolve(list[i])
	})
}

// resolve gives an object its name in the set, and its references theirs.
func (v *View) resolve(r *Record) object.Any {
	return r.Object.WithName(v.EngineName(r)).MapRefs(func(ref object.Ref) string {
		if to := v.records.get(ref.Value); to != nil {
			return v.EngineName(to)
		}
		return ref.Value
	})
}

// renamedFor reports whether a name that r is written with may be another than in base.
func (v *View) renamedFor(r *Record) bool {
	if len(v.renamed) == 0 {
		return false
	}
	if v.renamed[r.Tenant] {
		return true
	}
	for i := range r.refs {
		if v.renamed[r.refs[i].Value] {
			return true
		}
	}
	return false
}

func byName(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.UUID(), b.UUID()))
}
