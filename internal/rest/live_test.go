package rest

import (
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/store"
)

// TestLiveIsOnesOwn holds that a fault of one tenant is neither told to another nor makes its changes fail, and that a
// change waits for what it has changed.
func TestLiveIsOnesOwn(t *testing.T) {
	w := newWorld(t)
	bob := w.tenants()
	w.startEngine("se-1")
	_, vip, _ := w.farm("edge")
	broken := w.must(200, "PATCH", "/api/vsvip/"+vip+"?wait=10s", `{"replace":{"vip":[{"vip_id":"1","ip_address":{"addr":"192.0.2.99","type":"V4"}}]}}`)
	if broken.text("_live.live") != "false" || !strings.Contains(string(broken.body), "VirtualService/edge") {
		t.Errorf("a change that an engine cannot run: %s", broken.body)
	}
	if r := w.must(201, "POST", "/api/pool?wait=10s", `{"name":"beside"}`); r.text("_live.live") != "true" {
		t.Errorf("a change that has nothing to do with it: %s", r.body)
	}
	if r := w.must(200, "GET", "/api/live", nil); r.text("live") != "false" || !strings.Contains(string(r.body), "192.0.2.99") {
		t.Errorf("the admin: %s", r.body)
	}
	for _, path := range []string{"/api/live", "/api/live?wait=5s"} {
		if r := w.send("GET", path, nil, bob); r.text("live") != "true" || strings.Contains(string(r.body), "192.0.2.99") || strings.Contains(string(r.body), "edge") {
			t.Errorf("another tenant: %s", r.body)
		}
	}
	if r := w.send("POST", "/api/pool?wait=10s", `{"name":"bobs"}`, bob); r.status != 201 || r.text("_live.live") != "true" {
		t.Errorf("a change of another tenant: %d %s", r.status, r.body)
	}
}

// TestUnreadable holds that an object that nobody can read is shown as such to who has all tenants, may be deleted, and
// is in nobody's way.
func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	bob := w.tenants()
	w.startEngine("se-1")
	w.farm("edge")
	const uuid = "pool-00000000-0000-4000-8000-000000000001"
	put := func(uuid, text string) {
		t.Helper()
		rev, _, err := w.st.Commit(t.Context(), store.Txn{Put: []store.KV{{Key: catalog.Key("Pool", uuid), Value: []byte(text)}, {Key: catalog.Generation, Value: []byte("1")}}})
		if err != nil {
			t.Fatal(err)
		}
		w.must(200, "GET", "/api/live?wait=10s", nil) // until this controller has seen it
		for range 100 {
			if w.ctl.View().Revision >= rev {
				return
			}
			w.ctl.WaitLive(t.Context(), 1<<40, 20e6, nil)
		}
		t.Fatal("the controller does not follow")
	}
	put(uuid, `{"kind":"Pool","tenant":"admin","object":{"name":"tomorrow","uuid":"`+uuid+`","of_tomorrow":1}}`)
	w.must(201, "POST", "/api/pool", `{"name":"beside"}`)
	for _, c := range []struct {
		method, path, who string
		status            int
		words             string
	}{
		{"GET", "/api/pool/" + uuid, "", 422, "cannot be read"},
		{"PUT", "/api/pool/" + uuid, "", 422, "cannot be read"},
		{"GET", "/api/pool/" + uuid, bob, 404, "not found"},
		{"DELETE", "/api/pool/" + uuid, bob, 404, "not found"},
		{"DELETE", "/api/vsvip/" + uuid, "", 404, "not found"},
		{"GET", "/api/cluster/runtime", "", 200, `"kind":"Pool","uuid":"` + uuid + `","says":"its record in the store cannot be read`},
		{"GET", "/api/cluster/runtime", "", 200, "'carillon delete pool " + uuid + "' clears it away"},
		{"GET", "/api/cluster/runtime", bob, 200, `"unreadable":[]`},
		{"GET", "/api/live?wait=10s", "", 200, "Pool/" + uuid},
		{"GET", "/api/live?wait=10s", bob, 200, `"live":true`},
		{"DELETE", "/api/pool/" + uuid, "", 204, ""},
		{"GET", "/api/pool/" + uuid, "", 404, "not found"},
		{"GET", "/api/audit?page_size=1", "", 200, `"action":"delete","kind":"Pool","uuid":"` + uuid},
		{"GET", "/api/live?wait=10s", "", 200, `"live":true`},
	} {
		who := c.who
		if who == "" {
			who = basic("admin", password)
		}
		if r := w.send(c.method, c.path, `{"name":"x"}`, who); r.status != c.status || !strings.Contains(string(r.body), c.words) || who == bob && strings.Contains(string(r.body), uuid) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, r.status, r.body, c.status, c.words)
		}
	}
}
