package rest

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carillon-sip/carillon/internal/object"
)

// described is /api/openapi.json, ready to judge.
type described struct {
	t    *testing.T
	doc  map[string]any
	comp *jsonschema.Compiler
}

func describedAPI(t *testing.T) *described {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("https://carillon/openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return &described{t, doc.(map[string]any), c}
}

// schema compiles the one at a JSON pointer.
func (d *described) schema(pointer ...string) *jsonschema.Schema {
	d.t.Helper()
	esc := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	at := "https://carillon/openapi.json#"
	for _, p := range pointer {
		at += "/" + esc.Replace(p)
	}
	s, err := d.comp.Compile(at)
	if err != nil {
		d.t.Fatalf("%v: %v", pointer, err)
	}
	return s
}

func (d *described) operations(f func(method, path string, op map[string]any)) {
	for path, item := range d.doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			f(method, path, op.(map[string]any))
		}
	}
}

// TestOpenAPIIsTheRoutes holds that the document has every route and nothing else, and that what it says is served.
func TestOpenAPIIsTheRoutes(t *testing.T) {
	d := describedAPI(t)
	want := map[string]bool{}
	for _, r := range slices.Concat(openRoutes, closedRoutes) {
		method, path, _ := strings.Cut(r.pattern, " ")
		kinds := []string{""}
		if strings.HasPrefix(path, "/api/{type}") {
			kinds = nil
			for _, k := range object.Kinds() {
				kinds = append(kinds, k.Path)
			}
		}
		for _, k := range kinds {
			if k != "" {
				path = strings.Replace(r.pattern[len(method)+1:], "{type}", k, 1)
			}
			want[strings.ToLower(method)+" "+path] = true
		}
		for name := range strings.FieldsSeq(r.query) {
			if parameters[name] == "" {
				t.Errorf("%s: parameter %s is not described", r.pattern, name)
			}
		}
		if r.sum == "" {
			t.Errorf("%s: not described", r.pattern)
		}
	}
	ids := map[string]bool{}
	mux := (&Server{}).routes()
	d.operations(func(method, path string, op map[string]any) {
		if !want[method+" "+path] {
			t.Errorf("%s %s is described and no route", method, path)
		}
		delete(want, method+" "+path)
		id := op["operationId"].(string)
		if ids[id] {
			t.Errorf("%s %s: operationId %s is there twice", method, path, id)
		}
		ids[id] = true
		req, err := http.NewRequest(strings.ToUpper(method), "https://h"+strings.NewReplacer("{", "", "}", "").Replace(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, pattern := mux.Handler(req); pattern == "/" {
			t.Errorf("%s %s is described and not served", method, path)
		}
	})
	for route := range want {
		t.Errorf("%s is a route and not described", route)
	}
}

// TestOpenAPIValid holds that every schema of the document is one, that every reference leads somewhere, and that
// operations have what OpenAPI 3.1 asks for.
func TestOpenAPIValid(t *testing.T) {
	d := describedAPI(t)
	for name := range d.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		d.schema("components", "schemas", name)
	}
	d.operations(func(method, path string, op map[string]any) {
		params, _ := op["parameters"].([]any)
		inPath := 0
		for _, p := range params {
			p := p.(map[string]any)
			if p["in"] == "path" {
				inPath++
				if p["required"] != true || !strings.Contains(path, "{"+p["name"].(string)+"}") {
					t.Errorf("%s %s: parameter %v", method, path, p)
				}
			}
		}
		if inPath != strings.Count(path, "{") {
			t.Errorf("%s %s: %d parameters of the path are described", method, path, inPath)
		}
		if op["requestBody"] != nil {
			d.schema("paths", path, method, "requestBody", "content", "application/json", "schema")
		}
		responses := op["responses"].(map[string]any)
		if len(responses) != 2 || responses["default"] == nil {
			t.Errorf("%s %s: responses %v", method, path, responses)
		}
		for status, r := range responses {
			content, _ := r.(map[string]any)["content"].(map[string]any)
			for kind := range content {
				d.schema("paths", path, method, "responses", status, "content", kind, "schema")
			}
		}
	})
}

// check holds an answer against the schema of its route.
func (d *described) check(route string, r *reply) {
	d.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	method = strings.ToLower(method)
	responses := d.doc["paths"].(map[string]any)[path].(map[string]any)[method].(map[string]any)["responses"].(map[string]any)
	status := "default"
	if r.status < 300 {
		status = strconv.Itoa(r.status)
	}
	if responses[status] == nil {
		d.t.Errorf("%s: status %d is not described", route, r.status)
		return
	}
	if err := d.schema("paths", path, method, "responses", status, "content", "application/json", "schema").Validate(r.json); err != nil {
		d.t.Errorf("%s: %v\n%s", route, err, r.body)
	}
}

// TestAnswersFit holds real answers against what the document says of them: every GET there is, and the rest by hand.
func TestAnswersFit(t *testing.T) {
	d := describedAPI(t)
	w := newWorld(t)
	w.startEngine("se-1")
	pool, vip, vs := w.farm("edge")
	w.must(200, "GET", "/api/live?wait=10s", nil)
	engine := w.eng.Registration().UUID
	path := strings.NewReplacer("/virtualservice/{uuid}", "/virtualservice/"+vs, "/virtualservice-inventory/{uuid}", "/virtualservice-inventory/"+vs,
		"/pool/{uuid}", "/pool/"+pool, "/pool-inventory/{uuid}", "/pool-inventory/"+pool, "/vsvip/{uuid}", "/vsvip/"+vip, "/vsvip-inventory/{uuid}", "/vsvip-inventory/"+vip,
		"/serviceengine/{uuid}/runtime", "/serviceengine/"+engine+"/runtime", "/serviceengine-inventory/{uuid}", "/serviceengine-inventory/"+engine,
		"{key}", "127.0.0.2:5060", "/{type}/{uuid}", "/virtualservice/"+vs)
	tried := 0
	d.operations(func(method, p string, _ map[string]any) {
		if method != "get" || p == "/logout" || p == "/api/trace" { // a trace ends when its reader goes
			return
		}
		query := ""
		switch {
		case strings.Contains(p, "analytics/metrics"):
			query = "?metric_id=l4_client.avg_rx_pkts"
		case strings.Contains(p, "-inventory"):
			query = "?metric_id=" + map[bool]string{true: "l4_server.avg_open_conns"}[strings.Contains(p, "pool-")]
		case strings.Contains(p, "{uuid}"):
			query = "?join_subresources=runtime"
		}
		r := w.admin("GET", path.Replace(p)+query, nil)
		if r.status >= 300 && !strings.Contains(path.Replace(p), "{uuid}") {
			t.Errorf("GET %s: %d %s", p, r.status, r.body)
		}
		d.check("GET "+p, r)
		tried++
	})
	for _, k := range object.Kinds() {
		for _, item := range w.must(200, "GET", "/api/"+k.Path+"?page_size=200", nil).at("results").([]any) {
			for _, query := range []string{"", "?skip_default=true", "?include_name"} {
				uuid := item.(map[string]any)["uuid"].(string)
				d.check("GET /api/"+k.Path+"/{uuid}", w.must(200, "GET", "/api/"+k.Path+"/"+uuid+query, nil))
			}
		}
	}
	d.check("POST /api/pool", w.must(201, "POST", "/api/pool?wait=5s", `{"name":"new"}`))
	d.check("POST /api/pool", w.admin("POST", "/api/pool", `{"name":"new"}`))
	d.check("PATCH /api/pool/{uuid}", w.must(200, "PATCH", "/api/pool/"+pool+"?wait=5s", `{"replace":{"description":"a & b"}}`))
	d.check("PUT /api/pool/{uuid}", w.admin("PUT", "/api/pool/"+pool, `{"name":""}`))
	d.check("POST /api/preview", w.must(200, "POST", "/api/preview", `{"action":"patch","type":"pool","uuid":"`+pool+`","data":{"delete":{"servers":[{"ip":{"addr":"127.0.0.2","type":"V4"}}]}}}`))
	d.check("POST /api/macro", w.must(201, "POST", "/api/macro", `{"model_name":"Pool","data":{"name":"m"}}`))
	d.check("POST /api/analytics/metrics/collection", w.must(200, "POST", "/api/analytics/metrics/collection", `{"metric_requests":[{"entity_uuid":"*","metric_id":"l4_server.avg_uptime"}]}`))
	d.check("POST /login", w.send("POST", "/login", `{"username":"admin","password":"`+password+`"}`))
	d.check("GET /api/audit", w.must(200, "GET", "/api/audit", nil))
	if tried < 80 {
		t.Errorf("only %d", tried)
	}
}
