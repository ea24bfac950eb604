package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// TestTwice holds that a member given twice is refused with object and field, wherever it stands, and nothing is made.
func TestTwice(t *testing.T) {
	w := newWorld(t)
	pool := w.must(201, "POST", "/api/pool", `{"name":"edge"}`).text("uuid")
	for _, c := range []struct{ method, path, body, words string }{
		{"POST", "/api/pool", `{"name":"a","default_server_port":5060,"default_server_port":5061}`, "Pool/a: default_server_port: given twice"},
		{"POST", "/api/pool", `{"name":"a","servers":[{"ip":"10.0.0.1","port":1},{"ip":"10.0.0.2","port":1,"port":2}]}`, "Pool/a: servers[1].port: given twice"},
		{"POST", "/api/pool", `{"name":"a","na\u006de":"b"}`, "name: given twice"},
		{"PUT", "/api/pool/" + pool, `{"name":"edge","enabled":true,"enabled":false}`, "Pool/edge: enabled: given twice"},
		{"PATCH", "/api/pool/" + pool, `{"add":{"servers":[{"ip":"10.0.0.1"}]},"add":{}}`, "add: given twice"},
		{"PATCH", "/api/pool/" + pool, `{"replace":{"enabled":true,"enabled":false}}`, "replace.enabled: given twice"},
		{"PATCH", "/api/pool/" + pool, `{"json_patch":[{"op":"replace","path":"/enabled","value":true,"op":"remove"}]}`, "json_patch[0].op: given twice"},
		{"POST", "/api/macro", `{"model_name":"Pool","data":{"name":"a","name":"b"}}`, "data.name: given twice"},
		{"POST", "/api/macro", `{"model_name":"Pool","data":{"name":"a","health_monitor_refs_data":[{"name":"m","type":"x","type":"y"}]}}`, "data.health_monitor_refs_data[0].type: given twice"},
		{"POST", "/api/import", `{"Pool":[{"name":"a","enabled":true,"enabled":false}]}`, "Pool[0].enabled: given twice"},
		{"POST", "/api/import?apply=true", `{"Pool":[],"Pool":[{"name":"a"}]}`, "Pool: given twice"},
		{"POST", "/api/preview", `{"changes":[{"method":"POST","type":"pool","body":{"name":"a","name":"b"}}]}`, "changes[0].body.name: given twice"},
		{"POST", "/api/pool/" + pool + "/drain", `{"server":"a","server":"b"}`, "server: given twice"},
		{"POST", "/login", `{"username":"admin","username":"eve","password":"x"}`, "username: given twice"},
	} {
		r := w.admin(c.method, c.path, c.body, "Content-Type: application/json")
		if r.status != 400 || !strings.Contains(r.text("error"), c.words) {
			t.Errorf("%s %s %s: %d %s, want 400 with %q", c.method, c.path, c.body, r.status, r.body, c.words)
		}
	}
	if n := w.must(200, "GET", "/api/pool", nil).text("count"); n != "1" {
		t.Errorf("%s pools", n)
	}
}

// TestMethods holds that a path tells which methods it has.
func TestMethods(t *testing.T) {
	w := newWorld(t)
	pool := w.must(201, "POST", "/api/pool", `{"name":"edge"}`).text("uuid")
	const object = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"PUT", "/api/pool", 405, "GET, HEAD, POST, OPTIONS"},
		{"DELETE", "/api/pool/", 405, "GET, HEAD, POST, OPTIONS"},
		{"POST", "/api/pool/" + pool, 405, object},
		{"OPTIONS", "/api/pool/" + pool, 204, object},
		{"OPTIONS", "//api//pool/", 204, "GET, HEAD, POST, OPTIONS"},
		{"FOO", "/api/pool/" + pool, 405, object},
		{"TRACE", "/api/pool", 405, "GET, HEAD, POST, OPTIONS"},
		{"GET", "/login", 405, "POST, OPTIONS"},
		{"GET", "/api/macro/", 405, ""}, // as the path of a kind it would be there
		{"HEAD", "/api/pool/" + pool, 200, ""},
		{"HEAD", "/api/pool/nowhere", 404, ""},
		{"DELETE", "/nowhere", 404, ""},
		{"OPTIONS", "/nowhere", 404, ""},
		{"GET", "/api/pool/../pool", 404, ""},
		{"GET", "/api/pool/%2e%2e/pool", 404, ""},
		{"GET", "/api/pool/a%2Fb", 404, ""},
		{"GET", "/api/pool/" + strings.Repeat("x", 8000), 404, ""},
	} {
		r := w.admin(c.method, c.path, nil)
		if c.path == "/api/macro/" {
			if r.status != 404 && r.status != 405 {
				t.Errorf("%s %s: %d", c.method, c.path, r.status)
			}
			continue
		}
		if r.status != c.status || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %.60s: %d, Allow %q, want %d, %q: %.200s", c.method, c.path, r.status, r.header.Get("Allow"), c.status, c.allow, r.body)
		}
	}
}

// TestQueries holds that a query that cannot be read finds nothing, instead of everything.
func TestQueries(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/api/pool", `{"name":"100%"}`)
	for query, want := range map[string]struct {
		status int
		count  string
	}{
		"name=100%25": {200, "1"}, "name=100%": {400, "<nil>"}, "name=%zz": {400, "<nil>"}, "name=a;b": {400, "<nil>"}, "name=a%3Bb": {200, "0"},
		"name=%00": {200, "0"}, "name=%ff%fe": {200, "0"}, "name=": {200, "0"}, "&&&": {200, "1"}, "name=" + strings.Repeat("y", 30_000): {200, "0"},
	} {
		if r := w.admin("GET", "/api/pool?"+query, nil); r.status != want.status || r.text("count") != want.count {
			t.Errorf("?%.60s: %d, count %s, want %v: %.200s", query, r.status, r.text("count"), want, r.body)
		}
	}
}

// TestLogoutByLink holds that no other site logs somebody out: browsers send cookies along with a link.
func TestLogoutByLink(t *testing.T) {
	w := newWorld(t)
	host := strings.TrimPrefix(w.api.URL(), "https://")
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{[]string{"Sec-Fetch-Site: cross-site"}, 403},
		{[]string{"Sec-Fetch-Site: same-site"}, 403},
		{[]string{"Sec-Fetch-Site: cross-site", "Origin: https://" + host}, 403},
		{[]string{"Origin: https://evil.example"}, 403},
		{[]string{"Origin: null"}, 403},
		{[]string{"Referer: https://evil.example/" + host}, 403},
		{[]string{"Sec-Fetch-Site: same-origin"}, 200},
		{[]string{"Sec-Fetch-Site: none"}, 200},
		{[]string{"Referer: https://" + host + "/x"}, 200},
		{nil, 200}, // curl
	} {
		cookie, _ := w.logIn("admin", password)
		r := w.send("GET", "/logout", nil, append(c.headers, cookie)...)
		after := w.send("GET", "/api/whoami", nil, cookie)
		if r.status != c.status || (after.status == 401) != (c.status == 200) {
			t.Errorf("%q: %d, and then %d", c.headers, r.status, after.status)
		}
	}
}

// TestTenantsOfOthers holds that a tenant does not learn of the others that there are.
func TestTenantsOfOthers(t *testing.T) {
	w := newWorld(t)
	bob := w.tenants()
	red := w.must(200, "GET", "/api/tenant?name=red", nil).text("results.0.uuid")
	if r := w.send("GET", "/api/tenant", nil, bob); r.text("count") != "2" || strings.Contains(string(r.body), "red") {
		t.Errorf("%s", r.body)
	}
	for _, path := range []string{"/api/tenant/" + red, "/api/tenant/" + red + "?include_name"} {
		if r := w.send("GET", path, nil, bob); r.status != 404 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := w.send("GET", "/api/tenant?name=red", nil, bob); r.text("count") != "0" {
		t.Errorf("%s", r.body)
	}
	if n := w.must(200, "GET", "/api/tenant", nil).text("count"); n != "3" {
		t.Errorf("the admin of all sees %s", n)
	}
}

// TestBodiesAsTheyAre holds that a body that is packed is refused with words, and that who is unknown is told how to be
// known.
func TestBodiesAsTheyAre(t *testing.T) {
	w := newWorld(t)
	if r := w.admin("POST", "/api/pool", "\x1f\x8b", "Content-Encoding: gzip"); r.status != 415 || !strings.Contains(r.text("error"), "gzip") {
		t.Errorf("%d %s", r.status, r.body)
	}
	w.must(201, "POST", "/api/pool", `{"name":"a"}`, "Content-Encoding: identity", "Content-Type: text/plain")
	for _, headers := range [][]string{nil, {basic("admin", "wrong")}, {"Authorization: Basic !"}, {"Authorization: Bearer x"}} {
		if r := w.send("GET", "/api/pool", nil, headers...); r.status != 401 || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%q: %d %q", headers, r.status, r.header.Get("WWW-Authenticate"))
		}
	}
}

// TestShapes holds that a body of the wrong shape is refused in words of JSON, and that what is none of it is not passed
// over.
func TestShapes(t *testing.T) {
	w := newWorld(t)
	pool := w.must(201, "POST", "/api/pool", `{"name":"edge"}`).text("uuid")
	for _, c := range []struct{ path, body, words string }{
		{"/api/preview", ``, "the body is empty"},
		{"/api/preview", `[]`, "got an array"},
		{"/api/preview", `{"changes":7}`, "changes cannot be a number"},
		{"/api/preview", `{"action":"delete","kind":"Pool"}`, `unknown field "kind"`},
		{"/api/preview", `{"changes":[{"action":"patch","type":"pool","uuid":"x","body":{}}]}`, `unknown field "body"`},
		{"/api/preview", `{} {}`, "something stands behind it"},
		{"/api/explain", `{"message":1}`, "message cannot be a number"},
		{"/api/explain", `{"bogus":1,"call_id":"x"}`, `unknown field "bogus"`},
		{"/api/explain", `{"message":"` + strings.Repeat("x", maxExplain) + `"}`, "larger than 256 KB"},
		{"/api/pool/" + pool + "/drain", `{"Server":{}}`, "cannot be an object"},
		{"/api/pool/" + pool + "/drain", `{"server":"127.0.0.1:5060","deadlin":"1m"}`, `unknown field "deadlin"`},
		{"/api/pool/" + pool + "/drain", `{}`, "server is missing"},
		{"/api/macro", `{"model_name":1}`, "model_name cannot be a number"},
		{"/api/macro", `7`, "got a number"},
		{"/api/analytics/metrics/collection", `"x"`, "got a string"},
		{"/login", `{"username":{}}`, "cannot be an object"},
	} {
		r := w.admin("POST", c.path, c.body)
		if r.status != 400 && r.status != 413 || !strings.Contains(r.text("error"), c.words) || strings.Contains(r.text("error"), "Go ") {
			t.Errorf("%s %.60s: %d %.300s, want %q", c.path, c.body, r.status, r.body, c.words)
		}
	}
}

// TestOneUserLeavesRoom holds that a user who waits for engines as often as may be keeps nobody else out.
func TestOneUserLeavesRoom(t *testing.T) {
	w := newWorld(t)
	w.startEngine("se-1")
	w.must(201, "POST", "/api/user", `{"name":"eve","password":"watching only","access":[{"role_ref":"/api/role?name=viewer","tenant_ref":"admin"}]}`)
	ctx, done := context.WithCancel(t.Context())
	defer done()
	if r := w.send("GET", "/api/whoami", nil, basic("eve", "watching only")); r.status != 200 {
		t.Fatal(r.status)
	}
	refused := make(chan int, 2*MaxRequests)
	for range 2 * MaxRequests {
		go func() {
			req, err := http.NewRequestWithContext(ctx, "GET", w.api.URL()+"/api/live?revision=1000000000&wait=60s", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.SetBasicAuth("eve", "watching only")
			resp, err := w.http.Do(req)
			if err == nil {
				refused <- resp.StatusCode
				_ = resp.Body.Close()
			}
		}()
	}
	for range 2*MaxRequests - maxRequestsEach {
		if status := <-refused; status != 503 {
			t.Fatalf("one more of the same user: %d", status)
		}
	}
	w.must(200, "GET", "/api/whoami", nil)
	w.must(201, "POST", "/api/pool?wait=10s", `{"name":"beside"}`)
}
