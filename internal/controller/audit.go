package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// AuditKept is how many changes are remembered; the oldest go first.
const AuditKept = 10_000

// auditMemberMax is how much of one member before and after a change is kept, in octets of JSON.
const auditMemberMax = 16 << 10

const auditPrefix = "audit/"

func auditKey(number int64) string { return fmt.Sprintf("%s%016x", auditPrefix, number) }

// AuditEntry is one change of the configuration: who did what, and what it was before.
type AuditEntry struct {
	Number  int64         `json:"number"` // counts changes, from 1
	ID      string        `json:"id"`
	Time    time.Time     `json:"time"` // by the controller's clock: it may go back where Number does not
	User    string        `json:"user"`
	Address string        `json:"address,omitempty"` // where the request came from
	Tenant  string        `json:"tenant,omitempty"`  // in which it was made
	Objects []AuditObject `json:"objects"`
}

// AuditObject is what a change did to one object.
type AuditObject struct {
	Action string `json:"action"` // create, update, delete
	Kind   string `json:"kind"`
	UUID   string `json:"uuid"`
	Name   string `json:"name"`
	// Before and After hold the members that differ; secrets are blanked. Of a member that is too long only that is told.
	Before map[string]json.RawMessage `json:"before,omitempty"`
	After  map[string]json.RawMessage `json:"after,omitempty"`
}

// newEntry is the entry of a change that somebody makes of a view.
func (c *Controller) newEntry(before *catalog.View, who Who) *AuditEntry {
	return &AuditEntry{Number: before.Changes + 1, ID: uuid.NewString(), Time: c.cfg.Clock().UTC().Truncate(time.Microsecond), User: who.User,
		Address: who.Address, Tenant: who.Tenant}
}

// into adds the entry to the transaction of its change. The oldest one goes for it.
func (e *AuditEntry) into(t *store.Txn) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	t.Put = append(t.Put, store.KV{Key: auditKey(e.Number), Value: value})
	if old := e.Number - AuditKept; old > 0 {
		t.Delete = append(t.Delete, auditKey(old))
	}
	return nil
}

// audit tells of a plan.
func (p *plan) audit(c *Controller) *AuditEntry {
	e := c.newEntry(p.before, p.who)
	for i, ch := range p.changes {
		if i == auditObjectsMax {
			e.Objects = append(e.Objects, AuditObject{Action: fmt.Sprintf("and %d more", len(p.changes)-i)})
			break
		}
		e.Objects = append(e.Objects, p.auditObject(ch))
	}
	return e
}

// auditObjectsMax is how many objects of one change are told of one by one.
const auditObjectsMax = 1000

func (p *plan) auditObject(ch catalog.Change) AuditObject {
	old, now := p.before.Get("", ch.Gone), ch.Put
	o := AuditObject{Action: "delete"}
	if now != nil {
		old = p.before.Get("", now.UUID())
		o.Action, o.Kind, o.UUID, o.Name = "update", now.Kind(), now.UUID(), now.Name()
		if old == nil {
			o.Action = "create"
		}
	} else {
		o.Kind, o.UUID, o.Name = old.Kind(), old.UUID(), old.Name()
	}
	o.Before, o.After = differing(old, now)
	return o
}

// differing returns the members of two objects that are not the same.
func differing(old, now *catalog.Record) (before, after map[string]json.RawMessage) {
	a, b := shown(old), shown(now)
	before, after = map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for name, was := range a {
		if is, ok := b[name]; !ok || !reflect.DeepEqual(was, is) {
			before[name] = short(was)
		}
	}
	for name, is := range b {
		if was, ok := a[name]; !ok || !reflect.DeepEqual(was, is) {
			after[name] = short(is)
		}
	}
	return before, after
}

func shown(r *catalog.Record) map[string]json.RawMessage {
	if r == nil {
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(r.Object.JSON(object.JSONOptions{Form: object.SkipDefault}), &m); err != nil {
		return nil
	}
	return m
}

func short(raw json.RawMessage) json.RawMessage {
	if len(raw) <= auditMemberMax {
		return raw
	}
	return quoted(fmt.Sprintf("(%d octets)", len(raw)))
}

// auditScan is how many entries one question looks at, when those of other tenants are passed over.
const auditScan = 1000

// Audit returns the changes from a number on towards older ones, 0 being the newest, and the number to go on with, 0 at
// the end. Of a tenant only those that were made in it; an empty one is all.
func (c *Controller) Audit(ctx context.Context, from int64, limit int, tenant string) (out []AuditEntry, next int64, err error) {
	newest := c.View().Changes
	if from <= 0 || from > newest {
		from = newest
	}
	oldest := max(0, newest-AuditKept)
	for n := from; n > oldest; n-- {
		if len(out) == limit || from-n == auditScan {
			return out, n, nil
		}
		kv, found, _, err := c.st.Get(ctx, auditKey(n))
		if err != nil {
			return nil, 0, unavailable(err)
		}
		if !found {
			continue
		}
		var e AuditEntry
		if err := json.Unmarshal(kv.Value, &e); err != nil {
			return nil, 0, fmt.Errorf("audit entry %d: %w", n, err)
		}
		if tenant == "" || e.of(tenant) {
			out = append(out, e)
		}
	}
	return out, 0, nil
}

// of reports whether an entry is a tenant's own: what others do, and what is done to users and roles, is not.
func (e *AuditEntry) of(tenant string) bool {
	return e.Tenant == tenant && (tenant == catalog.AdminTenant || !slices.ContainsFunc(e.Objects, func(o AuditObject) bool { return Everybodys(o.Kind) }))
}

// LooksBack reports whether a role sees what was changed. One of a user's own may not see all kinds, and what a change
// did to others stands in it too.
func (w Who) LooksBack() bool { return w.Role != "" && w.Role != RoleCustom }
