package controller

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// Verb is what is done to an object.
type Verb uint8

// The verbs.
const (
	Create Verb = iota
	Update      // the whole object, what is left out falls to its default
	Patch       // Avi's add, replace and delete, or json_patch
	Delete
	Apply // Update where the uuid is there, or the name is taken, else Create
)

var verbWords = [...]string{"create", "update", "patch", "delete", "apply"}

func (v Verb) String() string { return verbWords[v] }

// Op is one thing to do.
type Op struct {
	Verb   Verb
	Kind   string
	UUID   string // of the object; Create: empty, or the one it is to have; Apply: looked for before the name is
	Tenant string // uuid; empty: that of the caller
	Body   []byte // JSON of the object, or of the patch
	// Owner marks an object as managed by somebody (its created_by); empty: as the body says.
	Owner string
}

// Who makes a change.
type Who struct {
	User    string
	Role    Role                // in Tenant
	Rights  []object.Permission // valid iff Role is RoleCustom
	Tenant  string              // uuid
	Address string              // where the request came from
	// AnyTenant lets a change touch objects of every tenant: an import, or the system's own.
	AnyTenant bool

	account *user // nil: the system itself
}

// Result is what a change has done.
type Result struct {
	Revision int64 // of the store, in which it happened
	Records  []*catalog.Record
	Changed  bool // false: all was so already
}

// Do makes a change: all of it or, with an error, nothing. The records of the result stand in the order of the
// operations; for a Delete it is the one that is gone.
func (c *Controller) Do(ctx context.Context, who Who, ops ...Op) (Result, error) {
	res, err := c.do(ctx, who, ops)
	switch {
	case err != nil:
		c.counts.refused.Add(1)
	case res.Changed:
		c.counts.changes.Add(1)
	}
	return res, err
}

func (c *Controller) do(ctx context.Context, who Who, ops []Op) (Result, error) {
	if err := who.may(c.View(), ops); err != nil {
		return Result{}, err
	}
	c.write.Lock()
	defer c.write.Unlock()
	waited := false
	for began := time.Now(); time.Since(began) < maxConflict; {
		p, err := c.plan(ctx, c.View(), who, ops)
		if err != nil {
			if !waited && c.behind(ctx) {
				waited = true // what it did not find may just have come by another controller
				continue
			}
			return Result{}, err
		}
		if len(p.changes) == 0 {
			return Result{Revision: p.before.Revision, Records: p.records}, nil
		}
		progressOf(ctx)(PhaseStore, 0, len(p.changes))
		revision, ok, err := c.commit(ctx, p)
		if err != nil {
			return Result{}, err
		}
		if ok {
			if err := c.seen(ctx, revision); err != nil {
				return Result{}, err
			}
			return c.result(p, revision), nil
		}
		c.counts.conflicts.Add(1)
		if !c.caughtUp(ctx, p.before) {
			return Result{}, fault(Unavailable, "another controller changed something, and this one does not see it; nothing was changed")
		}
		// Who plans anew the moment the other's change is seen meets all the others who do so too, and the fastest of them
		// wins each time.
		select {
		case <-time.After(rand.N(maxPause)):
		case <-ctx.Done():
		}
	}
	return Result{}, fault(Unavailable, "others change the configuration all the time: gave up after %s, nothing was changed", maxConflict)
}

// stamp is the time of a change, µs since 1970: that of the clock, or a moment after the change before if the clock was
// set back meanwhile.
func (c *Controller) stamp(before *catalog.View) int64 {
	return max(c.cfg.Clock().UnixMicro(), before.Modified+1)
}

// behind reports whether the store had something newer than the view, and waits for it.
func (c *Controller) behind(ctx context.Context) bool {
	kv, found, _, err := c.st.Get(ctx, catalog.Generation)
	before := c.View()
	if err != nil || !found || kv.Revision <= before.Generation {
		return false
	}
	return c.caughtUp(ctx, before)
}

// caughtUp waits until the view has a newer configuration than before.
func (c *Controller) caughtUp(ctx context.Context, before *catalog.View) bool {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	return c.until(ctx, func() bool { return c.View().Generation > before.Generation })
}

// result shows the records as they came back by the view: with their revisions.
func (c *Controller) result(p *plan, revision int64) Result {
	res := Result{Revision: revision, Records: p.records, Changed: true}
	v := c.View()
	for i, r := range res.Records {
		if now := v.Get(r.Kind(), r.UUID()); now != nil && now.Version == r.Version {
			res.Records[i] = now
		}
	}
	return res
}

// commit stores a plan. ok is false when somebody was faster.
func (c *Controller) commit(ctx context.Context, p *plan) (revision int64, ok bool, err error) {
	if err := c.Trouble(); err != nil {
		return 0, false, unavailable(err)
	}
	t := store.Txn{Compare: []store.Cond{{Key: catalog.Generation, Revision: p.before.Generation}}, Frees: true}
	for _, ch := range p.changes {
		if ch.Put == nil {
			t.Delete = append(t.Delete, p.before.Get("", ch.Gone).Key())
			continue
		}
		t.Frees = false // what only deletes is the way out of a full store
		value, err := ch.Put.Encode()
		if err != nil {
			return 0, false, err
		}
		t.Put = append(t.Put, store.KV{Key: ch.Put.Key(), Value: value})
	}
	t.Put = append(t.Put, store.KV{Key: catalog.Generation, Value: strconv.AppendInt(nil, p.modified, 10)})
	entry := p.audit(c)
	if err := entry.into(&t); err != nil {
		return 0, false, err
	}
	if n := len(t.Put) + len(t.Delete) + len(t.Compare); n > c.st.MaxOps() {
		return 0, false, fault(TooLarge, "a change of %d objects: this store takes %d operations in one transaction; change fewer at a time", len(p.changes), c.st.MaxOps())
	}
	revision, ok, err = c.st.Commit(ctx, t)
	if errors.Is(err, store.ErrUncertain) {
		return c.settle(p, entry, err)
	}
	if err != nil {
		return 0, false, unavailable(err)
	}
	if ok {
		c.source.Committed(ctx, catalog.Commit{Before: p.before, After: p.after, Changes: p.changes, Modified: p.modified, Txn: &t, Revision: revision})
	}
	return revision, ok, nil
}

// settle finds out whether a transaction that got no answer has happened: its audit entry is there, or another's.
func (c *Controller) settle(p *plan, entry *AuditEntry, cause error) (revision int64, ok bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), catchUp)
	defer cancel()
	for ctx.Err() == nil {
		kv, found, _, err := c.st.Get(ctx, auditKey(entry.Number))
		if err == nil && found {
			var there AuditEntry
			if err := json.Unmarshal(kv.Value, &there); err == nil && there.ID == entry.ID {
				return kv.Revision, true, nil
			}
			return 0, false, nil // somebody else's: ours cannot happen any more
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return 0, false, unavailable(cause)
}
