package controller

import (
	"context"
	"strconv"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/store"
)

// Unreadable is the fault of an object's record that cannot be read, and whose object is not known from before.
func (c *Controller) Unreadable(v *catalog.View, kind, uuid string) (catalog.Fault, bool) {
	if v.Get("", uuid) != nil {
		return catalog.Fault{}, false
	}
	for _, f := range v.Faults {
		if k, u := f.Names(); k == kind && u == uuid {
			return f, true
		}
	}
	return catalog.Fault{}, false
}

// Discard deletes an object whose record cannot be read, and to which nothing refers.
func (c *Controller) Discard(ctx context.Context, who Who, kind, uuid string) (revision int64, err error) {
	if who.Role != RoleAdmin || !who.All() {
		return 0, fault(Forbidden, "only an admin of all tenants may delete what cannot be read")
	}
	c.write.Lock()
	defer c.write.Unlock()
	for began := time.Now(); time.Since(began) < maxConflict; {
		v := c.View()
		f, ok := c.Unreadable(v, kind, uuid)
		if !ok {
			return 0, &Error{Code: NotFound, Msg: kind + " object not found!"}
		}
		if by := v.Referrers(uuid); len(by) > 0 {
			return 0, &Error{Code: InUse, Msg: "Cannot delete, object is referred by: ['" + by[0].Kind() + " " + by[0].Name() + "', ...]"}
		}
		t := store.Txn{Compare: []store.Cond{{Key: catalog.Generation, Revision: v.Generation}}, Delete: []string{f.Key}, Frees: true}
		now := c.stamp(v)
		t.Put = append(t.Put, store.KV{Key: catalog.Generation, Value: strconv.AppendInt(nil, now, 10)})
		entry := c.newEntry(v, who)
		entry.Objects = []AuditObject{{Action: "delete", Kind: kind, UUID: uuid, Name: "(cannot be read)"}}
		if err := entry.into(&t); err != nil {
			return 0, err
		}
		revision, ok, err := c.st.Commit(ctx, t)
		if err != nil {
			return 0, unavailable(err)
		}
		if ok {
			c.counts.changes.Add(1)
			return revision, c.seen(ctx, revision)
		}
		if !c.caughtUp(ctx, v) {
			break
		}
	}
	return 0, fault(Unavailable, "others change the configuration all the time, nothing was changed")
}
