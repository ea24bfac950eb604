package rest

import (
	"cmp"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/openapi"
)

// schema is one that no Go type stands for.
type schema map[string]any

// loose is an object with members of any name; loose0 is one that is never there.
var loose = schema{"type": "object"}

type loose0 struct{}

var loginBody = schema{"type": "object", "required": []string{"username", "password"}, "properties": schema{
	"username": schema{"type": "string"}, "password": schema{"type": "string", "writeOnly": true}}}

// Bodies and pages that handlers read or write piece by piece.
type (
	previewBody struct {
		previewChange
		Changes []previewChange `json:"changes,omitempty"`
	}
	collectionBody struct {
		Requests []metricRequest `json:"metric_requests"`
	}
	auditPage struct {
		Count   int64                   `json:"count"`
		Results []controller.AuditEntry `json:"results"`
		Next    string                  `json:"next,omitempty"`
	}
	inventoryPage struct {
		Count   int             `json:"count"`
		Results []inventoryItem `json:"results"`
		Next    string          `json:"next,omitempty"`
	}
	serverPage struct {
		Count   int          `json:"count"`
		Results []serverItem `json:"results"`
		Next    string       `json:"next,omitempty"`
	}
	enginePage struct {
		Count   int          `json:"count"`
		Results []engineItem `json:"results"`
		Next    string       `json:"next,omitempty"`
	}
)

// parameters are those of queries, with what they do.
var parameters = map[string]string{
	"name": "exactly this name; every other field filters likewise", "name.contains": "names with this text", "name.icontains": "the same without regard to case",
	"name.in": "names with commas between", "uuid.in": "uuids with commas between", "exclude": "filters, by name, that hold for what is not wanted",
	"search": "objects with this text, or with (field,text)|(field,text)", "isearch": "the same without regard to case",
	"refers_to": "those that refer to type:uuid", "referred_by": "those that type:uuid refers to", "sort": "a field; with - before it from the end",
	"page": "number of the page, from 1", "page_size": "objects in a page, 1 to 200", "limit_by": "at most so many", "cloud_ref.name": "in this cloud",
	"cloud_uuid": "in this cloud", "label_key": "with this marker", "label_value": "and this value of it",
	"fields": "only these, with commas between, and name, uuid and url; then others that are required are missing", "include_name": "references become url#name",
	"skip_default": "leave out what stands at its default", "join_subresources": "runtime: with the run-time state", "export_key": "true: with secrets, for an admin",
	"apply": "true: objects of the caller's tenant, by name; the answer tells what became of each", "prune": "with apply: delete what bears this marker, key or key=value, and is not named",
	"dry_run": "with apply: tell, and change nothing", "delete": "with apply: delete what is named",
	"progress":  "true: the answer is one JSON value a line, {progress: {phase, done, of}} while the change is under way, then {status, body}",
	"wait":      "wait so long, such as 10s, for every engine to run the change; _live of the answer says which do",
	"metric_id": "figures with commas between: docs/metrics.md has them", "step": "5: of the last hour, or 300: of the last day", "limit": "the newest so many",
	"start": "from this time on, as 2026-01-31T12:00:00Z", "stop": "until this time", "obj_id": "ip:port of a server of the pool, or * for each",
	"pool_uuid": "of the pools of a virtual service, this one", "pad_missing_data": "fill gaps with 0 and is_null", "include": "only some of config, runtime, health_score, alert, metrics",
	"server": "only this one, ip:port", "from": "number of the newest entry to begin with", "secrets": "true: with secrets, for an admin",
	"revision": "of the store; left out: the newest",
	"call_id":  "exactly this Call-ID", "/api/trace?from": "user or number of From; a * at its end stands for anything", "to": "likewise of To", "user": "likewise of either",
	"method": "of a request; of a response that of its CSeq", "code": "of a response: 486, 4xx, 400-499 or 4xx-6xx", "source": "address or prefix that sent it or gets it",
	"virtualservice": "name or uuid; may be given several times", "only": "true: not the rest of the call too", "before": "true: also what came before of the same call, since the trace began",
	"pool": "name or uuid", "after": "next of the page before", "up": "true: only calls that were answered and of which no end was seen", "/api/calls?limit": "calls in the answer, 0 to 1000", "/api/calls?server": "name, address or address:port",
	"/api/trace?server": "name, address or address:port",
}

// document is the API as OpenAPI 3.1. It says what the table of routes and the types say, so it cannot say anything else.
func document() []byte {
	d := schema{
		"openapi": "3.1.0",
		"info": schema{"title": "Carillon", "version": AviVersion, "license": schema{"name": "Apache-2.0"},
			"description": "Avi's REST API for SIP virtual services. Trailing slashes and double slashes are accepted everywhere."},
		"servers":  []any{schema{"url": "/"}},
		"security": []any{schema{"basic": []string{}}, schema{"session": []string{}, "csrf": []string{}}},
	}
	schemas := schema{"Error": schema{"type": "object", "required": []string{"error"}, "properties": schema{"error": schema{"type": "string"}}}}
	for _, k := range object.Kinds() {
		schemas[k.Name] = objectSchema(k.Name)
	}
	paths := schema{}
	for i := range openRoutes {
		describe(paths, &openRoutes[i], []any{})
	}
	for i := range closedRoutes {
		describe(paths, &closedRoutes[i], nil)
	}
	d["paths"] = paths
	d["components"] = schema{"schemas": schemas, "securitySchemes": schema{
		"basic":   schema{"type": "http", "scheme": "basic"},
		"session": schema{"type": "apiKey", "in": "cookie", "name": sessionCookie},
		"csrf":    schema{"type": "apiKey", "in": "header", "name": "X-CSRFToken", "description": "the value of the cookie csrftoken, for what is no GET"}}}
	return mustJSON(d)
}

// objectSchema is the schema of a kind, with what answers have beside.
func objectSchema(kind string) schema {
	s := schema(openapi.Schema(kind))
	properties := s["properties"].(map[string]any)
	live := openapi.Of(reflect.TypeFor[controller.Live]())
	live["description"] = "with wait=: which engines run the change"
	for name, p := range map[string]map[string]any{
		"configpb_attributes": {"type": "object", "properties": schema{"version": schema{"type": "integer"}}},
		"runtime":             {"type": "object", "description": "with join_subresources=runtime"},
		"_live":               live,
	} {
		p["readOnly"] = true
		properties[name] = p
	}
	return s
}

var pathParameter = regexp.MustCompile(`\{([a-z]+)\}`)

// describe adds a route to the paths; {type} of the objects stands for each kind.
func describe(paths schema, r *route, security []any) {
	method, path, _ := strings.Cut(r.pattern, " ")
	if !strings.HasPrefix(path, "/api/{type}") {
		operation(paths, r, method, path, "", security)
		return
	}
	for _, k := range object.Kinds() {
		operation(paths, r, method, strings.Replace(path, "{type}", k.Path, 1), k.Name, security)
	}
}

func operation(paths schema, r *route, method, path, kind string, security []any) {
	op := schema{"summary": r.sum, "operationId": strings.ToLower(method) + strings.NewReplacer("/", "_", "{", "", "}", "", "-", "_", ".", "_").Replace(path)}
	if kind != "" {
		op["tags"] = []string{kind}
	}
	if security != nil {
		op["security"] = security
	}
	var params []any
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		params = append(params, schema{"name": m[1], "in": "path", "required": true, "schema": schema{"type": "string"}})
	}
	for name := range strings.FieldsSeq(r.query) {
		params = append(params, schema{"name": name, "in": "query", "description": cmp.Or(parameters[path+"?"+name], parameters[name]), "allowEmptyValue": true, "schema": schema{"type": "string"}})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.in != nil {
		op["requestBody"] = schema{"content": content(r.in, kind), "required": true}
	}
	ok := schema{"description": "done"}
	if r.out != nil {
		ok["content"] = content(r.out, kind)
	}
	status := "200"
	if r.status != 0 {
		status = strconv.Itoa(r.status)
	}
	op["responses"] = schema{status: ok, "default": schema{"description": "refused, and why",
		"content": schema{"application/json": schema{"schema": schema{"$ref": "#/components/schemas/Error"}}}}}
	item, _ := paths[path].(schema)
	if item == nil {
		item = schema{}
		paths[path] = item
	}
	item[strings.ToLower(method)] = op
}

func content(v any, kind string) schema {
	if l, ok := v.(lineByLine); ok {
		return schema{"application/x-ndjson": schema{"schema": schemaOf(l.of, kind)}}
	}
	return schema{"application/json": schema{"schema": schemaOf(v, kind)}}
}

// schemaOf is the schema of a body.
func schemaOf(v any, kind string) schema {
	ref := schema{"$ref": "#/components/schemas/" + kind}
	switch v := v.(type) {
	case schema:
		return maps.Clone(v)
	case anyObject:
		return ref
	case anyList:
		return schema{"type": "object", "required": []string{"count", "results"}, "additionalProperties": false, "properties": schema{
			"count": schema{"type": "integer"}, "next": schema{"type": "string"}, "results": schema{"type": "array", "items": ref}}}
	case anyPatch:
		part := schema{"type": "object"}
		return schema{"type": "object", "additionalProperties": false, "properties": schema{
			"add": part, "replace": part, "delete": part, "remove": part, "_last_modified": schema{"type": "string"},
			"json_patch": schema{"type": "array", "items": schema{"type": "object", "required": []string{"op", "path"}}}}}
	}
	return openapi.Of(reflect.TypeOf(v))
}

func (q *request) openAPI() (answer, error) {
	return answer{Raw: q.s.document(), Type: "application/json"}, nil
}
