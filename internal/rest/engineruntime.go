package rest

import (
	"net/http"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/report"
)

// engineRuntime is how an engine is doing.
type engineRuntime struct {
	UUID         string            `json:"uuid"`
	Name         string            `json:"name"`
	Oper         report.Oper       `json:"oper_status"`
	Connected    bool              `json:"se_connected"`
	Version      string            `json:"version"`
	Host         string            `json:"host"`
	PID          int               `json:"pid"`
	Since        string            `json:"online_since"` // when it started
	Applied      int64             `json:"revision"`     // that it runs
	Wanted       int64             `json:"revision_wanted"`
	Errors       map[string]string `json:"errors"` // by object: what of it cannot run, and why
	Services     int               `json:"num_virtualservices"`
	Transactions int               `json:"open_transactions"`
	Calls        int               `json:"known_calls"`
}

// engineOf finds the engine that the path names: one that is registered, or an object that stands for one.
func (q *request) engineOf() (*report.Registration, error) {
	if !q.who.Reads("ServiceEngine") {
		return nil, q.mayNotRead("ServiceEngine")
	}
	id := q.PathValue("uuid")
	if i := slices.IndexFunc(q.state().engines, func(e report.Registration) bool { return e.UUID == id }); i >= 0 {
		return &q.state().engines[i], nil
	}
	r := q.view.Get("ServiceEngine", id)
	if r == nil || !q.sees(r) {
		return nil, refuse(http.StatusNotFound, "ServiceEngine object not found!")
	}
	return q.registered(r), nil
}

// registered is the engine that an object stands for; one that never came, if there is none of its name.
func (q *request) registered(r *catalog.Record) *report.Registration {
	if i := slices.IndexFunc(q.state().engines, func(e report.Registration) bool { return e.Name == r.Name() }); i >= 0 {
		return &q.state().engines[i]
	}
	return &report.Registration{Name: r.Name(), UUID: r.UUID()}
}

func (q *request) engineRuntimeOf(e *report.Registration) engineRuntime {
	out := engineRuntime{UUID: e.UUID, Name: e.Name, Version: e.Version, Host: e.Host, PID: e.PID, Applied: e.Applied, Wanted: e.Wanted, Errors: q.errorsOf(e)}
	if e.Control == "" {
		out.Oper = report.Oper{State: report.Unavailable, Reason: []string{"no engine of this name is registered"}}
		return out
	}
	out.Since = e.Started.UTC().Format(time.RFC3339)
	i := slices.IndexFunc(q.state().reports, func(r *report.Engine) bool { return r.Name == e.Name })
	if i < 0 {
		out.Oper = report.Oper{State: report.Down, Reason: q.state().silent}
		return out
	}
	rep := q.state().reports[i]
	out.Oper, out.Connected = report.Oper{State: report.Up, Changed: report.At(e.Started)}, true
	out.Services, out.Transactions, out.Calls = len(rep.Services), rep.Transactions, rep.Calls
	for name, words := range out.Errors {
		out.Oper.Reason = append(out.Oper.Reason, name+": "+words)
	}
	slices.Sort(out.Oper.Reason)
	return out
}

func (q *request) engineRuntime() (answer, error) {
	e, err := q.engineOf()
	if err != nil {
		return answer{}, err
	}
	return answer{Body: q.engineRuntimeOf(e)}, nil
}
