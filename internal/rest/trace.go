package rest

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/report"
)

const (
	// maxTrace is how long a trace may last: rights are looked at when it begins.
	maxTrace = time.Hour
	// traceWrite is how long a reader may take for a line before it counts as gone.
	traceWrite = 15 * time.Second
)

// lineByLine stands for an answer that is one JSON value a line, each of the type of its member.
type lineByLine struct{ of any }

// trace tells of messages as engines see them, until who asked has gone.
func (q *request) trace() (answer, error) {
	f, err := q.traceFilter()
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(q.Context(), maxTrace)
	defer cancel()
	q.s.log.Info("a trace begins", "user", q.who.User, "from", q.address(), "filter", q.URL.RawQuery)
	w := http.NewResponseController(q.w)
	_ = w.SetReadDeadline(time.Time{}) // the request has been read, and the reader may stay for long
	q.w.Header().Set("Content-Type", "application/x-ndjson")
	err = q.s.c.Trace(ctx, f, func(line []byte) error {
		_ = w.SetWriteDeadline(time.Now().Add(traceWrite)) // where that cannot be, TCP notices in the end
		if _, err := q.w.Write(append(line, '\n')); err != nil {
			return err
		}
		return w.Flush()
	})
	if err != nil {
		q.s.log.Debug("the reader of a trace has gone", "user", q.who.User, "error", err)
	}
	return answer{sent: true}, nil
}

// traceFilter reads the filter, and narrows it to what the caller may see.
func (q *request) traceFilter() (*report.TraceFilter, error) {
	if q.who.Role != controller.RoleAdmin && q.who.Role != controller.RoleOperator {
		return nil, refuse(http.StatusForbidden, "user %s may not trace: messages tell who calls whom, and that takes the role admin or operator; its role is %q", q.who.User, string(q.who.Role))
	}
	f, err := report.ParseTraceFilter(q.URL.Query())
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	if f.Secrets && q.who.Role != controller.RoleAdmin {
		return nil, refuse(http.StatusForbidden, "secrets: only an admin may see credentials and keys")
	}
	f.Services, err = q.servicesSeen(f.Services)
	return &f, err
}

// servicesSeen are the names that engines have for the virtual services that were named, or for all that the caller may
// see; none: every one.
func (q *request) servicesSeen(named []string) ([]string, error) {
	var out []string
	for _, name := range named {
		r := controller.Lookup(q.view, "VirtualService", name, q.who.Tenant)
		if r == nil || !q.sees(r) {
			return nil, refuse(http.StatusNotFound, "virtualservice: no VirtualService %q", name)
		}
		out = append(out, q.view.EngineName(r))
	}
	if len(named) > 0 || q.all && q.who.All() {
		return out, nil
	}
	for _, r := range q.view.List("VirtualService") {
		if q.sees(r) {
			out = append(out, q.view.EngineName(r))
		}
	}
	if len(out) == 0 {
		return nil, refuse(http.StatusNotFound, "there is no virtual service in this tenant")
	}
	if len(out) == len(q.view.List("VirtualService")) && q.who.All() {
		return nil, nil // also those that are made meanwhile
	}
	return out, nil
}

// calls lists calls that are up.
func (q *request) calls() (answer, error) {
	if !q.who.Reads("VirtualService") {
		return answer{}, q.mayNotRead("VirtualService")
	}
	query, err := report.ParseCallsQuery(q.URL.Query())
	if err != nil {
		return answer{}, refuse(http.StatusBadRequest, "%v", err)
	}
	if query.Services, err = q.servicesSeen(query.Services); err != nil {
		return answer{}, err
	}
	if query.Pool != "" {
		r := controller.Lookup(q.view, "Pool", query.Pool, q.who.Tenant)
		if r == nil || !q.sees(r) {
			return answer{}, refuse(http.StatusNotFound, "pool: no Pool %q", query.Pool)
		}
		query.Pool = q.view.EngineName(r)
	}
	out := q.s.c.Calls(q.Context(), &query)
	if q.who.Role != controller.RoleAdmin && q.who.Role != controller.RoleOperator {
		for i := range out.Results {
			out.Results[i].Seen = nil // who calls whom
		}
	}
	return answer{Body: out}, nil
}

// report is what all engines tell, as one, of what the caller may see.
func (q *request) report() (answer, error) {
	if !q.who.Reads("VirtualService") || !q.who.Reads("Pool") {
		return answer{}, q.mayNotRead("VirtualService")
	}
	s := q.state()
	out := report.Merge(s.reports)
	if out == nil {
		out = &report.Engine{Services: []report.Service{}, Pools: []report.Pool{}}
	}
	seen := func(kind string) map[string]bool {
		names := map[string]bool{}
		for _, r := range q.view.List(kind) {
			if q.sees(r) {
				names[q.view.EngineName(r)] = true
			}
		}
		return names
	}
	services, pools := seen("VirtualService"), seen("Pool")
	out.Services = slices.DeleteFunc(out.Services, func(v report.Service) bool { return !services[v.Name] })
	out.Pools = slices.DeleteFunc(out.Pools, func(p report.Pool) bool { return !pools[p.Name] })
	out.Registration = report.Registration{Errors: map[string]string{}} // of one of many
	for _, words := range s.silent {
		out.Errors[words] = words
	}
	return answer{Body: out}, nil
}

// poolRecord is a pool by uuid, or name.
func (q *request) poolRecord() (*catalog.Record, error) {
	if r, err := q.recordOf("Pool"); err == nil {
		return r, nil
	}
	if r := controller.Lookup(q.view, "Pool", q.PathValue("uuid"), q.who.Tenant); r != nil && q.sees(r) && q.who.Reads("Pool") {
		return r, nil
	}
	return q.recordOf("Pool")
}
