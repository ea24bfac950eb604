package controller

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/catalog"
)

func preview(t *testing.T, c *Controller, ops ...Op) *Preview {
	t.Helper()
	before := c.View().Generation
	p, err := c.Preview(t.Context(), admin, ops...)
	if err != nil {
		t.Fatal(err)
	}
	if now := c.View().Generation; now != before {
		t.Errorf("a preview made revision %d of %d", now, before)
	}
	return p
}

func servers4(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"127.0.0.%d:5060"`, 2+i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// A server more takes its share of the keys from the others, and nothing moves between those.
func TestPreviewOfServers(t *testing.T) {
	c := start(t)
	do(t, c, create("Pool", `{"name":"p","lb_algorithm":"consistent-hash","lb_algorithm_hash":"call-id","servers":%s}`, servers4(4)))
	uuid := c.View().Named("Pool", catalog.AdminTenant, "p").UUID()
	p := preview(t, c, Op{Verb: Patch, Kind: "Pool", UUID: uuid, Body: []byte(`{"add":{"servers":["127.0.0.9:5060"]}}`)})
	if !p.Accepted || len(p.Pools) != 1 {
		t.Fatalf("%+v", p)
	}
	pool := p.Pools[0]
	if math.Abs(pool.KeysKept-0.8) > 0.03 || len(pool.Added) != 1 || len(pool.Moves) != 4 {
		t.Errorf("keys kept %.3f, added %v, moves %v", pool.KeysKept, pool.Added, pool.Moves)
	}
	for _, m := range pool.Moves {
		if m.To != "127.0.0.9:5060" {
			t.Errorf("keys go from %s to %s", m.From, m.To)
		}
	}
	if pool.LeftServers != 4 || math.Abs(pool.MoreLoad-0.25) > 1e-9 {
		t.Errorf("without the largest: %d servers, %.2f more load", pool.LeftServers, pool.MoreLoad)
	}
	gone := preview(t, c, Op{Verb: Update, Kind: "Pool", UUID: uuid, Body: fmt.Appendf(nil, `{"name":"p","lb_algorithm":"consistent-hash","lb_algorithm_hash":"call-id","servers":%s}`, servers4(2))})
	if pool := gone.Pools[0]; len(pool.Removed) != 2 || math.Abs(pool.KeysKept-0.5) > 0.03 || pool.LeftServers != 1 {
		t.Errorf("two servers less: %+v", pool)
	}
	nobody := preview(t, c, Op{Verb: Patch, Kind: "Pool", UUID: uuid, Body: []byte(`{"replace":{"servers":[]}}`)})
	if words := strings.Join(nobody.Pools[0].Effects, "; "); !strings.Contains(words, "503") {
		t.Errorf("no server at all: %s", words)
	}
}

// What would be refused is told, with the words of the refusal.
func TestPreviewOfRefusal(t *testing.T) {
	c := start(t)
	farm(t, c, "edge", 5060)
	p := preview(t, c, create("VirtualService", `{"name":"other","vsvip_ref":"edge","pool_ref":"edge","services":[{"port":5060}]}`))
	if p.Accepted || !strings.Contains(p.Error, "is listened on by") || p.Code != Invalid {
		t.Errorf("%+v", p)
	}
}

// Ports that open and close are told, and that a profile of the service changes.
func TestPreviewOfService(t *testing.T) {
	c := start(t)
	vs := farm(t, c, "edge", 5060).Records[2]
	p := preview(t, c, Op{Verb: Patch, Kind: "VirtualService", UUID: vs.UUID(), Body: []byte(`{"replace":{"services":[{"port":5080}]}}`)})
	if len(p.VirtualServices) != 1 || fmt.Sprint(p.VirtualServices[0].Opens) != "[udp 127.0.0.1:5080]" || fmt.Sprint(p.VirtualServices[0].Closes) != "[udp 127.0.0.1:5060]" {
		t.Errorf("%+v", p.VirtualServices)
	}
	profile := c.View().Named("ApplicationProfile", catalog.AdminTenant, "System-SIP").UUID()
	p = preview(t, c, Op{Verb: Patch, Kind: "ApplicationProfile", UUID: profile, Body: []byte(`{"replace":{"sip_service_profile":{"record_route":true}}}`)})
	if len(p.VirtualServices) != 1 || !strings.Contains(strings.Join(p.VirtualServices[0].Effects, ";"), "ApplicationProfile/System-SIP") {
		t.Errorf("%+v", p.VirtualServices)
	}
}

// An operator switches on and off and drains, and nothing else; a viewer nothing; a role of one's own what it says.
func TestRoles(t *testing.T) {
	c := start(t)
	res := farm(t, c, "edge", 5060)
	pool, vs := res.Records[1].UUID(), res.Records[2].UUID()
	do(t, c,
		create("Role", `{"name":"pools","privileges":[{"resource":"PERMISSION_POOL","type":"WRITE_ACCESS"}]}`),
		create("Tenant", `{"name":"other"}`))
	for name, role := range map[string]string{"op": "operator", "eye": "viewer", "pooler": "pools"} {
		do(t, c, create("User", `{"name":"%s","password":"%s has a password","access":[{"role_ref":"/api/role?name=%s","tenant_ref":"/api/tenant?name=admin"}]}`, name, name, role))
	}
	as := func(name string) Who {
		t.Helper()
		who, err := c.Basic(name, name+" has a password", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	patch := func(kind, uuid, body string) Op { return Op{Verb: Patch, Kind: kind, UUID: uuid, Body: []byte(body)} }
	for _, try := range []struct {
		who  string
		op   Op
		code Code
	}{
		{"op", patch("VirtualService", vs, `{"replace":{"traffic_enabled":false}}`), 0},
		{"op", patch("VirtualService", vs, `{"replace":{"traffic_enabled":true}}`), 0},
		{"op", patch("Pool", pool, `{"replace":{"graceful_disable_timeout":9}}`), 0},
		{"op", patch("Pool", pool, `{"replace":{"servers":[{"ip":"127.0.0.2","port":5060,"enabled":false},{"ip":"127.0.0.3","port":5060}]}}`), 0},
		{"op", patch("Pool", pool, `{"replace":{"servers":[{"ip":"127.0.0.2","port":5060}]}}`), Forbidden},
		{"op", patch("Pool", pool, `{"replace":{"lb_algorithm":"round-robin"}}`), Forbidden},
		{"op", create("Pool", `{"name":"mine"}`), Forbidden},
		{"op", Op{Verb: Delete, Kind: "VirtualService", UUID: vs}, Forbidden},
		{"op", patch("User", c.View().Named("User", "admin", "op").UUID(), `{"replace":{"is_superuser":true}}`), Forbidden},
		{"eye", patch("VirtualService", vs, `{"replace":{"traffic_enabled":false}}`), Forbidden},
		{"pooler", patch("Pool", pool, `{"replace":{"description":"mine"}}`), 0},
		{"pooler", patch("VirtualService", vs, `{"replace":{"description":"mine"}}`), Forbidden},
	} {
		_, err := c.Do(t.Context(), as(try.who), try.op)
		if CodeOf(err) != try.code || try.code == 0 && err != nil {
			t.Errorf("%s: %s %s %s: code %d, %v; want %d", try.who, try.op.Verb, try.op.Kind, try.op.Body, CodeOf(err), err, try.code)
		}
	}
	other := c.View().Named("Tenant", "admin", "other").UUID()
	if _, ok := as("op").In(c.View(), other); ok {
		t.Error("a user of one tenant works in another")
	}
}

// Objects of one tenant are nobody else's; what admin lends, all may refer to.
func TestTenants(t *testing.T) {
	c := start(t)
	farm(t, c, "edge", 5060)
	tenant := do(t, c, create("Tenant", `{"name":"blue"}`)).Records[0].UUID()
	blue := Who{User: "blue", Role: RoleAdmin, Tenant: tenant}
	res, err := c.Do(t.Context(), blue,
		create("VsVip", `{"name":"edge","vip":["127.0.0.7"]}`), create("Pool", `{"name":"edge","servers":["127.0.0.2:5060"],"health_monitor_refs":["System-SIP"]}`),
		create("VirtualService", `{"name":"edge","vsvip_ref":"edge","pool_ref":"edge","services":[5060]}`))
	if err != nil {
		t.Fatal(err)
	}
	set := c.View().Set()
	if vs := set.VirtualService("blue/edge"); vs == nil || vs.PoolRef != "blue/edge" || set.VirtualService("edge").PoolRef != "edge" {
		t.Errorf("an engine runs %+v", vs)
	}
	admins := c.View().Named("Pool", "admin", "edge").UUID()
	if _, err := c.Do(t.Context(), blue, Op{Verb: Delete, Kind: "Pool", UUID: admins}); CodeOf(err) != NotFound {
		t.Errorf("one tenant deletes another's: %v", err)
	}
	if _, err := c.Do(t.Context(), blue, create("VirtualService", `{"name":"x","vsvip_ref":"edge","pool_ref":"%s","services":[5070]}`, admins)); CodeOf(err) != Invalid {
		t.Errorf("one tenant refers to another's pool: %v", err)
	}
	if _, err := c.Do(t.Context(), admin, Op{Verb: Delete, Kind: "Tenant", UUID: tenant}); CodeOf(err) != InUse {
		t.Errorf("a tenant with objects goes: %v", err)
	}
	if res.Records[2].Object.Text("tenant_ref") != tenant {
		t.Errorf("tenant_ref is %s", res.Records[2].Object.Text("tenant_ref"))
	}
}

// What is exported can be imported elsewhere, and again, which changes nothing.
func TestExportImport(t *testing.T) {
	a, b := start(t), start(t)
	farm(t, a, "edge", 5060)
	do(t, a, create("Tenant", `{"name":"blue"}`))
	data, err := a.Export(true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Import(t.Context(), admin, data); err != nil {
		t.Fatal(err)
	}
	if pool := b.View().Set().Pool("edge"); pool == nil || len(pool.Servers) != 2 {
		t.Errorf("the pool came out as %+v", pool)
	}
	if again, err := b.Import(t.Context(), admin, data); err != nil || again.Changed {
		t.Errorf("a second import changed something: %v", err)
	}
	if _, _, err := b.Login("admin", "a good password", "192.0.2.9"); err != nil {
		t.Errorf("a password that was exported with secrets is another one: %v", err)
	}
	open, err := a.Export(false)
	if err != nil || strings.Contains(string(open), "argon2id") || strings.Contains(string(open), "PRIVATE KEY") {
		t.Errorf("secrets in an export without: %v", err)
	}
	if _, err := b.Import(t.Context(), admin, open); err != nil {
		t.Errorf("an export without secrets: %v", err)
	}
	if _, _, err := b.Login("admin", "a good password", "192.0.2.8"); err != nil {
		t.Errorf("an import without secrets took the password away: %v", err)
	}
}

// Everybody may change their own password, who knows the old one; sessions of the old one are over.
func TestChangePassword(t *testing.T) {
	c := start(t)
	do(t, c, create("User", `{"name":"eye","password":"eye has a password","access":[{"role_ref":"/api/role?name=viewer","tenant_ref":"/api/tenant?name=admin"}]}`))
	session, cookie, err := c.Login("eye", "eye has a password", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ChangePassword(t.Context(), session.Who, "wrong", "another password"); CodeOf(err) != Unauthorized {
		t.Errorf("with a wrong old password: %v", err)
	}
	if err := c.ChangePassword(t.Context(), session.Who, "eye has a password", "short"); CodeOf(err) != Invalid {
		t.Errorf("a short one: %v", err)
	}
	if err := c.ChangePassword(t.Context(), session.Who, "eye has a password", "another password"); err != nil {
		t.Fatal(err)
	}
	if c.Session(cookie, "192.0.2.1") != nil {
		t.Error("a session of the old password goes on")
	}
	if _, err := c.Basic("eye", "eye has a password", "192.0.2.1"); CodeOf(err) != Unauthorized {
		t.Errorf("the old password is still good: %v", err)
	}
	if _, err := c.Basic("eye", "another password", "192.0.2.1"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// An import finds what is there by uuid when the change is made, not when it was asked for, and lets no two objects of
// different kinds have one.
func TestImportByUUID(t *testing.T) {
	c := start(t)
	pool := farm(t, c, "edge", 5060).Records[1].UUID()
	anywhere := admin
	anywhere.AnyTenant = true
	op := func(kind, name string) Op {
		return Op{Verb: Apply, Kind: kind, UUID: pool, Body: fmt.Appendf(nil, `{"name":%q,"uuid":%q}`, name, pool)}
	}
	if res, err := c.Do(t.Context(), anywhere, op("Pool", "renamed")); err != nil || res.Records[0].UUID() != pool || c.View().Named("Pool", "admin", "edge") != nil {
		t.Errorf("%v", err)
	}
	if _, err := c.Do(t.Context(), anywhere, op("PoolGroup", "other")); CodeOf(err) != NameTaken {
		t.Errorf("a uuid of two: %v", err)
	}
	do(t, c, Op{Verb: Delete, Kind: "VirtualService", UUID: c.View().Named("VirtualService", "admin", "edge").UUID()}, Op{Verb: Delete, Kind: "Pool", UUID: pool})
	if res, err := c.Do(t.Context(), anywhere, op("Pool", "again")); err != nil || res.Records[0].UUID() != pool {
		t.Errorf("one that had gone: %v", err)
	}
}
