package catalog

import (
	"cmp"

	"github.com/carillon-sip/carillon/internal/object"
)

// resolved is a set in which references are names, and what it was made of.
type resolved struct {
	set *object.Set
	by  map[*Record]object.Any // each record as it stands in the set
	old map[string]bool        // uuids whose name is another now; nil: none
}

// EngineName is what an object is called in the set of an engine: its name, behind that of its tenant unless that is
// admin.
func (v *View) EngineName(r *Record) string {
	if r.Tenant == AdminTenant {
		return r.Name()
	}
	tenant := r.Tenant
	if t := v.records[tenant]; t != nil {
		tenant = t.Name()
	}
	return tenant + "/" + r.Name()
}

// Set returns the objects as an engine runs them. It is made once a view; what did not change since the view before
// is shared with it. The caller must not change it.
func (v *View) Set() *object.Set {
	v.setup.Do(func() {
		out := &resolved{set: &object.Set{}, by: make(map[*Record]object.Any, len(v.records))}
		v.All(func(r *Record) bool {
			o := v.resolve(r)
			out.by[r] = o
			out.set.Add(o)
			return true
		})
		v.set, v.prev = out, nil
	})
	return v.set.set
}

// resolve gives an object its name in the set, and its references theirs.
func (v *View) resolve(r *Record) object.Any {
	if p := v.prev; p != nil {
		if o, ok := p.by[r]; ok && !p.renamedFor(r) {
			return o
		}
	}
	return r.Object.WithName(v.EngineName(r)).MapRefs(func(ref object.Ref) string {
		if to := v.records[ref.Value]; to != nil {
			return v.EngineName(to)
		}
		return ref.Value
	})
}

// renamedFor reports whether a name that r is written with may be another now.
func (p *resolved) renamedFor(r *Record) bool {
	if len(p.old) == 0 {
		return false
	}
	if p.old[r.Tenant] {
		return true
	}
	for i := range r.refs {
		if p.old[r.refs[i].Value] {
			return true
		}
	}
	return false
}

// inherit is what the view after this one takes over. It makes the set of this one, so that a row of changes shares
// what none of them touched.
func (v *View) inherit(renamed map[string]bool) *resolved {
	v.Set()
	for uuid := range renamed { // objects of a tenant carry its name
		if r := v.records[uuid]; r != nil && r.Kind() == "Tenant" {
			return nil
		}
	}
	return &resolved{by: v.set.by, old: renamed}
}

func byName(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.UUID(), b.UUID()))
}
