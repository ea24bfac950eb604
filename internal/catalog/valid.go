package catalog

import (
	"slices"
	"strings"
	"weak"

	"github.com/carillon-sip/carillon/internal/object"
)

// Harmless reports that what became of another view brings no fault that was not there already, each object being right
// by itself: see object.Set.ValidateTogether. Only what changed, those who refer to it and what these refer to is looked
// at, where that is enough; the whole of a thousand virtual services takes milliseconds. False: it is not known.
func (v *View) Harmless(before *View) bool {
	v.mu.Lock()
	known := v.harmless == weak.Make(before) // who planned the change has asked already
	v.mu.Unlock()
	if !known && v.findHarmless(before) {
		v.mu.Lock()
		v.harmless, known = weak.Make(before), true
		v.mu.Unlock()
	}
	return known
}

func (v *View) findHarmless(before *View) bool {
	changes := v.since(before)
	if !v.local(before, changes) {
		return false
	}
	near := v.around(changes)
	out := &object.Set{}
	for _, r := range near {
		if !v.unique(r) {
			return false
		}
		out.Add(v.resolve(r))
	}
	return out.ValidateTogether() == nil
}

// global are the kinds of which an object may be in the way of any other, whatever it refers to: by an address that it
// listens on, or by the name that others carry.
var global = []string{"VirtualService", "VsVip", "NetworkProfile", "Tenant"}

// local reports whether changes can make wrong only what they touch, those who refer to it, and what these refer to. So
// it is when objects stay what they are, under their names, and none of them may be in the way of others.
func (v *View) local(before *View, changes []Change) bool {
	for _, c := range changes {
		if c.Put == nil || v.Get("", c.Put.UUID()) != c.Put {
			return false
		}
		old := before.Get(c.Put.Kind(), c.Put.UUID())
		if old == nil || old.Name() != c.Put.Name() || old.Tenant != c.Put.Tenant {
			return false
		}
		if slices.Contains(global, c.Put.Kind()) && !sameListens(old, c.Put) {
			return false
		}
	}
	return true
}

// sameListens reports whether a virtual service listens on what it listened on before.
func sameListens(old, now *Record) bool {
	a, isVS := old.Object.Value().(*object.VirtualService)
	if !isVS {
		return false
	}
	b := now.Object.Value().(*object.VirtualService)
	return a.Enabled == b.Enabled && a.VsVipRef == b.VsVipRef && a.NetworkProfileRef == b.NetworkProfileRef &&
		slices.EqualFunc(a.Services, b.Services, func(x, y object.Service) bool {
			return x.Port == y.Port && x.PortRangeEnd == y.PortRangeEnd && x.EnableSSL == y.EnableSSL && x.OverrideNetworkProfileRef == y.OverrideNetworkProfileRef
		})
}

// unique reports whether no other object of the kind can have the name that an engine knows r by.
func (v *View) unique(r *Record) bool {
	return !v.Twice(r) && (r.Tenant == AdminTenant || v.Named(r.Kind(), AdminTenant, v.EngineName(r)) == nil) &&
		(r.Tenant != AdminTenant || !strings.Contains(r.Name(), "/"))
}

// Twice reports whether another object of the kind and tenant has the name of one that the view has.
func (v *View) Twice(r *Record) bool {
	list := v.kinds[r.Kind()]
	i, _ := slices.BinarySearchFunc(list, r, byName)
	same := func(i int) bool {
		return i >= 0 && i < len(list) && list[i].Name() == r.Name() && list[i].Tenant == r.Tenant
	}
	return same(i-1) || same(i+1)
}

// around is what changes put, all that refer to it, and all that these refer to: the neighbourhood in which a change
// shows.
func (v *View) around(changes []Change) []*Record {
	in := map[*Record]bool{}
	var found []*Record
	add := func(r *Record) {
		if r != nil && !in[r] {
			in[r], found = true, append(found, r)
		}
	}
	for _, c := range changes {
		add(c.Put)
	}
	for i := 0; i < len(found); i++ {
		for _, user := range v.users.get(found[i].UUID()) {
			add(v.records.get(user))
		}
	}
	for i := 0; i < len(found); i++ {
		for j := range found[i].refs {
			add(v.records.get(found[i].refs[j].Value))
		}
	}
	return found
}

// since is by which changes another view became this one.
func (v *View) since(before *View) []Change {
	var out []Change
	for kind := range before.kinds {
		if v.kinds[kind] == nil {
			out = difference(out, before.kinds[kind], nil)
		}
	}
	for kind, list := range v.kinds {
		out = difference(out, before.kinds[kind], list)
	}
	return out
}

// difference appends what is another in a list.
func difference(out []Change, was, is []*Record) []Change {
	if len(was) == len(is) && (len(is) == 0 || &was[0] == &is[0]) {
		return out
	}
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(was) > 0 && len(is) > 0 && was[0] == is[0]:
			was, is = was[1:], is[1:]
		case len(is) == 0 || len(was) > 0 && byName(was[0], is[0]) < 0:
			out, was = append(out, Change{Gone: was[0].UUID()}), was[1:]
		default:
			if len(was) > 0 && byName(was[0], is[0]) == 0 {
				was = was[1:]
			}
			out, is = append(out, Change{Put: is[0]}), is[1:]
		}
	}
	return out
}
