package controller

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// TestViewIsWhatTheStoreHolds changes objects of all kinds that are seen as they were planned, and of some that are read from what
// was stored. A view that is read anew says the same of each.
func TestViewIsWhatTheStoreHolds(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	change := func(ops ...Op) {
		t.Helper()
		do(t, c, ops...)
		fresh, err := catalog.Load(ctx, c.st)
		if err != nil {
			t.Fatal(err)
		}
		v := c.View()
		if v.Len() != fresh.Len() || v.Revision != fresh.Revision || v.Generation != fresh.Generation || v.Changes != fresh.Changes || v.Modified != fresh.Modified {
			t.Fatalf("%+v, read anew %+v", v, fresh)
		}
		o := object.JSONOptions{Secrets: true}
		fresh.All(func(r *catalog.Record) bool {
			mine := v.Get(r.Kind(), r.UUID())
			if mine == nil || !bytes.Equal(mine.Object.JSON(o), r.Object.JSON(o)) || fmt.Sprint(mine.Tenant, mine.Version, mine.Modified, mine.Revision, mine.Refs()) != fmt.Sprint(r.Tenant, r.Version, r.Modified, r.Revision, r.Refs()) {
				t.Errorf("%s: it is seen as %+v, and stored as %+v", r.Key(), mine, r)
			}
			return true
		})
		if got, want := string(v.Set().JSON(object.Full)), string(fresh.Set().JSON(object.Full)); got != want {
			t.Errorf("it is run as\n%s\nand stored as\n%s", got, want)
		}
	}
	change(create("HealthMonitor", `{"name": "m", "type": "HEALTH_MONITOR_SIP", "sip_monitor": {"sip_response": "SIP/2.0 200"}}`))
	change(create("Pool", `{"name": "p", "description": "a \"quoted\" \u00e4\u2028 <text> \\ here", "servers": ["10.0.0.1:5060", {"ip": {"addr": "2001:db8::1", "type": "V6"}, "hostname": "b"}], "health_monitor_refs": ["m"], "markers": [{"key": "k", "values": ["v"]}], "autoscale_policy_ref": "x"}`))
	change(create("VsVip", `{"name": "v", "vip": ["192.0.2.1"]}`), create("PoolGroup", `{"name": "g", "members": [{"pool_ref": "p"}]}`))
	change(create("VirtualService", `{"name": "s", "services": [5060], "vsvip_ref": "v", "pool_ref": "p", "application_profile_ref": "System-SIP"}`))
	uuid := c.View().Named("Pool", catalog.AdminTenant, "p").UUID()
	change(Op{Verb: Patch, Kind: "Pool", UUID: uuid, Body: []byte(`{"add": {"servers": ["10.0.0.2:5060"]}, "replace": {"markers": []}}`)})
	change(Op{Verb: Patch, Kind: "Pool", UUID: uuid, Body: []byte(`{"delete": {"servers": ["10.0.0.1:5060", "10.0.0.2:5060", "[2001:db8::1]:80"]}}`)})
	change(create("User", `{"name": "u", "password": "a long password of u", "access": [{"role_ref": "admin", "all_tenants": true}]}`))
	change(Op{Verb: Delete, Kind: "PoolGroup", UUID: c.View().Named("PoolGroup", catalog.AdminTenant, "g").UUID()})
	for _, k := range object.Kinds() { // those that are seen as planned, each with what it must have
		if object.Plain(k.Name) && c.View().Named(k.Name, catalog.AdminTenant, "plain") == nil && k.Name != "VirtualService" && k.Name != "ServiceEngine" {
			more := map[string]string{"HealthMonitor": `, "type": "ping"`, "ApplicationProfile": `, "type": "sip"`, "PoolGroup": `, "members": [{"pool_ref": "p"}]`, "NetworkProfile": `, "profile": {"type": "udp-proxy"}`}
			change(create(k.Name, `{"name": "plain"%s}`, more[k.Name]))
		}
	}
}
