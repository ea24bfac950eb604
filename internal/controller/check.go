package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// check refuses a change for what it would leave behind.
func (p *plan) check(tell Progress) error {
	var errs []error
	for i, ch := range p.changes {
		tell.each(PhaseCheck, i, len(p.changes))
		if ch.Put != nil {
			errs = append(errs, p.checkPut(ch.Put)...)
		} else if err := p.checkGone(p.before.Get("", ch.Gone)); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, p.checkUsers()...)
	if err := joined(errs); err != nil {
		return err
	}
	return p.together()
}

func (p *plan) checkPut(r *catalog.Record) []error {
	var errs []error
	old := p.before.Get("", r.UUID())
	if old != nil && isSystem(old) && old.Name() != r.Name() {
		errs = append(errs, fault(Forbidden, "%s/%s is the system's and cannot be renamed", r.Kind(), old.Name()))
	}
	if err := object.Check(r.Object); err != nil {
		errs = append(errs, invalid(err))
	}
	if now := p.after.Named(r.Kind(), r.Tenant, r.Name()); now != r || p.after.Twice(r) {
		errs = append(errs, &Error{Code: NameTaken, Name: r.Name(),
			Msg: r.Kind() + " with this Name, Tenant ref and Cloud ref already exists."})
	}
	if err := p.engineName(r); err != nil {
		errs = append(errs, err)
	}
	if old != nil {
		if err := vipIDs(old.Object, r.Object); err != nil {
			errs = append(errs, err)
		}
	}
	if ring := p.ring(r); ring != nil {
		errs = append(errs, fault(Invalid, "%s/%s: refers to itself: %s", r.Kind(), r.Name(), strings.Join(ring, " -> ")))
	}
	return errs
}

// engineName refuses a name with a slash that engines have for the object of a tenant: they write edge of tenant acme as acme/edge.
func (p *plan) engineName(r *catalog.Record) error {
	if r.Tenant != catalog.AdminTenant {
		if as := p.after.EngineName(r); p.after.Named(r.Kind(), catalog.AdminTenant, as) != nil {
			return fault(Invalid, "%s/%s: name: engines know it as %q, and a %s of tenant admin has that name: choose another, or have that one renamed", r.Kind(), r.Name(), as, r.Kind())
		}
		return nil
	}
	tenant, name, ok := strings.Cut(r.Name(), "/")
	if !ok {
		return nil
	}
	if t := p.after.Named("Tenant", catalog.AdminTenant, tenant); t != nil && p.after.Named(r.Kind(), t.UUID(), name) != nil {
		return fault(Invalid, "%s/%s: name: engines know %q of tenant %s by it: choose another; that one itself is reached with --tenant %s, or in the shell after: switchto tenant %s",
			r.Kind(), r.Name(), name, tenant, tenant, tenant)
	}
	return nil
}

// checkGone refuses to delete what the system needs or others refer to.
func (p *plan) checkGone(r *catalog.Record) error {
	if isSystem(r) {
		return &Error{Code: Forbidden, Name: r.Name(), Msg: "Cannot delete system default object " + r.Name()}
	}
	if r.Kind() == "ServiceEngine" && p.alive[r.Name()] {
		return &Error{Code: InUse, Name: r.Name(), Msg: "Cannot delete, the engine " + r.Name() + " is running: stop it first"}
	}
	var by []string
	for _, other := range p.after.Referrers(r.UUID()) {
		if other.UUID() != r.UUID() {
			by = append(by, "'"+other.Kind()+" "+other.Name()+"'")
		}
	}
	if len(by) == 0 {
		return nil
	}
	const most = 20
	if more := len(by) - most; more > 0 {
		by = append(by[:most], fmt.Sprintf("and %d more", more))
	}
	return &Error{Code: InUse, Name: r.Name(), Msg: "Cannot delete, object is referred by: [" + strings.Join(by, ", ") + "]"}
}

// isSystem reports whether an object is the system's own. One of a tenant may bear the name of one.
func isSystem(r *catalog.Record) bool {
	return r.Tenant == catalog.AdminTenant && object.IsSystem(r.Kind(), r.Name())
}

// vipIDs refuses another vip_id for an address: it is how others know it.
func vipIDs(old, now object.Any) error {
	was, ok := old.Value().(*object.VsVip)
	if !ok {
		return nil
	}
	is := now.Value().(*object.VsVip)
	for i := range is.Vip {
		if i < len(was.Vip) && len(is.Vip) == len(was.Vip) && was.Vip[i].IPAddress == is.Vip[i].IPAddress && was.Vip[i].VipID != is.Vip[i].VipID {
			return fault(Invalid, "VsVip/%s: vip[%d].vip_id: is %q and cannot be changed; remove the address and add it again", is.Name, i, was.Vip[i].VipID)
		}
	}
	return nil
}

// ring finds a way from r back to r along references.
func (p *plan) ring(r *catalog.Record) []string {
	seen := map[string]bool{}
	var walk func(at *catalog.Record) []string
	walk = func(at *catalog.Record) []string {
		for _, ref := range at.Refs() {
			if ref.Value == r.UUID() {
				return []string{at.Kind() + "/" + at.Name(), r.Kind() + "/" + r.Name()}
			}
			next := p.after.Get(ref.Kind, ref.Value)
			if next == nil || seen[ref.Value] {
				continue
			}
			seen[ref.Value] = true
			if way := walk(next); way != nil {
				return append([]string{at.Kind() + "/" + at.Name()}, way...)
			}
		}
		return nil
	}
	return walk(r)
}

// together checks what the objects mean together. Faults that were there before, which only a store written by another
// version, or with a record that cannot be read, can have, do not stand in the way of a change.
func (p *plan) together() error {
	if p.after.Harmless(p.before) {
		return nil
	}
	err := p.after.Set().ValidateTogether()
	if err == nil {
		return nil
	}
	before := p.before.Set().ValidateTogether()
	var known []string
	for _, e := range each(before) {
		known = append(known, gist(e))
	}
	var fresh []error
	for _, e := range each(err) {
		if !slices.Contains(known, gist(e)) {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return &Error{Code: Invalid, Msg: errors.Join(fresh...).Error()}
}

// gist is what is wrong, without the list of what there is instead: that is another one after any change.
func gist(e error) string {
	text, _, _ := strings.Cut(e.Error(), "; there ")
	return text
}

// each takes a joined error apart.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// checkUsers refuses two users with one name to log in with, and a change after which nobody could undo it: without an
// admin of all tenants who may log in.
func (p *plan) checkUsers() []error {
	if !slices.ContainsFunc(p.changes, func(ch catalog.Change) bool {
		return ch.Put == nil || ch.Put.Kind() == "User" || ch.Put.Kind() == "Role"
	}) {
		return nil
	}
	var errs []error
	known := map[string]*catalog.Record{}
	for _, r := range p.after.List("User") {
		login := loginName(r.Object.Value().(*object.User))
		other := known[login]
		known[login] = r
		if other != nil && p.puts(other) {
			r, other = other, r
		}
		if other != nil && p.puts(r) {
			errs = append(errs, &Error{Code: NameTaken, Name: r.Name(), Msg: fmt.Sprintf("User/%s: username: User/%s logs in as %q already", r.Name(), other.Name(), login)})
		}
	}
	if admins(p.before) > 0 && admins(p.after) == 0 {
		errs = append(errs, fault(Invalid, "no user would be left who may log in and is admin of all tenants"))
	}
	return errs
}

// puts reports whether the change brings a record.
func (p *plan) puts(r *catalog.Record) bool {
	return slices.ContainsFunc(p.changes, func(ch catalog.Change) bool { return ch.Put == r })
}

// admins counts the users who may do everything.
func admins(v *catalog.View) int {
	n := 0
	for _, r := range v.List("User") {
		u := userOf(r)
		if u == nil {
			continue
		}
		if role, _ := u.roleIn(v, everyTenant); role == RoleAdmin {
			n++
		}
	}
	return n
}
