package rest

import (
	"encoding/json"
	"net/http"

	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
)

// previewChange is one change of a preview, as it is sent.
type previewChange struct {
	Action string          `json:"action,omitempty"` // create, update, patch, delete or apply
	Type   string          `json:"type,omitempty"`   // kind of object, such as pool
	UUID   string          `json:"uuid,omitempty"`   // of the object, or
	Name   string          `json:"name,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"` // the object, or the patch
}

var verbs = map[string]controller.Verb{"create": controller.Create, "update": controller.Update, "patch": controller.Patch,
	"delete": controller.Delete, "apply": controller.Apply}

// preview tells what changes would do, and does nothing.
func (q *request) preview() (answer, error) {
	body, err := q.json(MaxBulk)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		previewChange
		Changes []previewChange `json:"changes"`
	}
	if err := into(body, &in, `{"changes": [{"action": "update", "type": "pool", "name": ..., "data": {...}}]}`); err != nil {
		return answer{}, err
	}
	if len(in.Changes) == 0 {
		in.Changes = []previewChange{in.previewChange}
	}
	var ops []controller.Op
	for i, ch := range in.Changes {
		op, err := q.previewOp(&ch)
		if err != nil {
			return answer{}, refuse(http.StatusBadRequest, "changes[%d]: %v", i, err)
		}
		ops = append(ops, op)
	}
	p, err := q.s.c.Preview(q.Context(), q.who, ops...)
	if err != nil {
		return answer{}, err
	}
	return answer{Body: p}, nil
}

func (q *request) previewOp(ch *previewChange) (controller.Op, error) {
	verb, ok := verbs[ch.Action]
	if !ok {
		return controller.Op{}, refuse(http.StatusBadRequest, "action: %q must be create, update, patch, delete or apply", ch.Action)
	}
	info, ok := object.FindKind(ch.Type)
	if !ok {
		return controller.Op{}, refuse(http.StatusBadRequest, "type: there is no kind of object %q", ch.Type)
	}
	op := controller.Op{Verb: verb, Kind: info.Name, UUID: ch.UUID, Body: ch.Data}
	if op.UUID == "" && ch.Name != "" && verb != controller.Create && verb != controller.Apply {
		if r := q.view.Find(info.Name, q.who.Tenant, ch.Name); r != nil {
			op.UUID = r.UUID()
		}
	}
	return op, nil
}
