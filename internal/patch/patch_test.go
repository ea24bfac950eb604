package patch

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/object"
)

func mustDecode(t *testing.T, kind, text string) object.Any {
	t.Helper()
	a, err := object.Decode(kind, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPatch(t *testing.T) {
	pool := `{"name": "p", "servers": ["10.0.0.1:5060", "10.0.0.2:5060"], "health_monitor_refs": ["https://h/api/healthmonitor/healthmonitor-1#one"]}`
	for _, c := range []struct{ patch, want string }{
		{`{"add": {"servers": [{"ip": {"addr": "10.0.0.3", "type": "V4"}, "port": 5060}]}}`,
			`"servers":[{"ip":{"addr":"10.0.0.1","type":"V4"},"port":5060},{"ip":{"addr":"10.0.0.2","type":"V4"},"port":5060},{"ip":{"addr":"10.0.0.3","type":"V4"},"port":5060}],"health_monitor_refs":["https://h/api/healthmonitor/healthmonitor-1#one"]`},
		{`{"add": {"servers": [{"ip": {"addr": "10.0.0.2", "type": "V4"}, "port": 5060, "enabled": false}]}, "replace": {"health_monitor_refs": []}}`,
			`"servers":[{"ip":{"addr":"10.0.0.1","type":"V4"},"port":5060},{"ip":{"addr":"10.0.0.2","type":"V4"},"port":5060,"enabled":false}]`},
		{`{"delete": {"servers": ["10.0.0.1:5060"], "health_monitor_refs": ["/api/healthmonitor?name=one"]}}`,
			`"servers":[{"ip":{"addr":"10.0.0.2","type":"V4"},"port":5060}]`},
		{`{"remove": {"servers": ["10.0.0.1", {"ip": "10.0.0.2", "port": 5060}]}, "add": {"health_monitor_refs": ["/api/healthmonitor/healthmonitor-1", "two"]}}`,
			`"servers":[{"ip":{"addr":"10.0.0.1","type":"V4"},"port":5060}],"health_monitor_refs":["https://h/api/healthmonitor/healthmonitor-1#one","two"]`},
		{`{"replace": {"servers": [], "enabled": false, "health_monitor_refs": null, "sni_enabled": false}}`, `"enabled":false,"sni_enabled":false`},
		{`{"json_patch": [{"op": "replace", "path": "/servers/0/ratio", "value": 3}, {"op": "remove", "path": "/servers/1"}, {"op": "remove", "path": "/health_monitor_refs/0"}]}`,
			`"servers":[{"ip":{"addr":"10.0.0.1","type":"V4"},"port":5060,"ratio":3}]`},
		{`{"mend": {}}`, "Pool/p: mend: unknown kind of patch: must be one of replace, delete, remove, add, json_patch"},
		{`{"add": {"serverss": []}}`, "Pool/p: serverss: unknown field; did you mean servers?"},
		{`{"remove": {"serverss": ["10.0.0.1:5060"]}}`, "Pool/p: serverss: unknown field; did you mean servers?"},
		{`{"remove": {"health_monitor_refs": ["healthmonitor-1"], "servers": null}}`, `{"name":"p"}`},
		{`{"json_patch": [{"op": "remove", "path": "/servers/7"}]}`, "Pool/p: json_patch: "},
		{`[]`, "Pool/p: expected a JSON object with"},
		{`{"add": 5}`, "Pool/p: add: expected a JSON object"},
	} {
		text, err := Apply(mustDecode(t, "pool", pool), []byte(c.patch))
		var a object.Any
		if err == nil {
			a, err = object.Decode("pool", text)
		}
		got := string(a.JSON(object.JSONOptions{Form: object.SkipDefault}))
		if err != nil {
			got = err.Error()
		}
		want := `{"name":"p",` + c.want + "}"
		if strings.HasPrefix(c.want, "Pool/p") || strings.HasPrefix(c.want, "{") {
			want = c.want
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s:\n got %s\nwant %s", c.patch, got, want)
		}
	}
}

// TestPatchServers holds that a server that is added can be removed again, and that nothing else changes.
func TestPatchServers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := object.New[object.Pool]("p")
		for _, last := range rapid.SliceOfNDistinct(rapid.ByteRange(1, 200), 0, 5, rapid.ID).Draw(t, "servers") {
			pool.Servers = append(pool.Servers, object.NewServer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 5060)))
		}
		a := object.AnyOf(&pool)
		server := `{"servers": [{"ip": {"addr": "10.0.0.250", "type": "V4"}, "port": 5060}]}`
		for _, step := range []struct {
			verb string
			n    int
		}{{"add", 1}, {"add", 1}, {"delete", 0}, {"remove", 0}} {
			text, err := Apply(a, []byte(`{"`+step.verb+`": `+server+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if a, err = object.Decode("pool", text); err != nil {
				t.Fatal(err)
			}
			if n := len(a.Value().(*object.Pool).Servers); n != len(pool.Servers)+step.n {
				t.Fatalf("%s: %d servers", step.verb, n)
			}
		}
		if !object.Equal(a, object.AnyOf(&pool)) {
			t.Fatal("something else changed")
		}
	})
}

// TestNothing holds that a patch that changes nothing changes nothing, of the objects that are always there.
func TestNothing(t *testing.T) {
	for _, a := range object.SystemObjects() {
		whole := string(a.JSON(object.JSONOptions{Secrets: true}))
		for _, patch := range []string{`{}`, `{"json_patch": []}`, `{"replace": ` + whole + `}`, `{"add": ` + whole + `}`, `{"add": {}, "delete": {}}`} {
			text, err := Apply(a, []byte(patch))
			if err != nil {
				t.Fatal(err)
			}
			if again := mustDecode(t, a.Kind(), string(text)); !object.Equal(a, again) {
				t.Errorf("%s: %s\n%s", a, patch, text)
			}
		}
	}
}

// FuzzApply asserts that a patch makes JSON or an error of any object and text.
func FuzzApply(f *testing.F) {
	f.Add("pool", []byte(`{"name": "p", "servers": ["10.0.0.1:5060"]}`), []byte(`{"add": {"servers": [{"ip": "10.0.0.2"}]}}`))
	f.Add("healthmonitor", []byte(`{"name": "m", "type": "sip"}`), []byte(`{"json_patch": [{"op": "add", "path": "/sip_monitor/sip_headers/-", "value": "X: y"}]}`))
	f.Fuzz(func(t *testing.T, kind string, data, patch []byte) {
		a, err := object.Decode(kind, data)
		if err != nil {
			return
		}
		if text, err := Apply(a, patch); err == nil && !json.Valid(text) {
			t.Fatalf("a patch makes %q", text)
		}
	})
}
