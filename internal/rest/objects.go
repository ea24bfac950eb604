package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
)

// maxWait is how long a write may wait for the engines.
const maxWait = 60 * time.Second

// kindOf is the kind that the path names.
func (q *request) kindOf() (object.KindInfo, error) {
	text := q.PathValue("type")
	for _, k := range object.Kinds() {
		if k.Path == text && !q.who.Reads(k.Name) {
			return k, q.mayNotRead(k.Name)
		}
		if k.Path == text {
			return k, nil
		}
	}
	if k, ok := object.FindKind(text); ok {
		return k, refuse(http.StatusNotFound, "/api/%s is not there; did you mean /api/%s?", text, k.Path)
	}
	return object.KindInfo{}, refuse(http.StatusNotFound, "/api/%s is not there; /api/openapi.json lists what is", text)
}

func (q *request) mayNotRead(kind string) error {
	return refuse(http.StatusForbidden, "user %s may not see objects of type %s", q.who.User, kind)
}

// recordOf finds the object that the path names, of a kind that the route names.
func (q *request) recordOf(kind string) (*catalog.Record, error) {
	if !q.who.Reads(kind) {
		return nil, q.mayNotRead(kind)
	}
	return q.record(kind)
}

// record finds the object that the path names, if the caller may see it.
func (q *request) record(kind string) (*catalog.Record, error) {
	r := q.view.Get(kind, q.PathValue("uuid"))
	if r == nil && q.unreadable(kind) {
		return nil, refuse(http.StatusUnprocessableEntity, "%s/%s: %s; the log says why. Run that version, or delete it", kind, q.PathValue("uuid"), cannotRead)
	}
	if r == nil || !q.sees(r) {
		return nil, refuse(http.StatusNotFound, "%s object not found!", kind)
	}
	return r, nil
}

// unreadable reports whether the object that the path names is in the store in a way that nobody can read. Whose it is
// nobody knows, so it is for who has all tenants.
func (q *request) unreadable(kind string) bool {
	_, yes := q.s.c.Unreadable(q.view, kind, q.PathValue("uuid"))
	return yes && q.who.All()
}

// sees reports whether an object is of the caller's tenant, or of admin and for everybody. Of tenants it is those that
// the caller has access to, and admin, which all borrow from.
func (q *request) sees(r *catalog.Record) bool {
	if r.Kind() == "Tenant" && r.UUID() != catalog.AdminTenant && !q.who.All() {
		_, member := q.who.In(q.view, r.UUID())
		return member
	}
	return q.all || controller.Visible(r, q.who.Tenant)
}

func (q *request) get() (answer, error) {
	k, err := q.kindOf()
	if err != nil {
		return answer{}, err
	}
	r, err := q.record(k.Name)
	if err != nil {
		return answer{}, err
	}
	f, err := q.form()
	if err != nil {
		return answer{}, err
	}
	return answer{Raw: q.write(r, f, nil), Type: "application/json"}, nil
}

// form says how objects are written, by the query.
type form struct {
	object.JSONOptions
	names   bool // #name behind references
	runtime bool
	lent    bool // secrets also of what is not the tenant's own: admin's objects that all see
}

func (q *request) form() (form, error) {
	v := q.URL.Query()
	f := form{names: flag(v, "include_name")}
	if flag(v, "skip_default") {
		f.Form = object.SkipDefault
	}
	if text := v.Get("fields"); text != "" {
		f.Fields = strings.Split(text, ",")
	}
	f.runtime = strings.Contains(v.Get("join_subresources"), "runtime")
	if flag(v, "export_key") {
		f.lent = q.who.Everywhere(q.view).Role == controller.RoleAdmin
		if !f.lent && (q.all || q.who.Role != controller.RoleAdmin) {
			return f, refuse(http.StatusForbidden, "export_key: only an admin may see keys")
		}
		f.Secrets = true
	}
	return f, nil
}

// flag reads a parameter that is given as true, empty or bare.
func flag(v url.Values, name string) bool {
	if !v.Has(name) {
		return false
	}
	text := strings.ToLower(v.Get(name))
	return text != "false" && text != "0"
}

// write writes an object as the API shows it. Members of more stand beside its own.
func (q *request) write(r *catalog.Record, f form, more map[string]json.RawMessage) []byte {
	o := f.JSONOptions
	o.Secrets = o.Secrets && (f.lent || r.Tenant == q.who.Tenant)
	o.MapRef = func(ref object.Ref) string { return q.refURL(ref.Kind, ref.Value, f.names) }
	o.More = map[string]json.RawMessage{
		"url":                 text(q.refURL(r.Kind(), r.UUID(), f.names)),
		"_last_modified":      text(strconv.FormatInt(r.Modified, 10)),
		"configpb_attributes": json.RawMessage(fmt.Sprintf(`{"version":%d}`, r.Version)),
	}
	if f.runtime {
		if rt := q.runtimeOf(r); rt != nil {
			o.More["runtime"] = rt
		}
	}
	for name, raw := range more {
		o.More[name] = raw
	}
	return r.Object.JSON(o)
}

// refURL writes a reference. The scheme is https on every port: Ansible's comparison knows no other.
func (q *request) refURL(kind, uuid string, name bool) string {
	to := q.referred(kind, uuid)
	info, ok := object.FindKind(kind)
	if !ok || to == nil {
		return uuid
	}
	u := "https://" + q.Host + "/api/" + info.Path + "/" + to.UUID()
	if name {
		u += "#" + to.Name()
	}
	return u
}

func text(s string) json.RawMessage {
	return mustJSON(s)
}

func (q *request) create() (answer, error) {
	k, err := q.kindOf()
	if err != nil {
		return answer{}, err
	}
	return q.change(http.StatusCreated, MaxBody, controller.Op{Verb: controller.Create, Kind: k.Name})
}

func (q *request) put() (answer, error)   { return q.edit(controller.Update) }
func (q *request) patch() (answer, error) { return q.edit(controller.Patch) }

func (q *request) edit(verb controller.Verb) (answer, error) {
	k, err := q.kindOf()
	if err != nil {
		return answer{}, err
	}
	if _, err := q.record(k.Name); err != nil {
		return answer{}, err
	}
	return q.change(http.StatusOK, MaxBody, controller.Op{Verb: verb, Kind: k.Name, UUID: q.PathValue("uuid")})
}

// change does one operation whose body is that of the request, and answers with the object.
func (q *request) change(status int, limit int64, op controller.Op) (answer, error) {
	body, err := q.json(limit)
	if err != nil {
		return answer{}, err
	}
	op.Body = body
	f, err := q.form()
	if err != nil {
		return answer{}, err
	}
	res, err := q.do(op)
	if err != nil {
		return answer{}, err
	}
	live, err := q.wait(res)
	if err != nil {
		return answer{}, err
	}
	return answer{Status: status, Raw: q.write(res.Records[0], f, live), Type: "application/json"}, nil
}

// do makes a change, and shows its revision. What is wrong with the query is found before anything is changed.
func (q *request) do(ops ...controller.Op) (controller.Result, error) {
	if _, _, err := q.patience(); err != nil {
		return controller.Result{}, err
	}
	if q.all {
		return controller.Result{}, refuse(http.StatusBadRequest, "X-Avi-Tenant: * is for reading; name one tenant to change something")
	}
	res, err := q.s.c.Do(q.Context(), q.who, ops...)
	if err == nil {
		q.view = q.s.c.View()
		q.w.Header().Set("X-Carillon-Revision", strconv.FormatInt(res.Revision, 10))
	}
	return res, err
}

// patience is how long the query says to wait for the engines, if it says so.
func (q *request) patience() (d time.Duration, given bool, err error) {
	text := q.URL.Query().Get("wait")
	if text == "" {
		return 0, false, nil
	}
	if d, err = time.ParseDuration(text); err != nil {
		seconds, convErr := strconv.Atoi(text)
		if convErr != nil {
			return 0, true, refuse(http.StatusBadRequest, "wait: %q is no time: expected one such as 10s", text)
		}
		d = time.Duration(seconds) * time.Second
	}
	return max(0, min(d, maxWait)), true, nil
}

func (q *request) remove() (answer, error) {
	k, err := q.kindOf()
	if err != nil {
		return answer{}, err
	}
	if q.unreadable(k.Name) {
		_, err := q.s.c.Discard(q.Context(), q.who, k.Name, q.PathValue("uuid"))
		return answer{Status: http.StatusNoContent}, err
	}
	if _, err := q.record(k.Name); err != nil {
		return answer{}, err
	}
	res, err := q.do(controller.Op{Verb: controller.Delete, Kind: k.Name, UUID: q.PathValue("uuid")})
	if err != nil {
		return answer{}, err
	}
	if _, err := q.wait(res); err != nil {
		return answer{}, err
	}
	return answer{Status: http.StatusNoContent}, nil
}
