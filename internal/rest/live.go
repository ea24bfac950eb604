package rest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/report"
)

// live tells which engines run the newest revision, or the one of ?revision=; with ?wait=10s it waits for them. Errors
// are told of objects that the caller may see.
func (q *request) live() (answer, error) {
	revision, err := q.number("revision", int(q.view.Generation), 0, 1<<62)
	if err != nil {
		return answer{}, err
	}
	d, _, err := q.patience()
	if err != nil {
		return answer{}, err
	}
	return answer{Body: q.waitLive(int64(revision), d, nil)}, nil
}

// wait waits for the engines to run a change, if the query says so, and tells which do. Errors that the change has
// nothing to do with are none of its.
func (q *request) wait(res controller.Result) (map[string]json.RawMessage, error) {
	d, given, err := q.patience()
	if !given || err != nil {
		return nil, err
	}
	return map[string]json.RawMessage{"_live": mustJSON(q.waitLive(res.Revision, d, res.Records))}, nil
}

// waitLive waits for a revision. of: only what concerns these; none: all that the caller may see.
func (q *request) waitLive(revision int64, d time.Duration, of []*catalog.Record) controller.Live {
	var within map[string]bool
	if len(of) > 0 {
		within = q.around(of)
	}
	out := q.s.c.WaitLive(q.Context(), revision, d, func(object string) bool {
		r := q.named(object)
		return q.mayKnow(r) && (within == nil || r != nil && within[r.UUID()])
	})
	for _, e := range out.Engines {
		if words := e.Errors[controller.WholeConfiguration]; words != "" {
			e.Errors[controller.WholeConfiguration] = q.wholeWords(words)
		}
	}
	return out
}

// mayKnow reports whether the caller may know of what engines say of an object; nil: of one that nobody can read.
func (q *request) mayKnow(r *catalog.Record) bool {
	return q.who.All() || r != nil && q.sees(r) && q.who.Reads(r.Kind())
}

// wholeWords is why an engine stays at an older revision. The words may be about anybody's objects.
func (q *request) wholeWords(words string) string {
	if q.who.All() {
		return words
	}
	return "it cannot run the configuration as it is; an admin of all tenants sees why"
}

// errorsOf are the errors of an engine that the caller may know of.
func (q *request) errorsOf(e *report.Registration) map[string]string {
	out := map[string]string{}
	for object, words := range e.Errors {
		switch {
		case object == controller.WholeConfiguration:
			out[object] = q.wholeWords(words)
		case q.mayKnow(q.named(object)):
			out[object] = words
		}
	}
	return out
}

// around are objects and what refers to them, directly or through others.
func (q *request) around(of []*catalog.Record) map[string]bool {
	out := map[string]bool{}
	for next := slices.Clone(of); len(next) > 0; next = next[1:] {
		if r := next[0]; !out[r.UUID()] {
			out[r.UUID()] = true
			next = append(next, q.view.Referrers(r.UUID())...)
		}
	}
	return out
}

// named finds the object that an engine speaks of.
func (q *request) named(object string) *catalog.Record {
	kind, name, _ := strings.Cut(object, "/")
	view := q.s.c.View()
	if r := view.Get(kind, name); r != nil {
		return r // by its uuid: its record cannot be read
	}
	if r := view.Named(kind, catalog.AdminTenant, name); r != nil {
		return r
	}
	for _, r := range view.List(kind) {
		if view.EngineName(r) == name {
			return r
		}
	}
	return nil
}
