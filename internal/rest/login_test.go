package rest

import (
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// logIn opens a session and returns its header lines.
func (w *world) logIn(name, password string) (cookie, csrf string) {
	w.t.Helper()
	r := w.send("POST", "/login", map[string]string{"username": name, "password": password})
	if r.status != 200 {
		w.t.Fatalf("login of %s: %d %s", name, r.status, r.body)
	}
	return cookies(r)
}

// cookies are the header lines that a client sends after a login.
func cookies(r *reply) (cookie, csrf string) {
	resp := http.Response{Header: r.header}
	cookie = "Cookie: "
	for _, c := range resp.Cookies() {
		cookie += c.Name + "=" + c.Value + "; "
		if c.Name == csrfCookie {
			csrf = "X-CSRFToken: " + c.Value
		}
	}
	return cookie, csrf
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	form := w.send("POST", "/login", "username=admin&password=a+good+password", "Content-Type: application/x-www-form-urlencoded")
	if form.status != 200 || form.text("version.Version") != AviVersion || form.text("session_cookie_name") != "sessionid" {
		t.Errorf("form: %d %s", form.status, form.body)
	}
	names := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: form.header}).Cookies() {
		names[c.Name] = c
		if !c.Secure || c.Path != "/" || c.HttpOnly != (c.Name != csrfCookie) || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("cookie %+v", c)
		}
	}
	if len(names) != 3 || names[sessionCookie].Value != names[aviCookie].Value {
		t.Errorf("cookies %v", names)
	}
	for _, c := range []struct {
		name   string
		body   string
		kind   string
		status int
		words  string
	}{
		{"JSON", `{"username":"admin","password":"a good password"}`, "application/json", 200, `"role":"admin"`},
		{"JSON without saying so", `{"username":"admin","password":"a good password"}`, "", 200, `"user_tenant":"admin"`},
		{"wrong password", `{"username":"admin","password":"wrong"}`, "application/json", 401, "Invalid credentials"},
		{"nobody", `{"username":"nobody","password":"a good password"}`, "application/json", 401, "Invalid credentials"},
		{"no password", `{"username":"admin"}`, "application/json", 401, "Invalid credentials"},
		{"broken JSON", `{"username":`, "application/json", 400, "expected"},
		{"a list", `[1]`, "application/json", 400, "expected"},
		{"broken form", "a=%zz", "application/x-www-form-urlencoded", 400, "form"},
		{"a novel", strings.Repeat("x", 1<<20), "application/json", 413, "larger"},
	} {
		r := w.send("POST", "/login", c.body, "Content-Type: "+c.kind)
		if r.status != c.status || !strings.Contains(string(r.body), c.words) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, r.status, r.body, c.status, c.words)
		}
	}
	if r := w.send("GET", "/login", nil); r.status != 401 && r.status != 405 {
		t.Errorf("GET /login: %d", r.status)
	}
}

// TestSession walks through what a cookie may and may not.
func TestSession(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/api/user", `{"name":"eve","password":"watching only","access":[{"role_ref":"/api/role?name=viewer","tenant_ref":"admin"}]}`)
	cookie, csrf := w.logIn("admin", password)
	eveCookie, eveCSRF := w.logIn("eve", "watching only")
	pool := `{"name":"p%d"}`
	for i, c := range []struct {
		name    string
		method  string
		headers []string
		status  int
		words   string
	}{
		{"read", "GET", []string{cookie}, 200, "results"},
		{"write", "POST", []string{cookie, csrf, "Referer: https://127.0.0.1/"}, 201, "uuid"},
		{"write without token", "POST", []string{cookie}, 403, "X-CSRFToken is missing"},
		{"write with a stale token", "POST", []string{cookie, "X-CSRFToken: 0123456789abcdef0123456789abcdef"}, 419, "log in again"},
		{"write with somebody else's token", "POST", []string{cookie, eveCSRF}, 419, "log in again"},
		{"a viewer writes", "POST", []string{eveCookie, eveCSRF}, 403, "may not change"},
		{"a viewer reads", "GET", []string{eveCookie}, 200, "results"},
		{"nobody", "GET", nil, 401, "credentials"},
		{"nobody writes", "POST", nil, 401, "credentials"},
		{"a forged cookie", "GET", []string{"Cookie: sessionid=abc.def"}, 401, "credentials"},
		{"a cookie with another's signature", "GET", []string{splice(cookie, eveCookie)}, 401, "credentials"},
		{"only one of the cookies", "GET", []string{"Cookie: avi-" + strings.Split(strings.Split(cookie, "sessionid=")[1], ";")[0]}, 401, "credentials"},
		{"basic", "POST", []string{basic("admin", password)}, 201, "uuid"},
		{"basic, wrong", "GET", []string{basic("admin", "wrong")}, 401, "Invalid credentials"},
		{"bearer", "GET", []string{"Authorization: Bearer x"}, 401, "credentials"},
		{"cross-site", "POST", []string{cookie, csrf, "Sec-Fetch-Site: cross-site"}, 403, "cross-site"},
		{"same-site is another host", "POST", []string{cookie, csrf, "Sec-Fetch-Site: same-site"}, 403, "cross-site"},
		{"another origin", "POST", []string{cookie, csrf, "Origin: https://evil.example"}, 403, "cross-site"},
		{"own origin", "POST", []string{cookie, csrf, "Origin: " + w.api.URL()}, 201, "uuid"},
		{"another origin reads", "GET", []string{cookie, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 200, "results"},
		{"an old version", "GET", []string{cookie, "X-Avi-Version: 16.4.4"}, 200, "results"},
		{"our version", "GET", []string{cookie, "X-Avi-Version: 30.2.1"}, 200, "results"},
		{"a build of it", "GET", []string{cookie, "X-Avi-Version: 30.2.1-9123"}, 200, "results"},
		{"a newer version", "GET", []string{cookie, "X-Avi-Version: 30.2.2"}, 400, "Invalid version"},
		{"no version", "GET", []string{cookie, "X-Avi-Version: new"}, 400, "Invalid version"},
	} {
		var body any
		if c.method == "POST" {
			body = strings.Replace(pool, "%d", string(rune('a'+i)), 1)
		}
		r := w.send(c.method, "/api/pool", body, c.headers...)
		if r.status != c.status || !strings.Contains(string(r.body), c.words) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, r.status, r.body, c.status, c.words)
		}
		if r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", c.name, r.header)
		}
	}
	if r := w.send("POST", "/logout", nil, cookie, csrf); r.status != 200 {
		t.Errorf("logout: %d %s", r.status, r.body)
	}
	if r := w.send("GET", "/api/pool", nil, cookie); r.status != 401 {
		t.Errorf("after logout: %d %s", r.status, r.body)
	}
}

// splice puts the signature of one cookie to the content of another.
func splice(a, b string) string {
	content := strings.Split(strings.Split(a, "sessionid=")[1], ".")[0]
	mac := strings.Split(strings.Split(strings.Split(b, "sessionid=")[1], ".")[1], ";")[0]
	return "Cookie: sessionid=" + content + "." + mac
}

// TestLoginLimit holds that guessing is stopped, from one address at least, also with basic auth.
func TestLoginLimit(t *testing.T) {
	w := newWorld(t)
	status := 0
	for range 100 {
		if status = w.send("GET", "/api/pool", nil, basic("admin", "guess")).status; status != 401 {
			break
		}
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after 100 guesses: %d", status)
	}
}

func TestTenants(t *testing.T) {
	w := newWorld(t)
	uuid := w.must(201, "POST", "/api/tenant", `{"name":"blue"}`).text("uuid")
	blue := "X-Avi-Tenant: blue"
	pool := w.must(201, "POST", "/api/pool", `{"name":"p","health_monitor_refs":["System-SIP"]}`, blue)
	if !strings.HasSuffix(pool.text("tenant_ref"), "/api/tenant/"+uuid) {
		t.Errorf("tenant_ref %s", pool.text("tenant_ref"))
	}
	w.must(201, "POST", "/api/pool", `{"name":"p"}`)
	w.must(201, "POST", "/api/user", `{"name":"bob","password":"builds in blue","default_tenant_ref":"blue","access":[{"role_ref":"/api/role?name=admin","tenant_ref":"blue"}]}`)
	bob := basic("bob", "builds in blue")
	is := func(status int, words string, r *reply) {
		t.Helper()
		if r.status != status || !strings.Contains(string(r.body), words) {
			t.Errorf("%d %s, want %d with %q", r.status, r.body, status, words)
		}
	}
	path := "/api/pool/" + pool.text("uuid")
	is(404, "Pool object not found!", w.admin("GET", path, nil))
	is(200, `"p"`, w.admin("GET", path, nil, blue))
	is(200, `"p"`, w.admin("GET", path, nil, "X-Avi-Tenant-UUID: "+uuid))
	is(200, `"count":1`, w.admin("GET", "/api/pool", nil))
	is(200, `"count":2`, w.admin("GET", "/api/pool", nil, "X-Avi-Tenant: *"))
	is(400, "name one tenant", w.admin("POST", "/api/pool", `{"name":"q"}`, "X-Avi-Tenant: *"))
	is(403, "Tenant 'red' does not exist!", w.admin("GET", "/api/pool", nil, "X-Avi-Tenant: red"))
	is(200, `"count":1`, w.send("GET", "/api/pool", nil, bob))
	is(200, path, w.send("GET", "/api/pool", nil, bob))
	is(403, "", w.send("GET", "/api/pool", nil, bob, "X-Avi-Tenant: admin"))
	is(403, "has not all tenants", w.send("GET", "/api/pool", nil, bob, "X-Avi-Tenant: *"))
	is(201, `"uuid"`, w.send("POST", "/api/pool", `{"name":"bobs"}`, bob))
	is(409, "already exists", w.send("POST", "/api/pool", `{"name":"bobs"}`, bob))
	is(403, "", w.send("POST", "/api/user", `{"name":"mallory","password":"a good password"}`, bob))
	is(403, "", w.send("GET", "/api/export", nil, bob))
	other := w.admin("GET", "/api/pool?name=p", nil).text("results.0.uuid")
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		is(404, "not found", w.send(method, "/api/pool/"+other, `{"replace":{"description":"x"}}`, bob))
	}
	is(404, "not found", w.send("GET", "/api/pool/"+other+"/runtime", nil, bob))
	is(404, "not found", w.send("GET", "/api/analytics/metrics/pool/"+other+"?metric_id=l4_server.avg_uptime", nil, bob))
	is(404, "not found", w.send("DELETE", "/api/macro", `{"model_name":"Pool","data":{"uuid":"`+other+`"}}`, bob))
}

// TestCustomRole holds that a role of one's own gives what it says and no more.
func TestCustomRole(t *testing.T) {
	w := newWorld(t)
	w.farm("edge")
	w.must(201, "POST", "/api/role", `{"name":"pools","privileges":[{"resource":"PERMISSION_POOL","type":"WRITE_ACCESS"},{"resource":"PERMISSION_VSVIP","type":"READ_ACCESS"}]}`)
	w.must(201, "POST", "/api/user", `{"name":"pat","password":"pools and no more","access":[{"role_ref":"/api/role?name=pools","tenant_ref":"admin"}]}`)
	pat := basic("pat", "pools and no more")
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/api/pool", "", 200}, {"POST", "/api/pool", `{"name":"mine"}`, 201}, {"GET", "/api/pool-inventory", "", 200},
		{"GET", "/api/vsvip", "", 200}, {"POST", "/api/vsvip", `{"name":"v","vip":["127.0.0.9"]}`, 403},
		{"GET", "/api/virtualservice", "", 403}, {"GET", "/api/virtualservice-inventory", "", 403}, {"GET", "/api/user", "", 403},
		{"GET", "/api/serviceengine-inventory", "", 403}, {"GET", "/api/analytics/metrics/virtualservice/*?metric_id=l4_client.avg_rx_pkts", "", 403},
		{"POST", "/api/explain", `{"call_id":"x"}`, 403}, {"GET", "/api/audit", "", 403},
	} {
		if r := w.send(c.method, c.path, c.body, pat); r.status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, r.status, r.body, c.status)
		}
	}
}

// TestViewerOfAllTenants holds that who may look everywhere and is the admin of one tenant is the admin of that one only.
func TestViewerOfAllTenants(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/api/tenant", `{"name":"blue"}`)
	w.must(201, "POST", "/api/user", `{"name":"vic","password":"looks around","default_tenant_ref":"blue","access":[{"role_ref":"/api/role?name=admin","tenant_ref":"blue"},
		{"role_ref":"/api/role?name=viewer","all_tenants":true}]}`)
	vic := basic("vic", "looks around")
	for _, c := range []struct {
		method, path, body, tenant string
		status                     int
	}{
		{"GET", "/api/pool", "", "*", 200}, {"POST", "/api/pool", `{"name":"mine"}`, "blue", 201}, {"POST", "/api/pool", `{"name":"other"}`, "admin", 403},
		{"GET", "/api/sslkeyandcertificate?export_key=true", "", "*", 403}, {"GET", "/api/sslkeyandcertificate?export_key=true", "", "blue", 200},
		{"GET", "/api/export?secrets=true", "", "blue", 403}, {"POST", "/api/import", "{}", "blue", 403}, {"POST", "/api/tenant", `{"name":"red"}`, "blue", 403},
		{"POST", "/api/user", `{"name":"root","password":"a good password","is_superuser":true}`, "blue", 403},
		{"POST", "/api/preview", `{"action":"create","type":"user","data":{"name":"root","password":"a good password"}}`, "blue", 200},
	} {
		r := w.send(c.method, c.path, c.body, vic, "X-Avi-Tenant: "+c.tenant)
		if r.status != c.status || c.path == "/api/preview" && r.text("accepted") != "false" {
			t.Errorf("%s %s in %s: %d %s, want %d", c.method, c.path, c.tenant, r.status, r.body, c.status)
		}
	}
}

// TestTenantRef holds that nobody puts objects into a tenant where it has no rights, by naming it in the body.
func TestTenantRef(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"blue", "red"} {
		w.must(201, "POST", "/api/tenant", `{"name":"`+name+`"}`)
	}
	w.must(201, "POST", "/api/user", `{"name":"bob","password":"builds in blue","default_tenant_ref":"blue","access":[{"role_ref":"/api/role?name=admin","tenant_ref":"blue"},
		{"role_ref":"/api/role?name=viewer","tenant_ref":"red"}]}`)
	bob := basic("bob", "builds in blue")
	for tenant, status := range map[string]int{"blue": 201, "red": 403, "admin": 403} {
		for path, body := range map[string]string{"/api/pool": `{"name":"p","tenant_ref":"/api/tenant?name=%s"}`, "/api/macro": `{"model_name":"Pool","data":{"name":"m","tenant_ref":"/api/tenant?name=%s"}}`} {
			if r := w.send("POST", path, strings.Replace(body, "%s", tenant, 1), bob); r.status != status {
				t.Errorf("POST %s into %s: %d %s, want %d", path, tenant, r.status, r.body, status)
			}
		}
		w.must(201, "POST", "/api/pool", `{"name":"admins","tenant_ref":"/api/tenant?name=`+tenant+`"}`)
	}
}

// TestSecretsStay holds that nobody finds out a secret by asking whether it is so, or learns of another tenant.
func TestSecretsStay(t *testing.T) {
	w := newWorld(t)
	_, _, vs := w.farm("edge")
	for _, path := range []string{"/api/user?password.startswith=a", "/api/user?password.contains=x", "/api/user?password=x", "/api/user?sort=password", "/api/user?sort=-password",
		"/api/user?search=(name,a)|(password,x)", "/api/user?isearch=(%20password%20,x)", "/api/sslkeyandcertificate?key.contains=A", "/api/user?password.in=a,b&exclude=password.in"} {
		if r := w.admin("GET", path, nil); r.status != 400 || !strings.Contains(r.text("error"), "is a secret") {
			t.Errorf("GET %s: %d %s", path, r.status, r.body)
		}
	}
	if r := w.must(200, "GET", "/api/user?search=argon2", nil); r.text("count") != "0" {
		t.Errorf("a search finds hashes: %s", r.body)
	}
	w.must(201, "POST", "/api/tenant", `{"name":"blue"}`)
	w.must(201, "POST", "/api/pool", `{"name":"of-blue"}`, "X-Avi-Tenant: blue")
	w.must(201, "POST", "/api/user", `{"name":"bob","password":"builds in blue","default_tenant_ref":"blue","access":[{"role_ref":"/api/role?name=admin","tenant_ref":"blue"}]}`)
	bob := basic("bob", "builds in blue")
	r := w.send("GET", "/api/audit", nil, bob)
	if results, ok := r.at("results").([]any); r.status != 200 || !ok || len(results) != 1 || r.text("results.0.objects.0.name") != "of-blue" {
		t.Errorf("audit of blue: %d %s", r.status, r.body)
	}
	if r := w.must(200, "GET", "/api/audit?page_size=2", nil); len(r.at("results").([]any)) != 2 || !strings.Contains(r.text("next"), "from=") {
		t.Errorf("audit of all: %s", r.body)
	}
	for body, status := range map[string]int{`{"call_id":"a@b"}`: 403, `{"call_id":"a@b","virtualservice":"` + vs + `"}`: 404, `{"call_id":"a@b","virtualservice":"edge"}`: 404} {
		if r := w.send("POST", "/api/explain", body, bob); r.status != status {
			t.Errorf("explain %s: %d %s, want %d", body, r.status, r.body, status)
		}
	}
}

// TestExplain holds that a message pasted finds its way.
func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.farm("edge")
	w.startEngine("se-1")
	w.must(200, "GET", "/api/live?wait=10s", nil)
	message := "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: one@two\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	r := w.must(200, "POST", "/api/explain", map[string]string{"message": message, "source": "127.0.0.9:5060", "virtualservice": "edge"})
	if r.text("virtual_service") != "edge" || r.text("parse.ok") != "true" || r.text("verdict.action") != "forward" {
		t.Errorf("%s", r.body)
	}
	describedAPI(t).check("POST /api/explain", r)
	for _, c := range []struct {
		body   string
		status int
	}{{`{}`, 400}, {`{"message":"x","call_id":"y"}`, 400}, {`{"message":"x","source":"here"}`, 400}, {`{"call_id":"y","virtualservice":"nowhere"}`, 404}, {`{"call_id":"y","engine":"nobody"}`, 503}, {`[`, 400}} {
		if r := w.admin("POST", "/api/explain", c.body); r.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.body, r.status, r.body, c.status)
		}
	}
}

// TestSlowLogins holds that those who send a login an octet at a time are in nobody's way: neither who is logged in, nor
// who asks whether all is well, nor who logs in from elsewhere.
func TestSlowLogins(t *testing.T) {
	w := newWorld(t)
	addr := strings.TrimPrefix(w.api.URL(), "https://")
	for range 2 * maxOpen {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n{")); err != nil {
			t.Fatal(err)
		}
	}
	under := func() int {
		w.api.outside.mu.Lock()
		defer w.api.outside.mu.Unlock()
		return w.api.outside.by["127.0.0.1"]
	}
	for under() < maxOutsideEach && t.Context().Err() == nil {
		runtime.Gosched()
	}
	login := map[string]string{"username": "admin", "password": password}
	if r := w.send("POST", "/login", login); r.status != 503 {
		t.Errorf("one more of the same address: %d %s", r.status, r.body)
	}
	if r := w.send("GET", "/api/carillon/readiness", nil); r.status != 200 {
		t.Errorf("is all well? %d %s", r.status, r.body)
	}
	w.must(200, "GET", "/api/whoami", nil)
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	w.http = &http.Client{Transport: &http.Transport{DialContext: from.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	if r := w.send("POST", "/login", login); r.status != 200 {
		t.Errorf("a login of another address: %d %s", r.status, r.body)
	}
}
