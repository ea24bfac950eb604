package rest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/carillon-sip/carillon/internal/controller"
)

// export writes all objects; with ?secrets=true, which takes an admin, secrets too.
func (q *request) export() (answer, error) {
	if q.who.Everywhere(q.view).Role != controller.RoleAdmin {
		return answer{}, refuse(http.StatusForbidden, "user %s may not export: that takes an admin of all tenants", q.who.User)
	}
	data, err := q.s.c.Export(flag(q.URL.Query(), "secrets"))
	if err != nil {
		return answer{}, err
	}
	return answer{Raw: data, Type: "application/json"}, nil
}

// importAll brings in what export wrote. With ?apply=true it is a file of objects of the caller's tenant, without
// uuids, and the answer tells what became of each; then prune=key=value takes away what bears that marker and is not in
// it, dry_run=true only tells, and delete=true takes away what the file names. With ?progress=true it tells how far it is.
func (q *request) importAll() (answer, error) {
	body, err := q.json(MaxBulk)
	if err != nil {
		return answer{}, err
	}
	if _, _, err := q.patience(); err != nil {
		return answer{}, err
	}
	return q.telling(func(ctx context.Context) (answer, error) {
		if flag(q.URL.Query(), "apply") {
			return q.apply(ctx, body)
		}
		return q.bring(ctx, body)
	})
}

func (q *request) bring(ctx context.Context, body []byte) (answer, error) {
	res, err := q.s.c.Import(ctx, q.who, body)
	if err != nil {
		return answer{}, err
	}
	q.view = q.s.c.View()
	out := map[string]any{"revision": res.Revision, "objects": len(res.Records), "changed": res.Changed}
	live, err := q.wait(res)
	if err != nil {
		return answer{}, err
	}
	for name, raw := range live {
		out[name] = raw
	}
	return answer{Body: out}, nil
}

func (q *request) apply(ctx context.Context, body []byte) (answer, error) {
	if q.all {
		return answer{}, refuse(http.StatusBadRequest, "X-Avi-Tenant: * is for reading; name one tenant to change something")
	}
	v := q.URL.Query()
	o := controller.ApplyOptions{Prune: v.Get("prune"), Delete: flag(v, "delete"), DryRun: flag(v, "dry_run")}
	out, err := q.s.c.ApplyFile(ctx, q.who, body, o)
	if err != nil {
		return answer{}, err
	}
	a := struct {
		*controller.Applied
		Live json.RawMessage `json:"_live,omitempty"`
	}{Applied: out}
	if !o.DryRun {
		q.view = q.s.c.View()
		live, err := q.wait(controller.Result{Revision: out.Revision})
		if err != nil {
			return answer{}, err
		}
		a.Live = live["_live"]
	}
	return answer{Body: a}, nil
}
