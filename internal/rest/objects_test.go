package rest

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// TestLists holds what lists take: filters, pages, forms.
func TestLists(t *testing.T) {
	w := newWorld(t)
	pool, vip, vs := w.farm("edge")
	w.farm("core & <more>")
	for i := range 30 {
		w.must(201, "POST", "/api/pool", fmt.Sprintf(`{"name":"p%02d","description":"number %d","markers":[{"key":"site","values":["s%d"]}]}`, i, i, i%2))
	}
	for _, c := range []struct {
		path   string
		status int
		at     string
		want   string
	}{
		{"/api/pool", 200, "count", "32"},
		{"//api//pool/", 200, "count", "32"},
		{"/api/pool/?name=edge&", 200, "results.0.uuid", pool},
		{"/api/pool?name=nowhere", 200, "count", "0"},
		{"/api/pool?name.contains=dg", 200, "count", "1"},
		{"/api/pool?name.icontains=EDG", 200, "count", "1"},
		{"/api/pool?name.contains=EDG", 200, "count", "0"},
		{"/api/pool?name.in=p01,p02,edge", 200, "count", "3"},
		{"/api/pool?name.startswith=p0", 200, "count", "10"},
		{"/api/pool?name.in=p01,p02&exclude=name.in", 200, "count", "30"},
		{"/api/pool?uuid.in=" + pool + ",x", 200, "count", "1"},
		{"/api/pool?uuid=" + pool, 200, "results.0.name", "edge"},
		{"/api/pool?description=number+7", 200, "results.0.name", "p07"},
		{"/api/pool?enabled=true", 200, "count", "32"},
		{"/api/pool?servers.hostname=one", 200, "count", "2"},
		{"/api/pool?search=number+1", 200, "count", "11"},
		{"/api/pool?isearch=NUMBER+1", 200, "count", "11"},
		{"/api/pool?search=(name,p1)|(name,p2)", 200, "count", "20"},
		{"/api/pool?label_key=site&label_value=s1", 200, "count", "15"},
		{"/api/pool?label_key=town", 200, "count", "0"},
		{"/api/pool?cloud_ref.name=Default-Cloud", 200, "count", "32"},
		{"/api/pool?referred_by=virtualservice:" + vs, 200, "results.0.name", "edge"},
		{"/api/virtualservice?refers_to=pool:" + pool, 200, "count", "1"},
		{"/api/virtualservice?refers_to=vsvip:" + vip, 200, "results.0.uuid", vs},
		{"/api/virtualservice?refers_to=" + pool, 400, "error", "expected type:uuid"},
		{"/api/virtualservice?pool_ref=/api/pool/" + pool, 200, "count", "1"},
		{"/api/virtualservice?pool_ref.name=edge", 200, "count", "1"},
		{"/api/virtualservice?pool_ref.uuid=" + pool, 200, "count", "1"},
		{"/api/pool?nonsense=1", 400, "error", "nonsense: Pool has no such field"},
		{"/api/pool?page_size=10", 200, "next", "page=2"},
		{"/api/pool?page_size=10&page=4", 200, "next", "<nil>"},
		{"/api/pool?page_size=10&page=4", 200, "results.1.name", "p29"},
		{"/api/pool?page_size=10&page=5", 404, "error", "page 5"},
		{"/api/pool?page_size=10000", 400, "error", "page_size"},
		{"/api/pool?page_size=0", 400, "error", "page_size"},
		{"/api/pool?page=-1", 400, "error", "page"},
		{"/api/pool?sort=-name", 200, "results.0.name", "p29"},
		{"/api/pool?sort=name", 200, "results.0.name", "core & <more>"},
		{"/api/pool?limit_by=3", 200, "count", "3"},
		{"/api/pool?name=edge&fields=enabled", 200, "results.0.lb_algorithm", "<nil>"},
		{"/api/pool?name=edge&fields=enabled", 200, "results.0.enabled", "true"},
		{"/api/pool?name=edge&fields=enabled", 200, "results.0.url", "https://"},
		{"/api/pool?name=edge&skip_default=true", 200, "results.0.enabled", "<nil>"},
		{"/api/pool?name=edge", 200, "results.0.graceful_disable_timeout", "1"},
		{"/api/pool?name=edge", 200, "results.0.cloud_ref", "https://"},
		{"/api/pool?name=edge", 200, "results.0.tenant_ref", "/api/tenant/admin"},
		{"/api/virtualservice?name=edge", 200, "results.0.vrf_context_ref", "/api/vrfcontext/"},
		{"/api/virtualservice?name=edge", 200, "results.0.se_group_ref", "/api/serviceenginegroup/"},
		{"/api/virtualservice?name=edge", 200, "results.0.analytics_profile_ref", "/api/analyticsprofile/"},
		{"/api/virtualservice?name=edge&include_name", 200, "results.0.pool_ref", "/api/pool/" + pool + "#edge"},
		{"/api/virtualservice?name=edge&include_name=&include_refs=", 200, "results.0.cloud_ref", "#Default-Cloud"},
		{"/api/pool/" + pool + "?name=ignored", 200, "name", "edge"},
		{"/api/pools", 404, "error", "/api/pools is not there"},
		{"/api/virtual-service", 404, "error", "did you mean /api/virtualservice?"},
		{"/api/pool/pool-x", 404, "error", "Pool object not found!"},
		{"/api/vsvip/" + pool, 404, "error", "VsVip object not found!"},
		{"/api/a/b/c", 404, "error", "/api/openapi.json"},
		{"/", 404, "error", "is not there"},
		{"/api/cluster", 200, "name", "carillon"},
		{"/api/cluster/status", 200, "state", "CLUSTER_UP_NO_HA"},
		{"/api/cluster/runtime", 200, "node_states.0.role", "CLUSTER_LEADER"},
		{"/api/initial-data", 200, "version.Version", AviVersion},
		{"/api/whoami", 200, "user", "admin"},
	} {
		r := w.admin("GET", c.path, nil)
		if r.status != c.status || !strings.Contains(r.text(c.at), c.want) {
			t.Errorf("GET %s: %d, %s is %s, want %d and %s", c.path, r.status, c.at, r.text(c.at), c.status, c.want)
		}
	}
	if r := w.admin("GET", "/api/pool?name.contains=core", nil); !strings.Contains(string(r.body), `"core & <more>"`) {
		t.Errorf("escaped: %s", r.body)
	}
	seen := map[string]bool{}
	for path := "/api/pool?page_size=7"; path != ""; {
		r := w.must(200, "GET", path, nil)
		for _, item := range r.at("results").([]any) {
			seen[item.(map[string]any)["name"].(string)] = true
		}
		next, _ := r.at("next").(string)
		path = strings.TrimPrefix(next, w.api.URL())
	}
	if len(seen) != 32 {
		t.Errorf("page by page there are %d", len(seen))
	}
}

// TestReferences holds every spelling of a reference, and the one in which they come back.
func TestReferences(t *testing.T) {
	w := newWorld(t)
	_, vip, vs := w.farm("edge")
	other := w.must(201, "POST", "/api/pool", `{"name":"two words"}`).text("uuid")
	for _, ref := range []string{other, "two words", "/api/pool/" + other, "/api/pool/" + other + "/", "https://somewhere:1/api/pool/" + other + "#whatever",
		"http://127.0.0.1/api/pool/" + other, "/api/pool?name=two%20words", "/api/pool/?name=two words", "/api/pool/?name=two+words#two words", "https://h/api/pool?name=two words&cloud=x"} {
		w.must(200, "PATCH", "/api/virtualservice/"+vs, `{"replace":{"pool_ref":"edge"}}`)
		r := w.admin("PATCH", "/api/virtualservice/"+vs, map[string]any{"replace": map[string]string{"pool_ref": ref}})
		if want := "https://" + strings.TrimPrefix(w.api.URL(), "https://") + "/api/pool/" + other; r.status != 200 || r.text("pool_ref") != want {
			t.Errorf("%s: %d %s, want %s", ref, r.status, r.text("pool_ref")+r.text("error"), want)
		}
	}
	for _, ref := range []string{"nowhere", "/api/pool/pool-x", "/api/vsvip/" + vip, "/api/pool?name=nowhere", vip} {
		if r := w.admin("PATCH", "/api/virtualservice/"+vs, map[string]any{"replace": map[string]string{"pool_ref": ref}}); r.status != 400 || !strings.Contains(r.text("error"), "pool_ref") {
			t.Errorf("%s: %d %s", ref, r.status, r.body)
		}
	}
}

// TestWrites holds codes and words of what changes objects.
func TestWrites(t *testing.T) {
	w := newWorld(t)
	pool, _, vs := w.farm("edge")
	path := "/api/pool/" + pool
	stale := w.must(200, "GET", path, nil).text("_last_modified")
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		words                    string
	}{
		{"create", "POST", "/api/pool", `{"name":"new"}`, 201, `"version":1`},
		{"create with a slash", "POST", "//api/pool/", `{"name":"newer"}`, 201, `"uuid":"pool-`},
		{"name taken", "POST", "/api/pool", `{"name":"new"}`, 409, "with this Name, Tenant ref and Cloud ref already exists."},
		{"no name", "POST", "/api/pool", `{}`, 400, "name"},
		{"empty", "POST", "/api/pool", ``, 400, "body is empty"},
		{"broken", "POST", "/api/pool", `{"name":`, 400, "line 1"},
		{"a list", "POST", "/api/pool", `[]`, 400, ""},
		{"two objects", "POST", "/api/pool", `{"name":"a"}{"name":"b"}`, 400, ""},
		{"unknown member", "POST", "/api/pool", `{"name":"a","serverz":[]}`, 400, "did you mean servers?"},
		{"wrong type", "POST", "/api/pool", `{"name":"a","enabled":"yes"}`, 400, "enabled"},
		{"number for a text", "POST", "/api/pool", `{"name":1}`, 400, "Pool/1: name: expected text, got 1 without quotes"},
		{"truth for a text", "POST", "/api/pool", `{"name":"a","description":true}`, 400, "Pool/a: description: expected text, got true without quotes"},
		{"number for a reference", "POST", "/api/pool", `{"name":"a","health_monitor_refs":[7]}`, 400, "health_monitor_refs[0]: expected the name of a HealthMonitor, got 7 without quotes"},
		{"texts of a template", "POST", "/api/pool", `{"name":"templated","default_server_port":"5060","enabled":"False"}`, 201, `"enabled":false`},
		{"a text that is no number", "POST", "/api/pool", `{"name":"a","default_server_port":"sip"}`, 400, "default_server_port: expected a number"},
		{"a text out of range", "POST", "/api/pool", `{"name":"a","default_server_port":"70000"}`, 400, "70000 is out of range"},
		{"patch with a number for a text", "PATCH", path, `{"replace":{"description":5}}`, 400, "description: expected text"},
		{"out of range", "POST", "/api/pool", `{"name":"a","default_server_port":70000}`, 400, "default_server_port: 70000 is out of range"},
		{"unknown word", "POST", "/api/pool", `{"name":"a","lb_algorithm":"LB_ALGORITHM_MAGIC"}`, 400, "lb_algorithm"},
		{"dangling", "POST", "/api/pool", `{"name":"a","health_monitor_refs":["nowhere"]}`, 400, `no HealthMonitor \"nowhere\"`},
		{"unknown kind", "POST", "/api/gadget", `{"name":"a"}`, 404, "is not there"},
		{"several faults", "POST", "/api/pool", `{"name":"a","default_server_port":0,"min_servers_up":-1}`, 400, "min_servers_up"},
		{"put", "PUT", path, `{"name":"edge","description":"put","servers":[{"ip":{"addr":"127.0.0.2","type":"V4"}}]}`, 200, `"description":"put"`},
		{"put another uuid", "PUT", path, `{"name":"edge","uuid":"pool-x"}`, 400, "cannot be changed"},
		{"put stale", "PUT", path, `{"name":"edge","_last_modified":"` + stale + `"}`, 412, "changed meanwhile"},
		{"put no number", "PUT", path, `{"name":"edge","_last_modified":"x"}`, 412, ""},
		{"put a name that is taken", "PUT", path, `{"name":"new"}`, 409, "already exists"},
		{"put nowhere", "PUT", "/api/pool/pool-x", `{"name":"x"}`, 404, "Pool object not found!"},
		{"patch add", "PATCH", path, `{"add":{"servers":[{"ip":{"addr":"127.0.0.9","type":"V4"},"port":5060}]}}`, 200, "127.0.0.9"},
		{"patch add again", "PATCH", path, `{"add":{"servers":[{"ip":{"addr":"127.0.0.9","type":"V4"},"port":5060,"ratio":3}]}}`, 200, `"ratio":3`},
		{"patch delete", "PATCH", path, `{"delete":{"servers":[{"ip":{"addr":"127.0.0.9","type":"V4"},"port":5060}]}}`, 200, "127.0.0.2"},
		{"patch replace", "PATCH", path, `{"replace":{"enabled":false},"delete":{"description":""}}`, 200, `"enabled":false`},
		{"json patch", "PATCH", path, `{"json_patch":[{"op":"replace","path":"/enabled","value":true}]}`, 200, `"enabled":true`},
		{"json patch nowhere", "PATCH", path, `{"json_patch":[{"op":"remove","path":"/nothing/here"}]}`, 400, "nothing"},
		{"patch unknown", "PATCH", path, `{"change":{}}`, 400, "change"},
		{"patch nothing", "PATCH", path, `{}`, 200, ""},
		{"patch wrong", "PATCH", path, `{"replace":{"default_server_port":0}}`, 400, "default_server_port"},
		{"in use", "DELETE", path, ``, 400, "Cannot delete, object is referred by: ['VirtualService edge']"},
		{"system", "DELETE", "/api/healthmonitor/" + w.must(200, "GET", "/api/healthmonitor?name=System-SIP", nil).text("results.0.uuid"), ``, 403, "Cannot delete system default object"},
		{"delete nowhere", "DELETE", "/api/pool/pool-x", ``, 404, "not found"},
		{"delete", "DELETE", "/api/virtualservice/" + vs, ``, 204, ""},
		{"delete again", "DELETE", "/api/virtualservice/" + vs, ``, 404, "VirtualService object not found!"},
		{"delete what is free now", "DELETE", path + "/", ``, 204, ""},
		{"wrong method", "PUT", "/api/pool", `{}`, 405, "PUT /api/pool is not there"},
		{"wrong method of cluster", "POST", "/api/cluster", `{}`, 404, ""},
		{"preview of nonsense", "POST", "/api/preview", `{"action":"paint","type":"pool"}`, 400, "action"},
		{"preview of nothing", "POST", "/api/preview", ``, 400, "expected"},
		{"wait for nonsense", "POST", "/api/pool?wait=soon", `{"name":"w"}`, 400, "wait"},
	} {
		r := w.admin(c.method, c.path, c.body)
		if r.status != c.status || !strings.Contains(string(r.body), c.words) || r.status == 204 && len(r.body) > 0 {
			t.Errorf("%s: %d %s, want %d with %q", c.name, r.status, r.body, c.status, c.words)
		}
		if r.status >= 400 && r.text("error") == "<nil>" {
			t.Errorf("%s: no error in %s", c.name, r.body)
		}
	}
	if r := w.must(200, "GET", "/api/pool?name=w", nil); r.text("count") != "0" {
		t.Error("a request that was refused for its wait= made a pool")
	}
}

func TestMacro(t *testing.T) {
	w := newWorld(t)
	whole := func(ratio int) string {
		return fmt.Sprintf(`{"model_name":"VirtualService","data":{"name":"m","services":[{"port":%d}],
			"vsvip_ref_data":{"name":"m","vip":[{"vip_id":"1","ip_address":{"addr":"127.0.0.1","type":"V4"}}]},
			"pool_ref_data":{"name":"m","servers":[{"ip":{"addr":"127.0.0.2","type":"V4"},"port":5060,"ratio":%d}],
				"health_monitor_refs_data":[{"name":"m","type":"HEALTH_MONITOR_SIP","sip_monitor":{}}]}}}`, 31999, ratio)
	}
	created := w.must(201, "POST", "/api/macro", whole(1))
	if r := w.admin("POST", "/api/macro", whole(1)); r.status != 409 {
		t.Errorf("again: %d %s", r.status, r.body)
	}
	w.must(200, "PUT", "/api/macro", whole(2))
	if r := w.must(200, "GET", "/api/pool?name=m", nil); r.text("results.0.servers.0.ratio") != "2" {
		t.Errorf("after an update: %s", r.body)
	}
	for _, c := range []struct {
		body   string
		status int
		words  string
	}{
		{strings.Replace(whole(99), `"name":"m"`, `"name":"n"`, 4), 400, "ratio"}, {`{"model_name":"Gadget","data":{}}`, 400, "Gadget"}, {`{`, 400, "expected"},
		{`{"model_name":"Pool","data":[]}`, 400, "object"}, {`{"model_name":"VirtualService","data":{"name":"x","pool_ref_data":{}}}`, 400, "name"},
		{`{"model_name":"Pool","data":{"name":"x","health_monitor_refs_data":{}}}`, 400, "list"},
	} {
		if r := w.admin("POST", "/api/macro", c.body); r.status != c.status || !strings.Contains(string(r.body), c.words) {
			t.Errorf("%s: %d %s", c.body, r.status, r.body)
		}
	}
	if r := w.must(200, "GET", "/api/pool?name=n", nil); r.text("count") != "0" {
		t.Error("half of a macro was made")
	}
	w.must(204, "DELETE", "/api/macro", `{"model_name":"VirtualService","data":{"uuid":"`+created.text("uuid")+`"}}`)
	for _, kind := range []string{"virtualservice", "pool", "vsvip", "healthmonitor"} {
		if r := w.must(200, "GET", "/api/"+kind+"?name=m", nil); r.text("count") != "0" {
			t.Errorf("%s is still there", kind)
		}
	}
	if r := w.admin("DELETE", "/api/macro", `{"model_name":"VirtualService","data":{"name":"m"}}`); r.status != 404 {
		t.Errorf("again: %d %s", r.status, r.body)
	}
}

// zeros is a body that never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestHugeBody holds that a body of 100 MB is refused at once, told of its length or not.
func TestHugeBody(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/pool", "/api/macro", "/login", "/api/explain", "/api/analytics/metrics/collection"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", w.api.URL()+path, io.LimitReader(zeros{}, 100<<20))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("admin", password)
		req.Header.Set("Expect", "100-continue")
		start := time.Now()
		resp, err := w.http.Do(req)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if resp.StatusCode != 413 || time.Since(start) > 10*time.Second {
			t.Errorf("%s: %d after %s", path, resp.StatusCode, time.Since(start))
		}
		_ = resp.Body.Close()
	}
	w.must(200, "GET", "/api/pool", nil)
}

// TestConcurrentWrites holds that of many writers at a time none loses a change, and that readers see whole objects.
func TestConcurrentWrites(t *testing.T) {
	w := newWorld(t)
	pool := w.must(201, "POST", "/api/pool", `{"name":"p"}`).text("uuid")
	const writers, each = 8, 10
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		reading.Go(func() {
			last := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := w.must(200, "GET", "/api/pool/"+pool, nil)
				n := 0
				if list, ok := r.at("servers").([]any); ok {
					n = len(list)
				}
				if n < last {
					t.Errorf("%d servers after %d", n, last)
				}
				last = n
			}
		})
	}
	for i := range writers {
		writing.Go(func() {
			for j := range each {
				w.must(200, "PATCH", "/api/pool/"+pool, fmt.Sprintf(`{"add":{"servers":[{"ip":{"addr":"10.0.%d.%d","type":"V4"},"port":5060}]}}`, i, j+1))
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	r := w.must(200, "GET", "/api/pool/"+pool, nil)
	if n := len(r.at("servers").([]any)); n != writers*each || r.text("configpb_attributes.version") != fmt.Sprint(writers*each+1) {
		t.Errorf("%d servers, version %s", n, r.text("configpb_attributes.version"))
	}
	// of those who say what they have read, one wins
	stale := map[string]any{"name": "p", "_last_modified": r.text("_last_modified")}
	var mu sync.Mutex
	got := map[int]int{}
	for i := range writers {
		writing.Go(func() {
			body := map[string]any{"description": fmt.Sprint(i)}
			for k, v := range stale {
				body[k] = v
			}
			r := w.admin("PUT", "/api/pool/"+pool, body)
			mu.Lock()
			got[r.status]++
			mu.Unlock()
		})
	}
	writing.Wait()
	if got[200] != 1 || got[412] != writers-1 {
		t.Errorf("answers %v", got)
	}
}

// TestSentBack holds that what the API answered changes nothing when it is sent back, however it was asked for.
func TestSentBack(t *testing.T) {
	w := newWorld(t)
	w.farm("edge")
	w.startEngine("se-1")
	for w.ctl.View().Named("ServiceEngine", "admin", "se-1") == nil && t.Context().Err() == nil {
		runtime.Gosched()
	}
	w.must(201, "POST", "/api/poolgroup", `{"name":"g","members":[{"pool_ref":"/api/pool?name=edge"}]}`)
	for _, k := range object.Kinds() {
		for _, how := range []string{"", "?include_name", "?skip_default=true"} {
			list := w.must(200, "GET", "/api/"+k.Path+how, nil)
			for i := range list.at("results").([]any) {
				o := list.at(fmt.Sprint("results.", i)).(map[string]any)
				if again := w.must(200, "PUT", "/api/"+k.Path+"/"+fmt.Sprint(o["uuid"]), o); again.text("_last_modified") != o["_last_modified"] {
					t.Errorf("%s/%s%s was changed: %s", k.Name, o["name"], how, w.must(200, "GET", "/api/audit?page_size=1", nil).body)
				}
			}
		}
	}
}

// TestMacroWithin holds that objects may be nested in parts of an object too, and one in several.
func TestMacroWithin(t *testing.T) {
	w := newWorld(t)
	monitor := `"health_monitor_refs_data":[{"name":"hm","type":"HEALTH_MONITOR_SIP","sip_monitor":{}}]`
	body := `{"model_name":"PoolGroup","data":{"name":"g","members":[{"ratio":2,"pool_ref_data":{"name":"a",` + monitor + `}},{"pool_ref_data":{"name":"b",` + monitor + `}}]}}`
	for _, method := range []string{"POST", "PUT"} {
		r := w.admin(method, "/api/macro?include_name", body)
		if r.status >= 300 || !strings.HasSuffix(r.text("members.0.pool_ref"), "#a") || r.text("members.0.ratio") != "2" || !strings.HasSuffix(r.text("members.1.pool_ref"), "#b") {
			t.Errorf("%s: %d %s", method, r.status, r.body)
		}
	}
	if r := w.must(200, "GET", "/api/healthmonitor?name=hm", nil); r.text("count") != "1" {
		t.Errorf("%s", r.body)
	}
	deep := strings.Repeat(`[`, 5000) + `{"pool_ref_data":{"name":"x"}}` + strings.Repeat(`]`, 5000)
	if r := w.admin("POST", "/api/macro", `{"model_name":"PoolGroup","data":{"name":"deep","members":`+deep+`}}`); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
