package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/patch"
)

// plan is a change that has been checked against a view.
type plan struct {
	who      Who
	ops      []Op
	before   *catalog.View
	after    *catalog.View
	modified int64 // µs
	changes  []catalog.Change
	records  []*catalog.Record // by op
	alive    map[string]bool   // engines that are registered
}

// step is an operation on its way.
type step struct {
	op  *Op
	old *catalog.Record // nil: a new object
	obj object.Any      // references as the caller wrote them
	to  string          // tenant
}

// plan works out what a change would do. An error says why it must not.
func (c *Controller) plan(ctx context.Context, v *catalog.View, who Who, ops []Op) (*plan, error) {
	p := &plan{who: who, ops: ops, before: v, after: v, modified: c.stamp(v), alive: map[string]bool{}}
	for name := range c.engines.Load().byName {
		p.alive[name] = true
	}
	steps := make([]*step, len(ops))
	var errs []error
	tell := progressOf(ctx)
	for i := range ops {
		tell.each(PhaseRead, i, len(ops))
		s, err := p.decode(&ops[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		steps[i] = s
	}
	if err := joined(errs); err != nil {
		return nil, err
	}
	p.lay(steps)
	for i, s := range steps {
		tell.each(PhasePlan, i, len(steps))
		if err := p.settle(i, s); err != nil {
			errs = append(errs, err)
		}
	}
	if err := joined(errs); err != nil {
		return nil, err
	}
	if len(p.changes) == 0 {
		return p, nil
	}
	p.after = v.With(p.changes...)
	return p, p.check(tell)
}

// joined makes one refusal of several. A single one stays what it is.
func joined(errs []error) error {
	switch {
	case len(errs) == 0:
		return nil
	case len(errs) == 1:
		return errs[0]
	}
	code := CodeOf(errs[0])
	for _, err := range errs {
		if CodeOf(err) != code {
			code = Invalid
		}
	}
	return &Error{Code: code, Msg: errors.Join(errs...).Error()}
}

// decode turns an operation into a step. References are not looked up yet: they may be to what another operation of
// the same change makes.
func (p *plan) decode(op *Op) (*step, error) {
	info, ok := object.FindKind(op.Kind)
	if !ok {
		return nil, fault(NotFound, "there is no kind of object %q", op.Kind)
	}
	op.Kind = info.Name
	s := &step{op: op, to: op.Tenant}
	if s.to == "" {
		s.to = p.who.Tenant
	}
	if err := p.find(s, info); err != nil {
		return nil, err
	}
	body := op.Body
	switch {
	case op.Verb == Delete:
		return s, nil
	case op.Verb == Patch:
		patched, err := patch.Apply(s.old.Object.MapRefs(p.both), body)
		if err != nil {
			return nil, invalid(err)
		}
		body = patched
	}
	b, err := p.members(s, body)
	if err != nil {
		return nil, err
	}
	if s.obj, err = object.Decode(op.Kind, b); err != nil {
		return nil, invalid(err)
	}
	if s.old != nil {
		s.obj = object.KeepSecrets(s.old.Object, s.obj)
	}
	if s.obj, err = hashPassword(s.obj); err != nil {
		return nil, err
	}
	return s, nil
}

// both writes a reference with uuid and name: a patch may mean it by either.
func (p *plan) both(ref object.Ref) string {
	to := p.before.Get(ref.Kind, ref.Value)
	info, ok := object.FindKind(ref.Kind)
	if to == nil || !ok {
		return ref.Value
	}
	return "/api/" + info.Path + "/" + to.UUID() + "#" + url.PathEscape(to.Name())
}

// find looks for the object that an operation is about.
func (p *plan) find(s *step, info object.KindInfo) error {
	op := s.op
	if op.Verb == Apply {
		if s.old = p.before.Get(op.Kind, op.UUID); s.old != nil && p.who.AnyTenant {
			s.to = s.old.Tenant
			return nil
		}
		var named struct{ Name string }
		if err := json.Unmarshal(op.Body, &named); err == nil {
			s.old = p.before.Named(op.Kind, s.tenantFor(info), named.Name)
		}
		return nil
	}
	if op.Verb == Create {
		return nil
	}
	s.old = p.before.Get(op.Kind, op.UUID)
	if s.old == nil || !p.who.AnyTenant && !Visible(s.old, p.who.Tenant) {
		return &Error{Code: NotFound, Msg: info.Name + " object not found!"}
	}
	if s.old.Tenant != p.who.Tenant && !p.who.AnyTenant {
		return &Error{Code: Forbidden, Name: s.old.Name(), Msg: fmt.Sprintf("%s/%s is of another tenant, %s", op.Kind, s.old.Name(), p.before.TenantName(s.old.Tenant))}
	}
	s.to = s.old.Tenant
	return nil
}

// tenantFor is the tenant of a new object. Users, roles, tenants and clouds are everybody's.
func (s *step) tenantFor(info object.KindInfo) string {
	if Everybodys(info.Name) || s.to == "" {
		return catalog.AdminTenant
	}
	return s.to
}

// members sets what is ours to set in the JSON of an object: uuid, tenant and cloud.
func (p *plan) members(s *step, body []byte) ([]byte, error) {
	m, err := objectMembers(body)
	if err != nil {
		return nil, err
	}
	if err := p.notStale(s, m); err != nil {
		return nil, err
	}
	info, _ := object.FindKind(s.op.Kind)
	if err := p.setTenant(s, info, m); err != nil {
		return nil, err
	}
	switch id := textOf(m["uuid"]); {
	case s.old != nil:
		if id != "" && id != s.old.UUID() && s.op.Verb != Apply {
			return nil, fault(Invalid, "%s/%s: uuid: is %s and cannot be changed", s.op.Kind, s.old.Name(), s.old.UUID())
		}
		m["uuid"] = quoted(s.old.UUID())
	case s.op.UUID != "" && s.op.Verb != Apply:
		m["uuid"] = quoted(s.op.UUID)
	case validUUID(id) && p.before.Get("", id) == nil:
	case id != "" && validUUID(id):
		return nil, &Error{Code: NameTaken, Msg: fmt.Sprintf("%s object with the uuid %s already exists.", s.op.Kind, id)}
	default:
		m["uuid"] = quoted(info.UUIDPrefix + "-" + uuid.NewString())
	}
	if s.op.Owner != "" {
		m["created_by"] = quoted(s.op.Owner)
	}
	return json.Marshal(m)
}

func (p *plan) setTenant(s *step, info object.KindInfo, m map[string]json.RawMessage) error {
	if s.old == nil {
		if ref := textOf(m["tenant_ref"]); ref != "" && !Everybodys(info.Name) {
			t := p.lookup(object.Ref{Path: "tenant_ref", Kind: "Tenant", Value: ref}, catalog.AdminTenant)
			if t == nil {
				return fault(Invalid, "%s/%s: tenant_ref: no Tenant %q", s.op.Kind, textOf(m["name"]), ref)
			}
			if !p.who.mayCreateIn(p.before, t.UUID(), s.op) {
				return fault(Forbidden, "%s/%s: tenant_ref: user %s may not create a %s in tenant %s", s.op.Kind, textOf(m["name"]), p.who.User, s.op.Kind, t.Name())
			}
			s.to = t.UUID()
		}
		s.to = s.tenantFor(info)
	}
	delete(m, "tenant_ref")
	if !Everybodys(info.Name) || info.Name == "Role" { // of those only Avi's Role has one, and the system's have it too
		m["tenant_ref"] = quoted(s.to)
	}
	if _, given := m["cloud_ref"]; !given && inCloud[info.Name] {
		m["cloud_ref"] = quoted("Default-Cloud")
	}
	return nil
}

// notStale refuses what was made of a version that is not the newest (412).
func (p *plan) notStale(s *step, m map[string]json.RawMessage) error {
	given := textOf(m["_last_modified"])
	if s.old == nil || given == "" || s.op.Verb != Update && s.op.Verb != Patch {
		return nil
	}
	if now := fmt.Sprint(s.old.Modified); given != now {
		return &Error{Code: Stale, Name: s.old.Name(), Msg: fmt.Sprintf("%s/%s was changed meanwhile: _last_modified is %s, not %s; read it again", s.op.Kind, s.old.Name(), now, given)}
	}
	return nil
}

// objectMembers reads a JSON object.
func objectMembers(body []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil || m == nil {
		var syntax *json.SyntaxError
		switch {
		case len(bytes.TrimSpace(body)) == 0:
			return nil, fault(Invalid, "the body is empty: expected an object as JSON")
		case errors.As(err, &syntax):
			line, column := position(body, syntax.Offset)
			return nil, fault(Invalid, "not JSON: line %d, column %d: %v", line, column, err)
		}
		return nil, fault(Invalid, "expected an object as JSON, {...}")
	}
	return m, nil
}

func position(body []byte, offset int64) (line, column int) {
	before := body[:min(int64(len(body)), offset)]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n') - 1
}

func textOf(raw json.RawMessage) string {
	var s string
	if len(raw) > 0 && json.Unmarshal(raw, &s) != nil {
		return string(raw) // a number, where a client writes one
	}
	return s
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic("controller: a text is no JSON: " + err.Error())
	}
	return b
}

// validUUID reports whether a uuid that a client wants for an object can be one: kind-xxxxxxxx-..., or a word.
func validUUID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	if strings.Trim(s, ".") == "" {
		return false // of a path these are no names: nobody could reach the object
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
}

// lay puts the new objects into a view as they are, so that references among them can be looked up.
func (p *plan) lay(steps []*step) {
	if len(steps) == 1 {
		return // to itself nothing refers
	}
	var changes []catalog.Change
	for _, s := range steps {
		if s.op.Verb != Delete {
			changes = append(changes, catalog.Change{Put: catalog.NewRecord(s.obj, s.to, 0, 0)})
		}
	}
	p.after = p.before.With(changes...)
}

// settle looks up the references of a step and makes its change.
func (p *plan) settle(i int, s *step) error {
	if s.op.Verb == Delete {
		p.records = append(p.records, s.old)
		p.changes = append(p.changes, catalog.Change{Gone: s.old.UUID()})
		return nil
	}
	var errs []error
	o := s.obj.MapRefs(func(ref object.Ref) string {
		to := p.lookup(ref, s.to)
		if to == nil {
			errs = append(errs, p.noSuch(s, ref))
			return ref.Value
		}
		return to.UUID()
	})
	if err := joined(errs); err != nil {
		return err
	}
	o = p.withoutDefaults(o)
	if s.old != nil && object.Equal(s.old.Object, o) {
		p.records = append(p.records, s.old)
		return nil
	}
	version := uint32(1)
	if s.old != nil {
		version = s.old.Version + 1
	}
	r := catalog.NewRecord(o, s.to, version, p.modified)
	if err := p.who.mayChange(s.old, r); err != nil {
		return err
	}
	p.records = append(p.records, r)
	p.changes = append(p.changes, catalog.Change{Put: r})
	return nil
}

// withoutDefaults takes references away that say what they would say if they were not there: answers show the defaults of
// fields without effect as URLs, and an answer that is sent back must change nothing.
func (p *plan) withoutDefaults(o object.Any) object.Any {
	for _, ref := range o.Refs() {
		info, known := object.Describe(o.Kind(), ref.Path)
		to := p.after.Get(ref.Kind, ref.Value)
		if !known || info.Effect == object.Acted || to == nil || !isSystem(to) {
			continue
		}
		if without := o.WithRef(ref.Path, ""); without.Text(ref.Path) == to.Name() {
			o = without
		}
	}
	return o
}

// lookup finds what a reference means to an object of a tenant.
func (p *plan) lookup(ref object.Ref, tenant string) *catalog.Record {
	return Lookup(p.after, ref.Kind, ref.Value, tenant)
}

// Lookup finds what a reference of any spelling means in a tenant: a uuid, a name, /api/pool/uuid, /api/pool?name=x,
// either behind https://host and with #name after it. Nil: nothing.
func Lookup(v *catalog.View, kind, text, tenant string) *catalog.Record {
	see := func(r *catalog.Record) *catalog.Record {
		if r == nil || !Visible(r, tenant) {
			return nil
		}
		return r
	}
	if r := see(v.Get(kind, text)); r != nil {
		return r
	}
	if r := see(v.Find(kind, tenant, text)); r != nil {
		return r
	}
	ref, ok := object.ParseRef(text)
	if !ok {
		return nil
	}
	if info, known := object.FindKind(ref.Kind); !known || info.Name != kind {
		return nil
	}
	if r := see(v.Get(kind, ref.UUID)); r != nil && ref.UUID != "" {
		return r
	}
	for _, name := range []string{ref.Name, ref.Written} {
		if r := see(v.Find(kind, tenant, name)); r != nil && name != "" {
			return r
		}
	}
	return nil
}

// noSuch says that a reference leads nowhere, and what there is.
func (p *plan) noSuch(s *step, ref object.Ref) error {
	const most = 8
	var have []string
	for _, r := range p.after.List(ref.Kind) {
		if Visible(r, s.to) {
			have = append(have, r.Name())
		}
	}
	text := fmt.Sprintf("%s/%s: %s: no %s %q", s.op.Kind, s.obj.Name(), ref.Path, ref.Kind, ref.Value)
	switch slices.Sort(have); {
	case len(have) == 0:
		text += "; there is none at all"
	case len(have) <= most:
		text += "; there are: " + strings.Join(have, ", ")
	}
	return &Error{Code: Invalid, Msg: text, Name: s.obj.Name()}
}

// invalid makes a refusal of the faults of an object.
func invalid(err error) error {
	if CodeOf(err) != 0 {
		return err
	}
	return &Error{Code: Invalid, Msg: err.Error()}
}
