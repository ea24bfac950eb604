package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
)

// A macro is an object with those it refers to nested in it: pool_ref_data stands for pool_ref, and
// health_monitor_refs_data for health_monitor_refs. All or nothing of it is done.

// maxNesting bounds objects within objects.
const maxNesting = 16

type macro struct {
	ModelName string          `json:"model_name"`
	Data      json.RawMessage `json:"data"`
}

func (q *request) readMacro() (m macro, info object.KindInfo, err error) {
	body, err := q.json(MaxBulk)
	if err != nil {
		return m, info, err
	}
	if err := shape(json.Unmarshal(body, &m), `{"model_name": "VirtualService", "data": {...}}`); err != nil {
		return m, info, err
	}
	info, ok := object.FindKind(m.ModelName)
	if !ok {
		return m, info, refuse(http.StatusBadRequest, "model_name: there is no kind of object %q", m.ModelName)
	}
	return m, info, nil
}

// macroPut creates what is new and updates what is there, by name. It serves POST and PUT.
func (q *request) macroPut() (answer, error) {
	m, info, err := q.readMacro()
	if err != nil {
		return answer{}, err
	}
	out := nest{seen: map[string]bool{}}
	data, err := unnest(info, m.Data, &out, 0)
	if err != nil {
		return answer{}, err
	}
	op := controller.Op{Verb: controller.Apply, Kind: info.Name, Body: data}
	if q.Method == http.MethodPost {
		op.Verb = controller.Create
	}
	ops := append(out.ops, op)
	f, err := q.form()
	if err != nil {
		return answer{}, err
	}
	res, err := q.do(ops...)
	if err != nil {
		return answer{}, err
	}
	live, err := q.wait(res)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	if q.Method == http.MethodPost {
		status = http.StatusCreated
	}
	return answer{Status: status, Raw: q.write(res.Records[len(res.Records)-1], f, live), Type: "application/json"}, nil
}

// nest is what was taken out of a macro: the innermost first, and each once. Two pools may bring the one monitor that
// both have.
type nest struct {
	ops  []controller.Op
	seen map[string]bool // kind and body
}

// unnest takes nested objects out of data and leaves references by name.
func unnest(info object.KindInfo, data json.RawMessage, out *nest, depth int) (json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil || m == nil {
		return nil, refuse(http.StatusBadRequest, "%s: expected an object as JSON", info.Name)
	}
	if depth > maxNesting {
		return nil, refuse(http.StatusBadRequest, "objects are nested more than %d deep", maxNesting)
	}
	for field, raw := range m {
		base, ok := strings.CutSuffix(field, "_data")
		if !ok || object.RefKind(base) == "" {
			inner, err := unnestWithin(info, raw, out, depth)
			if err != nil {
				return nil, err
			}
			m[field] = inner
			continue
		}
		kind, _ := object.FindKind(object.RefKind(base))
		delete(m, field)
		if strings.HasSuffix(base, "_refs") {
			var items []json.RawMessage
			if err := json.Unmarshal(raw, &items); err != nil {
				return nil, refuse(http.StatusBadRequest, "%s: %s: expected a list of objects", info.Name, field)
			}
			refs := []string{}
			for _, item := range items {
				ref, err := nested(kind, item, out, depth)
				if err != nil {
					return nil, err
				}
				refs = append(refs, ref)
			}
			m[base], _ = json.Marshal(refs)
			continue
		}
		ref, err := nested(kind, raw, out, depth)
		if err != nil {
			return nil, err
		}
		m[base] = text(ref)
	}
	return json.Marshal(m)
}

// unnestWithin does the same within what is no object of its own: the members of a pool group refer to pools.
func unnestWithin(info object.KindInfo, raw json.RawMessage, out *nest, depth int) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte("_data")) {
		return raw, nil
	}
	if depth > maxNesting {
		return nil, refuse(http.StatusBadRequest, "objects are nested more than %d deep", maxNesting)
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) == nil && items != nil {
		for i, item := range items {
			inner, err := unnestWithin(info, item, out, depth+1)
			if err != nil {
				return nil, err
			}
			items[i] = inner
		}
		return json.Marshal(items)
	}
	if raw[0] == '{' {
		return unnest(info, raw, out, depth+1)
	}
	return raw, nil
}

// nested turns a nested object into an operation, and returns a reference to it.
func nested(kind object.KindInfo, raw json.RawMessage, out *nest, depth int) (string, error) {
	var named struct{ Name string }
	if err := json.Unmarshal(raw, &named); err != nil || named.Name == "" {
		return "", refuse(http.StatusBadRequest, "%s: name: missing in the nested object", kind.Name)
	}
	body, err := unnest(kind, raw, out, depth+1)
	if err != nil {
		return "", err
	}
	if key := kind.Name + string(body); !out.seen[key] {
		out.seen[key] = true
		out.ops = append(out.ops, controller.Op{Verb: controller.Apply, Kind: kind.Name, Body: body})
	}
	return named.Name, nil
}

// macroDelete removes an object and those that it alone refers to.
func (q *request) macroDelete() (answer, error) {
	m, info, err := q.readMacro()
	if err != nil {
		return answer{}, err
	}
	var id struct{ UUID, Name string }
	if err := shape(json.Unmarshal(m.Data, &id), `{"uuid": ...} as data`); err != nil {
		return answer{}, err
	}
	r := q.view.Get(info.Name, id.UUID)
	if id.UUID == "" {
		r = q.view.Named(info.Name, q.who.Tenant, id.Name)
	}
	if r == nil || !q.sees(r) {
		return answer{}, refuse(http.StatusNotFound, "%s object not found!", info.Name)
	}
	var ops []controller.Op
	for _, gone := range alone(q.view, r) {
		ops = append(ops, controller.Op{Verb: controller.Delete, Kind: gone.Kind(), UUID: gone.UUID()})
	}
	if _, err := q.do(ops...); err != nil {
		return answer{}, err
	}
	return answer{Status: http.StatusNoContent}, nil
}

// alone returns an object and those that only it, or others of the answer, refer to. What is the system's, or of
// another tenant, stays.
func alone(v *catalog.View, r *catalog.Record) []*catalog.Record {
	out := []*catalog.Record{r}
	for i := 0; i < len(out); i++ {
		for _, ref := range out[i].Refs() {
			to := v.Get(ref.Kind, ref.Value)
			if to == nil || slices.Contains(out, to) || to.Tenant != r.Tenant || object.IsSystem(to.Kind(), to.Name()) || shared[to.Kind()] {
				continue
			}
			others := slices.ContainsFunc(v.Referrers(to.UUID()), func(by *catalog.Record) bool { return !slices.Contains(out, by) })
			if !others {
				out = append(out, to)
			}
		}
	}
	return out
}

// shared are kinds that a macro never takes with it.
var shared = map[string]bool{"Tenant": true, "Cloud": true, "ServiceEngineGroup": true, "VrfContext": true, "Role": true, "User": true, "ServiceEngine": true}

// String is how errors name a macro.
func (m macro) String() string { return fmt.Sprintf("macro of %s", m.ModelName) }
