package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/store"
)

var admin = Who{User: "test", Role: RoleAdmin, Tenant: catalog.AdminTenant}

// start runs a controller on a store of its own.
func start(t *testing.T) *Controller {
	t.Helper()
	return startOn(t, openStore(t))
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func startOn(t *testing.T, st *store.Store) *Controller {
	t.Helper()
	c, err := Start(t.Context(), Config{Store: st, AdminPassword: "a good password"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func do(t *testing.T, c *Controller, ops ...Op) Result {
	t.Helper()
	res, err := c.Do(t.Context(), admin, ops...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func create(kind, format string, args ...any) Op {
	return Op{Verb: Create, Kind: kind, Body: fmt.Appendf(nil, format, args...)}
}

// farm makes a virtual service with all that it needs.
func farm(t *testing.T, c *Controller, name string, port int) Result {
	t.Helper()
	return do(t, c,
		create("VsVip", `{"name":"%s","vip":[{"vip_id":"1","ip_address":{"addr":"127.0.0.1","type":"V4"}}]}`, name),
		create("Pool", `{"name":"%s","lb_algorithm":"LB_ALGORITHM_CONSISTENT_HASH","lb_algorithm_hash":"LB_ALGORITHM_CONSISTENT_HASH_CALLID",
			"servers":[{"ip":{"addr":"127.0.0.2","type":"V4"},"port":5060},{"ip":{"addr":"127.0.0.3","type":"V4"},"port":5060}]}`, name),
		create("VirtualService", `{"name":"%s","vsvip_ref":"/api/vsvip?name=%s","pool_ref":"%s","services":[{"port":%d}]}`, name, name, name, port))
}

func refused(t *testing.T, c *Controller, code Code, words string, ops ...Op) {
	t.Helper()
	before := c.View().Generation
	_, err := c.Do(t.Context(), admin, ops...)
	if CodeOf(err) != code || err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got code %d, %v; want %d with %q", CodeOf(err), err, code, words)
	}
	if now := c.View().Generation; now != before {
		t.Errorf("a refused change made revision %d of %d", now, before)
	}
}

func TestFirstObjects(t *testing.T) {
	c := start(t)
	v := c.View()
	for kind, name := range map[string]string{"Tenant": "admin", "Cloud": "Default-Cloud", "ServiceEngineGroup": "Default-Group", "VrfContext": "global",
		"ApplicationProfile": "System-HTTP", "NetworkProfile": "System-TCP-Proxy", "HealthMonitor": "System-SIP", "User": "admin"} {
		if v.Named(kind, catalog.AdminTenant, name) == nil {
			t.Errorf("%s/%s is not there", kind, name)
		}
	}
	if err := v.Set().ValidateTogether(); err != nil {
		t.Error(err)
	}
	refused(t, c, Forbidden, "Cannot delete system default object", Op{Verb: Delete, Kind: "HealthMonitor", UUID: v.Named("HealthMonitor", "admin", "System-SIP").UUID()})
}

func TestCreateUpdatePatchDelete(t *testing.T) {
	c := start(t)
	res := farm(t, c, "edge", 5060)
	pool, vs := res.Records[1], res.Records[2]
	if pool.Version != 1 || pool.Revision != res.Revision || vs.Object.Text("pool_ref") != pool.UUID() {
		t.Errorf("pool %+v, virtual service refers to %s", pool, vs.Object.Text("pool_ref"))
	}
	if got := c.View().Set().VirtualService("edge").PoolRef; got != "edge" {
		t.Errorf("the engine's set refers to pool %q", got)
	}
	res = do(t, c, Op{Verb: Patch, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"add":{"servers":[{"ip":{"addr":"127.0.0.4","type":"V4"},"port":5060}]}}`)})
	if n := len(c.View().Set().Pool("edge").Servers); n != 3 || res.Records[0].Version != 2 {
		t.Errorf("%d servers after a patch, version %d", n, res.Records[0].Version)
	}
	do(t, c, Op{Verb: Patch, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"add":{"health_monitor_refs":["System-SIP","/api/healthmonitor?name=System-Ping"]}}`)})
	do(t, c, Op{Verb: Patch, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"delete":{"health_monitor_refs":["/api/healthmonitor?name=System-SIP"]}}`)})
	if refs := c.View().Set().Pool("edge").HealthMonitorRefs; len(refs) != 1 || refs[0] != "System-Ping" {
		t.Errorf("monitors after patches: %v", refs)
	}
	same := do(t, c, Op{Verb: Patch, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"replace":{"enabled":true}}`)})
	if same.Changed || same.Records[0].Version != 4 {
		t.Error("a patch that changes nothing made a version")
	}
	refused(t, c, InUse, "Cannot delete, object is referred by: ['VirtualService edge']", Op{Verb: Delete, Kind: "Pool", UUID: pool.UUID()})
	do(t, c, Op{Verb: Update, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"name":"renamed","servers":[{"ip":{"addr":"127.0.0.2","type":"V4"},"port":5060}]}`)})
	if vs := c.View().Set().VirtualService("edge"); vs.PoolRef != "renamed" || c.View().Set().Pool("renamed") == nil {
		t.Errorf("after a rename the virtual service refers to %q", vs.PoolRef)
	}
	do(t, c, Op{Verb: Delete, Kind: "VirtualService", UUID: vs.UUID()}, Op{Verb: Delete, Kind: "Pool", UUID: pool.UUID()})
	if c.View().Get("Pool", pool.UUID()) != nil || len(c.View().Set().Pools) != 0 {
		t.Error("a pool that was deleted is still there")
	}
}

func TestRefusals(t *testing.T) {
	c := start(t)
	pool := farm(t, c, "edge", 5060).Records[1]
	refused(t, c, Invalid, "not JSON: line 1, column", create("Pool", `{"name":`))
	refused(t, c, Invalid, "body is empty", create("Pool", ``))
	refused(t, c, Invalid, "default_server_port: 70000 is out of range", create("Pool", `{"name":"p","default_server_port":70000}`))
	refused(t, c, Invalid, "default_server_port: expected a number", create("Pool", `{"name":"p","default_server_port":"x"}`))
	refused(t, c, Invalid, "lb_algorithm:", create("Pool", `{"name":"p","lb_algorithm":"LB_ALGORITHM_MAGIC"}`))
	refused(t, c, Invalid, "serverz: unknown field; did you mean servers?", create("Pool", `{"name":"p","serverz":[]}`))
	refused(t, c, Invalid, `health_monitor_refs[0]: no HealthMonitor "nowhere"`, create("Pool", `{"name":"p","health_monitor_refs":["nowhere"]}`))
	refused(t, c, NameTaken, "Pool with this Name, Tenant ref and Cloud ref already exists.", create("Pool", `{"name":"edge"}`))
	refused(t, c, NotFound, "Pool object not found!", Op{Verb: Update, Kind: "Pool", UUID: "pool-x", Body: []byte(`{}`)})
	refused(t, c, Stale, "was changed meanwhile", Op{Verb: Update, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"name":"edge","_last_modified":"12"}`)})
	refused(t, c, Invalid, "is listened on by", create("VirtualService", `{"name":"other","vsvip_ref":"edge","pool_ref":"edge","services":[{"port":5060}]}`))
	refused(t, c, Invalid, "APPLICATION_PROFILE_TYPE_HTTP", create("VirtualService", `{"name":"web","vsvip_ref":"edge","pool_ref":"edge","services":[{"port":80}],"application_profile_ref":"System-HTTP"}`))
	// all or nothing
	refused(t, c, Invalid, "nowhere", create("Pool", `{"name":"good"}`), create("Pool", `{"name":"bad","health_monitor_refs":["nowhere"]}`))
	if c.View().Named("Pool", "admin", "good") != nil {
		t.Error("half of a change was made")
	}
}

func TestAudit(t *testing.T) {
	c := start(t)
	pool := farm(t, c, "edge", 5060).Records[1]
	do(t, c, Op{Verb: Patch, Kind: "Pool", UUID: pool.UUID(), Body: []byte(`{"replace":{"description":"new"}}`)})
	entries, _, err := c.Audit(t.Context(), 0, 10, "")
	if err != nil || len(entries) < 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	last := entries[0]
	if last.User != "test" || len(last.Objects) != 1 || last.Objects[0].Action != "update" || string(last.Objects[0].After["description"]) != `"new"` {
		text, _ := json.Marshal(last)
		t.Errorf("audit says %s", text)
	}
	if first := entries[1]; len(first.Objects) != 3 || first.Objects[0].Action != "create" {
		t.Errorf("the creation says %+v", first)
	}
}

func TestPasswords(t *testing.T) {
	c := start(t)
	s, cookie, err := c.Login("admin", "a good password", "192.0.2.1")
	if err != nil || s.Who.Role != RoleAdmin {
		t.Fatalf("login: %+v, %v", s, err)
	}
	if got := c.Session(cookie, "192.0.2.1"); got == nil || got.CSRF != s.CSRF {
		t.Error("the cookie opens nothing")
	}
	if c.Session(cookie[:len(cookie)-2]+"xx", "192.0.2.1") != nil {
		t.Error("a forged cookie opens a session")
	}
	if err := c.Logout(t.Context(), s); err != nil || c.Session(cookie, "") != nil {
		t.Error("a session that was logged out goes on:", err)
	}
	for range MaxFailedLogins {
		if _, _, err := c.Login("admin", "wrong", "192.0.2.2"); CodeOf(err) != Unauthorized {
			t.Errorf("a wrong password: %v", err)
		}
	}
	if _, _, err := c.Login("admin", "wrong", "192.0.2.2"); CodeOf(err) != TooMany {
		t.Errorf("after %d wrong passwords: %v", MaxFailedLogins, err)
	}
	if _, _, err := c.Login("admin", "a good password", "192.0.2.1"); err != nil {
		t.Errorf("another address is shut out: %v", err)
	}
}

// TestFirstPasswordFits holds that a password which nobody could log in with is refused before the store is made with it.
func TestFirstPasswordFits(t *testing.T) {
	st := openStore(t)
	for _, password := range []string{"short", strings.Repeat("x", maxPassword+1)} {
		if c, err := Start(t.Context(), Config{Store: st, AdminPassword: password}); err == nil || !strings.Contains(err.Error(), "must have 8 to 1024 characters") {
			t.Errorf("%d characters: %v", len(password), err)
			c.Stop()
		}
	}
	if _, found, _, err := st.Get(t.Context(), catalog.Generation); found || err != nil {
		t.Errorf("something was made: %v", err)
	}
}

// TestUnreadableRecord holds that a record which cannot be read, even one that others refer to, is in the way of nothing
// else, and that its object can be made again.
func TestUnreadableRecord(t *testing.T) {
	st := openStore(t)
	pool := farm(t, startOn(t, st), "edge", 5060).Records[1]
	if _, _, err := st.Commit(t.Context(), store.Txn{Put: []store.KV{{Key: pool.Key(), Value: []byte("{{{")}}}); err != nil {
		t.Fatal(err)
	}
	c := startOn(t, st)
	if v := c.View(); len(v.Faults) != 1 || v.Faults[0].Key != pool.Key() || v.Get("Pool", pool.UUID()) != nil {
		t.Errorf("%v", v.Faults)
	}
	do(t, c, create("Pool", `{"name":"other"}`))
	do(t, c, create("Pool", `{"name":"third"}`))
	refused(t, c, Invalid, "no Pool", create("VirtualService", `{"name":"x","vsvip_ref":"edge","pool_ref":"edge","services":[5070]}`))
	do(t, c, create("Pool", `{"name":"edge","uuid":%q,"servers":["127.0.0.2:5060"]}`, pool.UUID()))
	if v := c.View(); len(v.Faults) != 0 || v.Set().ValidateTogether() != nil {
		t.Errorf("%v, %v", v.Faults, v.Set().ValidateTogether())
	}
}
