package rest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
)

// state is what the engines tell, asked once for a request, so that all of an answer is of one moment.
type state struct {
	view     *catalog.View
	engines  []report.Registration
	reports  []*report.Engine
	silent   []string // what is wrong with engines that did not answer, by name in the words
	services map[string][]told[report.Service]
	pools    map[string][]told[report.Pool]
	whole    func(words string) string    // what of it may be told of a configuration that cannot be run
	users    map[string][]*catalog.Record // virtual services and pool groups, by uuid of what they refer to
}

// told is what one engine tells of a thing.
type told[T any] struct {
	by *report.Engine
	it *T
}

// state asks the engines.
func (q *request) state() *state {
	if q.told != nil {
		return q.told
	}
	s := &state{view: q.view, whole: q.wholeWords, engines: q.s.c.Engines(), services: map[string][]told[report.Service]{}, pools: map[string][]told[report.Pool]{}}
	reports, errs := q.s.c.Reports(q.Context())
	s.reports = reports
	for _, err := range errs {
		s.silent = append(s.silent, err.Error())
	}
	for _, e := range reports {
		for i := range e.Services {
			s.services[e.Services[i].Name] = append(s.services[e.Services[i].Name], told[report.Service]{e, &e.Services[i]})
		}
		for i := range e.Pools {
			s.pools[e.Pools[i].Name] = append(s.pools[e.Pools[i].Name], told[report.Pool]{e, &e.Pools[i]})
		}
	}
	q.told = s
	return s
}

// usersOf are the virtual services and pool groups that refer to an object.
func (s *state) usersOf(uuid string) []*catalog.Record {
	if s.users == nil {
		s.users = map[string][]*catalog.Record{}
		for _, kind := range []string{"VirtualService", "PoolGroup"} {
			for _, r := range s.view.List(kind) {
				for _, ref := range r.Refs() {
					if !slices.Contains(s.users[ref.Value], r) {
						s.users[ref.Value] = append(s.users[ref.Value], r)
					}
				}
			}
		}
	}
	return s.users[uuid]
}

// servicesOn are the virtual services that use a pool, a VIP or a pool group, themselves or through a group.
func (s *state) servicesOn(uuid string) []*catalog.Record {
	var out []*catalog.Record
	for _, r := range s.usersOf(uuid) {
		by := []*catalog.Record{r}
		if r.Kind() == "PoolGroup" {
			by = s.usersOf(r.UUID())
		}
		for _, vs := range by {
			if vs.Kind() == "VirtualService" && !slices.Contains(out, vs) {
				out = append(out, vs)
			}
		}
	}
	return out
}

// poolsOf are the pools of a virtual service, or of a pool group.
func (s *state) poolsOf(r *catalog.Record) []*catalog.Record {
	var out []*catalog.Record
	for _, ref := range r.Refs() {
		switch to := s.view.Get(ref.Kind, ref.Value); {
		case to == nil:
		case ref.Kind == "Pool":
			out = append(out, to)
		case ref.Kind == "PoolGroup":
			out = append(out, s.poolsOf(to)...)
		}
	}
	return out
}

// service is what the engines tell of a virtual service, as one; nil when none tells of it.
func (s *state) service(r *catalog.Record) *report.Service {
	var each []*report.Engine
	for _, t := range s.services[s.view.EngineName(r)] {
		each = append(each, &report.Engine{Registration: report.Registration{Name: t.by.Name}, Services: []report.Service{*t.it}})
	}
	if m := report.Merge(each); m != nil {
		return &m.Services[0]
	}
	return nil
}

// pool is the same of a pool.
func (s *state) pool(r *catalog.Record) *report.Pool {
	var each []*report.Engine
	for _, t := range s.pools[s.view.EngineName(r)] {
		each = append(each, &report.Engine{Registration: report.Registration{Name: t.by.Name}, Pools: []report.Pool{*t.it}})
	}
	if m := report.Merge(each); m != nil {
		return &m.Pools[0]
	}
	return nil
}

// serviceOper is the state of a virtual service. known is what service returned.
func (s *state) serviceOper(r *catalog.Record, known *report.Service) report.Oper {
	switch {
	case !r.Object.Value().(*object.VirtualService).Enabled:
		return report.Oper{State: report.Disabled, Reason: []string{"enabled is false: it has no sockets"}}
	case known == nil:
		return s.absent(r)
	}
	return s.withFaults(r, known.Oper)
}

// poolOper is the state of a pool. known is what pool returned.
func (s *state) poolOper(r *catalog.Record, known *report.Pool) report.Oper {
	switch {
	case !r.Object.Value().(*object.Pool).Enabled:
		return report.Oper{State: report.Disabled, Reason: []string{"enabled is false: it takes no calls"}}
	case len(s.servicesOn(r.UUID())) == 0:
		return report.Oper{State: report.Unused, Reason: []string{"no virtual service refers to it"}}
	case known == nil:
		return s.absent(r)
	}
	return s.withFaults(r, known.Oper)
}

// bestOper is the state of something that is as well as the best of its parts: a VIP with its virtual services, a
// group with its pools.
func bestOper(parts []report.Oper, none string) report.Oper {
	if len(parts) == 0 {
		return report.Oper{State: report.Unused, Reason: []string{none}}
	}
	order := []string{report.Up, report.Down, report.Initializing, report.Disabled, report.Unused, report.Unavailable}
	best := slices.MinFunc(parts, func(a, b report.Oper) int { return slices.Index(order, a.State) - slices.Index(order, b.State) })
	return report.Oper{State: best.State, Reason: best.Reason}
}

// withFaults adds what engines cannot run of an object as it is configured, and who did not answer.
func (s *state) withFaults(r *catalog.Record, o report.Oper) report.Oper {
	o.Reason = slices.Clip(o.Reason)
	for _, e := range s.reports {
		for _, name := range []string{s.view.EngineName(r), r.UUID()} {
			words := e.Errors[r.Kind()+"/"+name]
			if words != "" && !slices.ContainsFunc(o.Reason, func(told string) bool { return strings.Contains(told, words) }) {
				o.Reason = append(o.Reason, "engine "+e.Name+": "+words)
			}
		}
	}
	o.Reason = append(o.Reason, s.silent...)
	return o
}

// absent says why nobody tells of an object.
func (s *state) absent(r *catalog.Record) report.Oper {
	reason := slices.Clip(s.silent)
	if len(s.engines) == 0 {
		reason = append(reason, "no engine is registered")
	}
	for _, e := range s.reports {
		switch words := e.Errors[r.Kind()+"/"+s.view.EngineName(r)]; {
		case words != "":
			reason = append(reason, "engine "+e.Name+": "+words)
		case e.Errors[controller.WholeConfiguration] != "":
			reason = append(reason, fmt.Sprintf("engine %s stays at revision %d: %s", e.Name, e.Applied, s.whole(e.Errors[controller.WholeConfiguration])))
		case e.Applied < r.Revision:
			reason = append(reason, fmt.Sprintf("engine %s runs revision %d, and this is of revision %d", e.Name, e.Applied, r.Revision))
		default:
			reason = append(reason, "engine "+e.Name+" does not run it")
		}
	}
	return report.Oper{State: report.Unavailable, Reason: reason}
}
