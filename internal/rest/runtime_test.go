package rest

import (
	"net/http"
	"strings"
	"testing"
)

// TestRuntime holds what monitoring reads: states with reasons, before there is an engine, with one, and after it.
func TestRuntime(t *testing.T) {
	w := newWorld(t)
	pool, vip, vs := w.farm("edge")
	spare := w.must(201, "POST", "/api/pool", `{"name":"spare"}`).text("uuid")
	off := w.must(201, "POST", "/api/virtualservice", map[string]any{"name": "off", "enabled": false, "vsvip_ref": vip, "pool_ref": pool, "services": []any{map[string]any{"port": freePort(t)}}}).text("uuid")
	is := func(path, at, want string) {
		t.Helper()
		if r := w.must(200, "GET", path, nil); !strings.Contains(r.text(at), want) {
			t.Errorf("GET %s: %s is %s, want %s\n%s", path, at, r.text(at), want, r.body)
		}
	}
	is("/api/virtualservice/"+vs+"/runtime/", "0.oper_status.state", "OPER_UNAVAIL")
	is("/api/virtualservice/"+vs+"/runtime/detail", "0.oper_status.reason", "no engine is registered")
	is("/api/pool/"+pool+"/runtime", "oper_status.state", "OPER_UNAVAIL")
	is("/api/pool/"+pool+"/runtime/server", "1.server_name", "127.0.0.3:5070")
	is("/api/pool/"+spare+"/runtime", "oper_status.state", "OPER_UNUSED")
	is("/api/virtualservice/"+off+"/runtime", "0.oper_status.state", "OPER_DISABLED")

	a := w.startEngine("se-1")
	is("/api/live?wait=10s", "live", "true")
	is("/api/virtualservice/"+vs+"/runtime", "0.oper_status.state", "OPER_UP")
	is("/api/virtualservice/"+vs+"/runtime", "0.vip_summary.0.service_engine.0.name", "se-1")
	is("/api/virtualservice/"+vs+"/runtime", "0.vip_summary.0.num_se_assigned", "1")
	is("/api/virtualservice/"+vs+"/runtime/detail/", "0.se_name", "se-1")
	is("/api/virtualservice/"+vs+"/runtime/internal/", "0.pool", "edge")
	is("/api/virtualservice/"+vs+"/udpstat", "0.rx_pkts", "0")
	is("/api/virtualservice/"+vs+"/connections", "0.open_transactions", "0")
	is("/api/virtualservice/"+vs+"/clientsummary", "0.requests", "0")
	is("/api/virtualservice/"+vs+"/placement", "0.percent_ses_up", "100")
	is("/api/virtualservice/"+vs+"?join_subresources=runtime", "runtime.oper_status.state", "OPER_UP")
	is("/api/pool?name=edge&join_subresources=runtime", "results.0.runtime.num_servers", "2")
	is("/api/pool/"+pool+"/runtime", "num_servers_up", "2")
	is("/api/pool/"+pool+"/runtime", "percent_servers_up_total", "100")
	is("/api/pool/"+pool+"/runtime/detail", "0.revision", "")
	is("/api/pool/"+pool+"/runtime/server/detail?server=127.0.0.2:5060", "0.hostname", "one")
	is("/api/pool/"+pool+"/runtime/server/hmonstat", "0.server_name", "127.0.0.")
	is("/api/pool/"+pool+"/algo", "0.lb_algorithm", "LB_ALGORITHM_CONSISTENT_HASH")
	is("/api/pool/"+pool+"/vs", "0.name", "edge")
	for _, what := range []string{"hmon", "persistence", "connpool"} {
		is("/api/pool/"+pool+"/"+what, "", "")
	}
	is("/api/pool/"+spare+"/runtime", "oper_status.state", "OPER_UNUSED")
	is("/api/virtualservice/"+off+"/runtime", "0.oper_status.state", "OPER_DISABLED")
	is("/api/virtualservice-inventory?name=edge&metric_id=l4_client.avg_rx_pkts&step=5", "results.0.health_score.health_score", "100")
	is("/api/virtualservice-inventory/"+vs+"?metric_id=l4_client.avg_rx_pkts,l4_server.avg_open_conns", "metrics.1.header.name", "l4_server.avg_open_conns")
	is("/api/virtualservice-inventory/"+vs, "pools.0", "/api/pool/"+pool+"#edge")
	is("/api/virtualservice-inventory/"+vs, "app_profile_type", "APPLICATION_PROFILE_TYPE_SIP")
	is("/api/virtualservice-inventory/"+vs+"?include=config", "runtime", "<nil>")
	is("/api/pool-inventory/?sort=-name", "count", "2")
	is("/api/pool-inventory/"+pool, "alert.high", "0")
	is("/api/pool-inventory/"+pool+"/server/127.0.0.3:5070", "runtime.oper_status.state", "OPER_UP")
	is("/api/pool-inventory/"+pool+"/server", "count", "2")
	is("/api/vsvip-inventory/"+vip, "runtime.oper_status.state", "OPER_UP")
	is("/api/poolgroup-inventory", "count", "0")
	is("/api/serviceengine-inventory", "results.0.runtime.oper_status.state", "OPER_UP")
	uuid := a.Registration().UUID
	is("/api/serviceengine/"+uuid+"/runtime", "se_connected", "true")
	is("/api/serviceengine-inventory/"+uuid, "config.name", "se-1")
	is("/api/analytics/healthscore/virtualservice/"+vs+"/", "health_score.performance_score.value", "100")
	is("/api/analytics/healthscore/pool/"+spare, "health_score", "<nil>")

	a.Stop()
	// The registration goes with the engine; until it does, or in the second in which reports are kept, either answer is right.
	for range 100 {
		if len(w.ctl.Engines()) == 0 {
			break
		}
		w.ctl.WaitLive(t.Context(), 1<<40, 100e6, nil)
	}
	is("/api/virtualservice/"+vs+"/runtime", "0.oper_status.state", "OPER_UNAVAIL")
}

// TestPortTaken holds that a virtual service that an engine cannot open says so.
func TestPortTaken(t *testing.T) {
	w := newWorld(t)
	w.startEngine("se-1")
	_, vip, _ := w.farm("edge")
	vs := w.admin("POST", "/api/virtualservice?wait=10s", map[string]any{"name": "low", "vsvip_ref": vip, "pool_ref": "edge", "services": []any{map[string]any{"port": freePort(t)}}})
	if vs.status != 201 {
		t.Fatalf("%d %s", vs.status, vs.body)
	}
	w.must(200, "PATCH", "/api/vsvip/"+vip+"?wait=10s", `{"replace":{"vip":[{"vip_id":"1","ip_address":{"addr":"192.0.2.99","type":"V4"}}]}}`)
	r := w.must(200, "GET", "/api/virtualservice/"+vs.text("uuid")+"/runtime", nil)
	if !strings.Contains(r.text("0.oper_status.reason"), "192.0.2.99") {
		t.Errorf("an address that this machine has not: %s", r.body)
	}
}

// TestActions holds that actions without anything behind them say so.
func TestActions(t *testing.T) {
	w := newWorld(t)
	pool, _, vs := w.farm("edge")
	w.must(201, "POST", "/api/user", `{"name":"eve","password":"watching only","access":[{"role_ref":"/api/role?name=viewer","tenant_ref":"admin"}]}`)
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/api/virtualservice/" + vs + "/scaleout", 400}, {"/api/virtualservice/" + vs + "/migrate/", 400}, {"/api/virtualservice/" + vs + "/resync", 200},
		{"/api/virtualservice/" + vs + "/retryplacement", 200}, {"/api/virtualservice/nowhere/resync", 404}, {"/api/pool/" + pool + "/scalein", 400},
		{"/api/pool/" + pool + "/runtime/stats/clear", 400}, {"/api/pool/" + pool + "/clear", 400},
	} {
		if r := w.admin("POST", c.path, `{}`); r.status != c.status || len(r.body) == 0 {
			t.Errorf("POST %s: %d %s, want %d", c.path, r.status, r.body, c.status)
		}
		if r := w.send("POST", c.path, `{}`, basic("eve", "watching only")); r.status != http.StatusForbidden && r.status != 404 {
			t.Errorf("POST %s as a viewer: %d %s", c.path, r.status, r.body)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	pool, _, vs := w.farm("edge")
	w.startEngine("se-1")
	for _, c := range []struct {
		path   string
		status int
		words  string
	}{
		{"/virtualservice/" + vs + "/?metric_id=l4_client.avg_rx_pkts,sip_client.avg_requests&step=5&limit=12", 200, `"name":"sip_client.avg_requests"`},
		{"/virtualservice/" + vs + "?metric_id=l4_client.avg_bandwidth&step=300", 200, `"units":"BITS_PER_SECOND"`},
		{"/virtualservice/" + vs + "?metric_id=l4_server.avg_open_conns&pool_uuid=" + pool, 200, `"entity_uuid":"` + pool},
		{"/virtualservice/*?metric_id=l4_client.avg_rx_pkts", 200, `"entity_uuid":"` + vs},
		{"/pool/" + pool + "?metric_id=l4_server.avg_health_status&obj_id=127.0.0.2:5060&step=5&pad_missing_data=true&start=2026-01-01T00:00:00Z&stop=2026-01-02T00:00:00+00:00", 200, `"obj_id":"127.0.0.2:5060"`},
		{"/virtualservice/" + vs + "?metric_id=l4_client.avg_rx_pktz", 400, "did you mean l4_client.avg_rx_pkts?"},
		{"/virtualservice/" + vs + "?metric_id=disk.free", 400, "the groups are"},
		{"/virtualservice/" + vs, 400, "metric_id: missing"},
		{"/virtualservice/" + vs + "?metric_id=l4_client.avg_rx_pkts&step=7", 400, "step: 7 must be 5"},
		{"/virtualservice/" + vs + "?metric_id=l4_client.avg_rx_pkts&limit=-1", 400, "limit"},
		{"/virtualservice/" + vs + "?metric_id=l4_client.avg_rx_pkts&start=yesterday", 400, "yesterday"},
		{"/virtualservice/nowhere?metric_id=l4_client.avg_rx_pkts", 404, "not found"},
		{"/pool/" + pool + "?metric_id=l4_client.avg_rx_pkts", 400, "is of a virtualservice"},
		{"/pool/" + pool + "?metric_id=sip_server.servers_up&obj_id=*", 400, "not of its servers"},
		{"/pool/" + pool + "?metric_id=l4_server.avg_open_conns&obj_id=x", 400, "obj_id"},
		{"/controller/x?metric_id=l4_client.avg_rx_pkts", 404, "metrics of virtualservice and pool only"},
	} {
		if r := w.admin("GET", "/api/analytics/metrics"+c.path, nil); r.status != c.status || r.at("errors") != nil || !strings.Contains(string(r.body), c.words) {
			t.Errorf("GET %s: %d %s, want %d with %s", c.path, r.status, r.body, c.status, c.words)
		}
	}
	r := w.must(200, "POST", "/api/analytics/metrics/collection", `{"metric_requests":[{"id":"a","entity_uuid":"*","metric_id":"l4_client.avg_rx_pkts","step":5,"limit":1},
		{"id":"b","entity_uuid":"`+pool+`","metric_id":"l4_server.avg_uptime"}]}`)
	if r.text("series.a."+vs+".0.header.name") != "l4_client.avg_rx_pkts" || r.text("series.b."+pool+".0.header.units") != "PERCENT" {
		t.Errorf("%s", r.body)
	}
	if r := w.admin("POST", "/api/analytics/metrics/collection", `{"metric_requests":[{"entity_uuid":"*","metric_id":"x"}]}`); r.status != 400 || !strings.Contains(r.text("error"), "metric_requests[0]") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
