package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// Export writes all objects as JSON: a list for each kind, as Avi exports them, references as uuids, so that an import
// finds everything where it was. Without secrets their places say object.Hidden.
func (c *Controller) Export(secrets bool) ([]byte, error) {
	v := c.View()
	var out bytes.Buffer
	meta, err := json.Marshal(map[string]any{"version": map[string]string{"Product": "carillon", "Version": c.cfg.Version}, "revision": v.Revision,
		"time": time.Now().UTC().Format(time.RFC3339), "secrets": secrets})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "{\n\"META\": %s", meta)
	for _, k := range object.Kinds() {
		list := v.List(k.Name)
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&out, ",\n%q: [", k.Name)
		for i, r := range list {
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteString("\n  ")
			out.Write(r.Object.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: secrets}))
		}
		out.WriteString("\n]")
	}
	out.WriteString("\n}\n")
	return out.Bytes(), nil
}

// Import brings in what Export wrote, or any file of objects as JSON by kind: what is there by uuid, or by name and
// tenant, is changed to what the file says, what is not is made. All or nothing. What the file does not have stays.
func (c *Controller) Import(ctx context.Context, who Who, data []byte) (Result, error) {
	if who.Everywhere(c.View()).Role != RoleAdmin {
		return Result{}, fault(Forbidden, "user %s may not import: that takes an admin of all tenants", who.User)
	}
	v := c.View()
	ops, err := fileOps(data, func(kind string, item json.RawMessage) (Op, error) { return importOp(v, kind, item), nil })
	if err != nil {
		return Result{}, err
	}
	who.AnyTenant, who.Tenant = true, catalog.AdminTenant
	return c.Do(ctx, who, ops...)
}

// importOp changes the object with the uuid of item if there is one, else the one with its name, else makes it.
func importOp(v *catalog.View, kind string, item json.RawMessage) Op {
	var id struct {
		UUID   string
		Tenant string `json:"tenant_ref"`
	}
	op := Op{Verb: Apply, Kind: kind, Body: item}
	if json.Unmarshal(item, &id) != nil {
		return op
	}
	if validUUID(id.UUID) {
		op.UUID = id.UUID // what is there under it may go before the change is made
	}
	if t := Lookup(v, "Tenant", id.Tenant, catalog.AdminTenant); t != nil && !Everybodys(kind) {
		op.Tenant = t.UUID() // where its name is looked for
	}
	return op
}

// ApplySet makes the objects of a file those of the store: what is there by name is changed, what is not is made, and
// what an earlier call made for the same owner and the file has no more is taken away.
func (c *Controller) ApplySet(ctx context.Context, set *object.Set, owner string) (Result, error) {
	var ops []Op
	keep := map[string]bool{}
	for _, o := range set.Objects() {
		ops = append(ops, Op{Verb: Apply, Kind: o.Kind(), Owner: owner, Body: o.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true})})
		keep[o.Kind()+"/"+o.Name()] = true
	}
	v := c.View()
	v.All(func(r *catalog.Record) bool {
		if r.Tenant == catalog.AdminTenant && r.Object.Text("created_by") == owner && !keep[r.Kind()+"/"+r.Name()] {
			ops = append(ops, Op{Verb: Delete, Kind: r.Kind(), UUID: r.UUID()})
		}
		return true
	})
	who := system
	who.User = owner
	return c.Do(ctx, who, ops...)
}

// StoreStatus is how the store is.
func (c *Controller) StoreStatus(ctx context.Context) store.Status { return c.st.Status(ctx) }

// Warnings are what of the configuration is likely not meant.
func (c *Controller) Warnings() []string {
	var out []string
	for _, w := range c.View().Set().Warnings() {
		out = append(out, w.Error())
	}
	slices.Sort(out)
	return out
}
