package controller

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/report"
)

// registry is the engines that are there: each keeps a key in the store for as long as it lives. It never changes.
type registry struct {
	byName map[string]report.Registration
}

// Engines returns the engines that are registered, by name.
func (c *Controller) Engines() []report.Registration {
	reg := c.engines.Load()
	var out []report.Registration
	for _, name := range slices.Sorted(maps.Keys(reg.byName)) {
		out = append(out, reg.byName[name])
	}
	return out
}

// followEngines keeps the registry.
func (c *Controller) followEngines(ctx context.Context) {
	for b := range c.st.Follow(ctx, report.RegistrationPrefix) {
		if b.Err != nil {
			continue // engines do not end because the store does
		}
		next := &registry{byName: map[string]report.Registration{}}
		if !b.Reset {
			next.byName = maps.Clone(c.engines.Load().byName)
			if next.byName == nil {
				next.byName = map[string]report.Registration{}
			}
		}
		for _, kv := range b.Deletes {
			delete(next.byName, strings.TrimPrefix(kv.Key, report.RegistrationPrefix))
		}
		for _, kv := range b.Puts {
			var r report.Registration
			if err := json.Unmarshal(kv.Value, &r); err != nil {
				c.log.Warn("an engine has registered itself in a way that cannot be read", "key", kv.Key, "error", err)
				continue
			}
			next.byName[strings.TrimPrefix(kv.Key, report.RegistrationPrefix)] = r
		}
		c.engines.Store(next)
		c.tell()
		for _, r := range next.byName {
			c.enrol(ctx, &r)
		}
	}
}

// enrol makes the ServiceEngine object of an engine that has none yet.
func (c *Controller) enrol(ctx context.Context, r *report.Registration) {
	if c.View().Named("ServiceEngine", catalog.AdminTenant, r.Name) != nil || c.View().Generation == 0 {
		return
	}
	body, err := json.Marshal(map[string]string{"name": r.Name, "uuid": r.UUID})
	if err == nil {
		_, err = c.Do(ctx, system, Op{Verb: Create, Kind: "ServiceEngine", Body: body})
	}
	if err != nil && CodeOf(err) != NameTaken && ctx.Err() == nil {
		c.log.Warn("an engine has no object yet", "engine", r.Name, "error", err)
	}
}

// Live tells which engines run a revision.
type Live struct {
	Revision int64        `json:"revision"`
	Live     bool         `json:"live"` // all do, without an error
	Engines  []LiveEngine `json:"engines"`
}

// LiveEngine is one engine of Live.
type LiveEngine struct {
	Name     string            `json:"name"`
	Revision int64             `json:"revision"`         // that it runs
	Live     bool              `json:"live"`             // Revision is not older than the one asked about
	Errors   map[string]string `json:"errors,omitempty"` // by object: what it cannot run of it, and why
}

// Concerns says whether an error counts, and is told, by the object that it is of: VirtualService/edge as engines call it,
// or Pool and a uuid if nobody can read what it is called. Nil: all do.
type Concerns func(object string) bool

// WholeConfiguration is what an error is of that keeps an engine at an older revision.
const WholeConfiguration = "configuration"

// WaitLive waits until every engine runs a revision, at most for d, and tells how far each is.
func (c *Controller) WaitLive(ctx context.Context, revision int64, d time.Duration, concerns Concerns) Live {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var out Live
	c.until(ctx, func() bool {
		out = c.live(revision, concerns)
		return !slices.ContainsFunc(out.Engines, func(e LiveEngine) bool { return !e.Live })
	})
	return out
}

func (c *Controller) live(revision int64, concerns Concerns) Live {
	out := Live{Revision: revision, Live: true, Engines: []LiveEngine{}}
	for _, r := range c.Engines() {
		e := LiveEngine{Name: r.Name, Revision: r.Applied, Live: r.Applied >= revision, Errors: r.Errors}
		if concerns != nil {
			e.Errors = maps.Clone(r.Errors)
			maps.DeleteFunc(e.Errors, func(object, _ string) bool { return object != WholeConfiguration && !concerns(object) })
		}
		out.Live = out.Live && e.Live && len(e.Errors) == 0
		out.Engines = append(out.Engines, e)
	}
	return out
}
