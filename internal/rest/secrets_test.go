package rest

import (
	"strings"
	"testing"
)

// tenants makes the tenants blue and red, and bob, who is the admin of blue.
func (w *world) tenants() (bob string) {
	w.t.Helper()
	for _, name := range []string{"blue", "red"} {
		w.must(201, "POST", "/api/tenant", `{"name":"`+name+`"}`)
	}
	w.must(201, "POST", "/api/user", `{"name":"bob","password":"builds in blue","default_tenant_ref":"blue","access":[{"role_ref":"/api/role?name=admin","tenant_ref":"blue"}]}`)
	return basic("bob", "builds in blue")
}

// TestSecretsStayWhereTheyAre holds that a patch does not bring a secret to where it can be read, nor tells what it is, and that
// whoever may see the keys of one tenant does not see those that admin lends to all.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	w := newWorld(t)
	bob := w.tenants()
	cert := "/api/sslkeyandcertificate/" + w.must(200, "GET", "/api/sslkeyandcertificate?name=System-Default-Cert", nil).text("results.0.uuid")
	key := w.must(200, "GET", cert+"?export_key=true", nil).text("key")
	for _, op := range []string{`{"op":"copy","from":"/key","path":"/description"}`, `{"op":"move","from":"/key","path":"/description"}`} {
		if r := w.admin("PATCH", cert, `{"json_patch":[`+op+`]}`); strings.Contains(string(r.body), "PRIVATE") {
			t.Errorf("%s: %d %s", op, r.status, r.body)
		}
	}
	if r := w.admin("PATCH", cert, map[string]any{"json_patch": []any{map[string]string{"op": "test", "path": "/key", "value": key}}}); r.status != 400 {
		t.Errorf("a test of a key: %d %s", r.status, r.body)
	}
	if again := w.must(200, "GET", cert+"?export_key=true", nil).text("key"); again != key {
		t.Error("the key is another one")
	}
	if r := w.send("GET", cert+"?export_key=true", nil, bob); r.status != 200 || strings.Contains(string(r.body), "PRIVATE") {
		t.Errorf("another tenant's admin: %d %s", r.status, r.body)
	}
	if r := w.admin("GET", cert+"?export_key=true", nil, "X-Avi-Tenant: blue"); r.text("key") != key {
		t.Errorf("the admin of all: %d %s", r.status, r.body)
	}
}

// TestAuditOfTenants holds that a tenant sees what was done in it, and not what others did.
func TestAuditOfTenants(t *testing.T) {
	w := newWorld(t)
	bob := w.tenants()
	w.must(201, "POST", "/api/pool", `{"name":"blues"}`, "X-Avi-Tenant: blue")
	w.must(201, "POST", "/api/pool", `{"name":"reds"}`, "X-Avi-Tenant: red")
	w.must(201, "POST", "/api/user", `{"name":"ann","password":"a good password"}`, "X-Avi-Tenant: blue")
	if r := w.send("GET", "/api/audit", nil, bob); r.status != 200 || len(r.at("results").([]any)) != 1 || r.text("results.0.objects.0.name") != "blues" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := w.admin("GET", "/api/audit", nil, "X-Avi-Tenant: blue"); len(r.at("results").([]any)) != 7 || r.text("count") != "7" || r.text("results.6.number") != "1" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestUsersTakeAnAdmin holds that nobody gives itself rights, that a name to log in with is one user's, and that
// somebody is left who may undo what was done.
func TestUsersTakeAnAdmin(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/api/role", `{"name":"people","privileges":[{"resource":"PERMISSION_USER","type":"WRITE_ACCESS"},{"resource":"PERMISSION_ROLE","type":"WRITE_ACCESS"}]}`)
	w.must(201, "POST", "/api/user", `{"name":"pat","password":"people and no more","access":[{"role_ref":"/api/role?name=people","all_tenants":true}]}`)
	pat := basic("pat", "people and no more")
	admin := "/api/user/" + w.must(200, "GET", "/api/user?name=admin", nil).text("results.0.uuid")
	for _, c := range []struct {
		method, path, body, who string
		status                  int
		words                   string
	}{
		{"POST", "/api/user", `{"name":"root","password":"a good password","is_superuser":true}`, pat, 403, "role admin"},
		{"PATCH", admin, `{"replace":{"password":"another password"}}`, pat, 403, "role admin"},
		{"POST", "/api/role", `{"name":"all","privileges":[{"resource":"PERMISSION_POOL","type":"WRITE_ACCESS"}]}`, pat, 403, "role admin"},
		{"GET", "/api/user", "", pat, 200, "pat"},
		{"POST", "/api/user", `{"name":"aaa","username":"admin","password":"a good password"}`, "", 409, `User/admin logs in as \"admin\" already`},
		{"PATCH", admin, `{"replace":{"username":"pat"}}`, "", 409, "already"},
		{"PATCH", admin, `{"replace":{"is_active":false}}`, "", 400, "no user would be left"},
		{"PATCH", admin, `{"replace":{"is_superuser":false}}`, "", 400, "no user would be left"},
		{"DELETE", admin, "", "", 400, "no user would be left"},
		{"POST", "/api/user", `{"name":"second","password":"a good password","is_superuser":true}`, "", 201, "second"},
		{"PATCH", admin, `{"replace":{"is_superuser":false}}`, "", 200, "admin"},
	} {
		who := c.who
		if who == "" {
			who = basic("admin", password)
		}
		if r := w.send(c.method, c.path, c.body, who); r.status != c.status || !strings.Contains(string(r.body), c.words) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", c.method, c.path, c.body, r.status, r.body, c.status, c.words)
		}
	}
}
