package rest

import (
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

// importAll brings in what export wrote.
func (q *request) importAll() (answer, error) {
	body, err := q.body(MaxBulk)
	if err != nil {
		return answer{}, err
	}
	if _, _, err := q.patience(); err != nil {
		return answer{}, err
	}
	res, err := q.s.c.Import(q.Context(), q.who, body)
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
