package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// A thousand edits by the API while calls run: none fails, and none moves from one server to another. The edits are
// what an operator does: servers added, disabled and removed, ratios, ports, profiles, names.
func TestEditsUnderCalls(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	l := load{calls: 8000, rate: 500, hold: 400 * time.Millisecond}
	edits := 1000
	if testing.Short() {
		l.calls, edits = 2500, 200
	}
	f := &farm{t: t, addrs: lab.Addrs(t, "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"), wire: lab.StartCapture(t), scenario: "server"}
	f.names = f.wire.Names
	objects := lab.Objects{Listen: lab.Addrs(t, "127.0.0.1"), RecordRoute: true, HealthIntervalS: 2}
	for i := range f.addrs {
		f.servers = append(f.servers, f.startServer(i))
		objects.Servers = append(objects.Servers, lab.PoolServer{Addr: f.addrs[i]})
	}
	file := filepath.Join(t.TempDir(), "lb.yaml")
	objects.Write(t, file)
	f.balancer = lab.StartBalancer(t, lab.Setup{Listen: objects.Listen, File: file, API: true})
	f.balancer.AwaitServers(len(f.addrs))
	f.names[f.balancer.Addr] = "balancer"

	e := newEditor(t, f)
	caller := f.start(l, f.balancer.Addr)
	f.awaitCall(50)
	for n := range edits {
		if n%50 == 0 { // over most of the calls
			f.awaitCall(50 + n*(l.calls-500)/edits)
		}
		e.edit(n)
	}
	e.settle()
	courses := f.finish(caller, l)
	f.expectWhole(courses, l.calls)
	t.Logf("%d edits in %v, the last one revision %v", edits, e.took.Round(time.Millisecond), e.revision)
	if entries := f.balancer.API.Do("GET", "/api/audit?page_size=1", nil); entries["count"].(float64) < float64(edits) {
		t.Errorf("the audit knows %v changes, fewer than %d", entries["count"], edits)
	}
}

// editor changes what runs.
type editor struct {
	t        *testing.T
	api      *lab.API
	f        *farm
	random   *rand.Rand
	pool     string // uuids
	service  string
	profile  string
	spare    []netip.AddrPort // for a second port of the service
	took     time.Duration
	revision any
}

func newEditor(t *testing.T, f *farm) *editor {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	api := f.balancer.API
	service := api.Do("GET", "/api/virtualservice", nil)["results"].([]any)[0].(map[string]any)
	pool := api.Do("GET", "/api/pool", nil)["results"].([]any)[0].(map[string]any)
	profiles := api.Do("GET", "/api/applicationprofile?created_by=carillon%20run", nil)["results"].([]any)
	return &editor{t: t, api: api, f: f, random: rand.New(rand.NewPCG(seed, 1)), pool: pool["uuid"].(string), service: service["uuid"].(string),
		profile: profiles[0].(map[string]any)["uuid"].(string), spare: lab.Addrs(t, "127.0.0.1", "127.0.0.1")}
}

// edit makes the n-th change, and waits now and then until it runs.
func (e *editor) edit(n int) {
	e.t.Helper()
	begin := time.Now()
	wait := ""
	if n%10 == 0 {
		wait = "?wait=20s"
	}
	server := func(i int, more map[string]any) map[string]any {
		a := e.f.addrs[i]
		s := map[string]any{"ip": map[string]any{"addr": a.Addr().String(), "type": "V4"}, "port": a.Port()}
		for k, v := range more {
			s[k] = v
		}
		return s
	}
	patch := func(kind, uuid string, body map[string]any) {
		said := e.api.Do("PATCH", "/api/"+kind+"/"+uuid+wait, body)
		if live, ok := said["_live"].(map[string]any); ok && live["live"] != true {
			e.t.Fatalf("edit %d is not live: %v", n, live)
		}
	}
	switch n % 8 {
	case 0: // another ratio
		patch("pool", e.pool, map[string]any{"replace": map[string]any{"servers": e.all(server)}})
	case 1: // a server less; its calls go on
		patch("pool", e.pool, map[string]any{"delete": map[string]any{"servers": []any{server(3, nil)}}})
	case 2: // and back
		patch("pool", e.pool, map[string]any{"add": map[string]any{"servers": []any{server(3, nil)}}})
	case 3:
		patch("applicationprofile", e.profile, map[string]any{"replace": map[string]any{"sip_service_profile": map[string]any{"record_route": true, "transaction_timeout": 32 + n%100}}})
	case 4: // a port more, then another one: the second port moves
		port := e.spare[n/8%2].Port()
		patch("virtualservice", e.service, map[string]any{"replace": map[string]any{"services": []any{map[string]any{"port": e.f.balancer.Addr.Port()}, map[string]any{"port": port}}}})
	case 5: // a server drains
		patch("pool", e.pool, map[string]any{"replace": map[string]any{"servers": []any{server(0, nil), server(1, nil), server(2, map[string]any{"enabled": false}), server(3, nil)}}})
	case 6:
		patch("pool", e.pool, map[string]any{"replace": map[string]any{"description": fmt.Sprint("edit ", n), "graceful_disable_timeout": 1 + n%60}})
	case 7: // another name: references are by uuid
		patch("pool", e.pool, map[string]any{"replace": map[string]any{"name": fmt.Sprint("pool-", n%3)}})
	}
	e.took += time.Since(begin)
}

// all are the servers, each with a ratio by chance.
func (e *editor) all(server func(int, map[string]any) map[string]any) []any {
	var out []any
	for i := range e.f.addrs {
		out = append(out, server(i, map[string]any{"ratio": 1 + e.random.IntN(4)}))
	}
	return out
}

// settle waits until the last edit runs.
func (e *editor) settle() {
	e.t.Helper()
	said := e.api.Do("PATCH", "/api/pool/"+e.pool+"?wait=20s", map[string]any{"replace": map[string]any{"description": "the end"}})
	live := said["_live"].(map[string]any)
	if live["live"] != true {
		e.t.Fatalf("the end is not live: %v", live)
	}
	e.revision = live["revision"]
}
