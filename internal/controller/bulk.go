package controller

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// ApplyOptions says how a file of objects is applied.
type ApplyOptions struct {
	// Prune takes away what bears a marker, given as key or key=value, and is not in the file. Empty: nothing.
	Prune  string
	Delete bool // take away what the file names
	DryRun bool // tell, and change nothing
}

// Applied is what a file of objects has done, or would do.
type Applied struct {
	Revision int64          `json:"revision"` // of the store; with DryRun, of what it was held against
	Changed  bool           `json:"changed"`
	Objects  []ObjectChange `json:"objects"` // in the order of the file, then what was pruned
	Warnings []string       `json:"warnings,omitempty"`
}

// ObjectChange is what became of one object.
type ObjectChange struct {
	Action string `json:"action"` // create, update, delete or unchanged
	Kind   string `json:"kind"`
	UUID   string `json:"uuid"`
	Name   string `json:"name"`
	// Before and After are the object as a file has it: references are names, secrets blanked. Absent: not there.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// ApplyFile makes the objects of a file, lists by kind as JSON, those of the caller's tenant: what is there by name is
// changed to what the file says, what is not is made. All or nothing. What the file does not have stays.
func (c *Controller) ApplyFile(ctx context.Context, who Who, data []byte, o ApplyOptions) (*Applied, error) {
	v := c.View()
	ops, err := fileOps(data, func(kind string, item json.RawMessage) (Op, error) { return applyOp(v, who, kind, item, o) })
	if err != nil {
		return nil, err
	}
	if o.Prune != "" {
		ops = append(ops, pruneOps(v, who, ops, o.Prune)...)
	}
	if o.DryRun {
		if err := who.may(v, ops); err != nil {
			return nil, err
		}
		p, err := c.plan(ctx, v, who, ops)
		if err != nil {
			return nil, err
		}
		out := applied(v, p.after, ops, p.records)
		out.Revision, out.Warnings = v.Revision, freshWarnings(p)
		return out, nil
	}
	res, err := c.Do(ctx, who, ops...)
	if err != nil {
		return nil, err
	}
	out := applied(v, c.View(), ops, res.Records)
	out.Revision = res.Revision
	return out, nil
}

// fileOps makes operations of lists of objects by kind.
func fileOps(data []byte, op func(kind string, item json.RawMessage) (Op, error)) ([]Op, error) {
	var kinds map[string]json.RawMessage
	if err := json.Unmarshal(data, &kinds); err != nil {
		return nil, fault(Invalid, "not an export: expected a list of objects for each kind, as JSON: %v", err)
	}
	var ops []Op
	for _, k := range object.Kinds() {
		raw, there := kinds[k.Name]
		delete(kinds, k.Name)
		if !there {
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fault(Invalid, "%s: expected a list of objects", k.Name)
		}
		for _, item := range list {
			o, err := op(k.Name, item)
			if err != nil {
				return nil, err
			}
			ops = append(ops, o)
		}
	}
	delete(kinds, "META")
	for name := range kinds {
		return nil, fault(Invalid, "%q is no kind of object", name)
	}
	return ops, nil
}

// applyOp is what is to be done with one object of a file.
func applyOp(v *catalog.View, who Who, kind string, item json.RawMessage, o ApplyOptions) (Op, error) {
	m, err := objectMembers(item)
	if err != nil {
		return Op{}, err
	}
	name := textOf(m["name"])
	if name == "" && kind == "User" {
		name = textOf(m["username"])
	}
	tenant := who.Tenant
	if Everybodys(kind) {
		tenant = catalog.AdminTenant
	} else if ref := textOf(m["tenant_ref"]); ref != "" {
		if t := Lookup(v, "Tenant", ref, catalog.AdminTenant); t == nil || t.UUID() != tenant {
			return Op{}, fault(Forbidden, "%s/%s: tenant_ref: is %s, but the change is made in tenant %s; choose the tenant, or leave the field out", kind, name, ref, v.TenantName(tenant))
		}
	}
	if !o.Delete {
		return Op{Verb: Apply, Kind: kind, Body: item}, nil
	}
	r := v.Named(kind, tenant, name)
	if r == nil {
		return Op{}, fault(NotFound, "%s/%s: object not found!", kind, name)
	}
	return Op{Verb: Delete, Kind: kind, UUID: r.UUID()}, nil
}

// pruneOps takes away what bears the marker and is in none of ops.
func pruneOps(v *catalog.View, who Who, ops []Op, marker string) []Op {
	key, value, _ := strings.Cut(marker, "=")
	stays := map[string]bool{}
	for i := range ops {
		var named struct{ Name string }
		if json.Unmarshal(ops[i].Body, &named) == nil {
			stays[ops[i].Kind+"/"+named.Name] = true
		}
	}
	var out []Op
	v.All(func(r *catalog.Record) bool {
		if r.Tenant == who.Tenant && !stays[r.Kind()+"/"+r.Name()] && !object.IsSystem(r.Kind(), r.Name()) && HasMarker(r, key, value) {
			out = append(out, Op{Verb: Delete, Kind: r.Kind(), UUID: r.UUID()})
		}
		return true
	})
	return out
}

// HasMarker reports whether an object bears a marker with that key, and with that value unless it is empty.
func HasMarker(r *catalog.Record, key, value string) bool {
	var o struct {
		Markers []struct {
			Key    string
			Values []string
		}
	}
	if json.Unmarshal(r.Object.JSON(object.JSONOptions{Form: object.SkipDefault, Fields: []string{"markers"}}), &o) != nil {
		return false
	}
	for _, m := range o.Markers {
		if m.Key != key {
			continue
		}
		if value == "" {
			return true
		}
		for _, v := range m.Values {
			if v == value {
				return true
			}
		}
	}
	return false
}

// applied tells of operations, and the records they gave.
func applied(before, after *catalog.View, ops []Op, records []*catalog.Record) *Applied {
	out := &Applied{Objects: make([]ObjectChange, 0, len(ops))}
	for i, r := range records {
		old := before.Get(r.Kind(), r.UUID())
		ch := ObjectChange{Action: "update", Kind: r.Kind(), UUID: r.UUID(), Name: r.Name()}
		switch {
		case ops[i].Verb == Delete:
			ch.Action, ch.Before = "delete", asFile(before, r)
		case old == nil:
			ch.Action, ch.After = "create", asFile(after, r)
		case old.Version == r.Version:
			ch.Action = "unchanged"
		default:
			ch.Before, ch.After = asFile(before, old), asFile(after, r)
		}
		out.Changed = out.Changed || ch.Action != "unchanged"
		out.Objects = append(out.Objects, ch)
	}
	return out
}

// asFile writes an object as a file has it.
func asFile(v *catalog.View, r *catalog.Record) json.RawMessage {
	o := r.Object.WithUUID("").WithRef("tenant_ref", "")
	return o.JSON(object.JSONOptions{Form: object.SkipDefault, MapRef: func(ref object.Ref) string {
		if to := v.Get(ref.Kind, ref.Value); to != nil {
			return to.Name()
		}
		return ref.Value
	}})
}
