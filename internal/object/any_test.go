package object

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func mustDecode(t *testing.T, kind, text string) Any {
	t.Helper()
	a, err := Decode(kind, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDecodeOne(t *testing.T) {
	a := mustDecode(t, "pool", `{"name": "edge", "uuid": "pool-1", "url": "https://x/api/pool/pool-1", "_last_modified": "1", "configpb_attributes": {"version": 1},
		"servers": [{"ip": {"addr": "10.0.0.1", "type": "V4"}}, "10.0.0.2:5060"], "health_monitor_refs": ["/api/healthmonitor?name=a%20b", "healthmonitor-2"],
		"tenant_ref": "/api/tenant/admin", "analytics_profile_ref": "x", "lb_algorithm": "round-robin", "inline_health_monitor": false,
		"sp_gs_info": {"pool_ref": "p2", "deep": [{"ssl_profile_ref": "s"}]}}`)
	if a.Kind() != "Pool" || a.Name() != "edge" || a.UUID() != "pool-1" || a.String() != "Pool/edge" || len(a.Value().(*Pool).Servers) != 2 {
		t.Error(a)
	}
	want := `{"name":"edge","uuid":"pool-1","servers":[{"ip":{"addr":"10.0.0.1","type":"V4"}},{"ip":{"addr":"10.0.0.2","type":"V4"},"port":5060}],` +
		`"lb_algorithm":"LB_ALGORITHM_ROUND_ROBIN","health_monitor_refs":["/api/healthmonitor?name=a%20b","healthmonitor-2"],"analytics_profile_ref":"x",` +
		`"inline_health_monitor":false,"sp_gs_info":{"deep":[{"ssl_profile_ref":"s"}],"pool_ref":"p2"},"tenant_ref":"/api/tenant/admin"}`
	if got := string(a.JSON(JSONOptions{Form: SkipDefault})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for path, want := range map[string]string{"name": "edge", "enabled": "true", "servers.ip.addr": "10.0.0.1 10.0.0.2", "servers.port": "0 5060",
		"lb_algorithm": "LB_ALGORITHM_ROUND_ROBIN", "inline_health_monitor": "false", "connection_ramp_duration": "10", "tenant_ref": "/api/tenant/admin",
		"nothing": "", "servers": "", "cloud_ref": "Default-Cloud"} {
		if got := strings.Join(a.Texts(path), " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	u := mustDecode(t, "User", `{"name": "jane", "password": "$argon2id$"}`)
	if got := u.Texts("password"); got != nil {
		t.Errorf("a secret is text: %q", got)
	}
	if b := a.WithUUID("pool-2").WithRef("tenant_ref", ""); b.UUID() != "pool-2" || b.Text("tenant_ref") != "" || a.UUID() != "pool-1" || a.Text("tenant_ref") == "" || Equal(a, b) {
		t.Error("a copy shares with its source, or equals it")
	}
	if !Equal(a, mustDecode(t, "Pool", string(a.JSON(JSONOptions{})))) {
		t.Error("what is written in full is not the same")
	}
}

func TestFullHasKeptDefaults(t *testing.T) {
	text := string(mustDecode(t, "pool", `{"name": "p", "sni_enabled": false}`).JSON(JSONOptions{}))
	for _, want := range []string{`"connection_ramp_duration":10`, `"inline_health_monitor":true`, `"sni_enabled":false`, `"routing_pool":false`, `"enabled":true`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	some := string(mustDecode(t, "pool", `{"name": "p"}`).JSON(JSONOptions{Fields: []string{"enabled", "sni_enabled", "url"},
		More: map[string]json.RawMessage{"url": json.RawMessage(`"u"`), "_last_modified": json.RawMessage(`"1"`)}}))
	if some != `{"name":"p","enabled":true,"sni_enabled":true,"url":"u"}` {
		t.Error(some)
	}
}

func TestRefs(t *testing.T) {
	a := mustDecode(t, "virtualservice", `{"name": "v", "vsvip_ref": "vip", "pool_ref": "pool-1", "services": [5060], "cloud_ref": "/api/cloud?name=Default-Cloud"}`)
	paths := func(a Any) (out []string) {
		for _, r := range a.Refs() {
			out = append(out, r.Path+" "+r.Kind+" "+r.Value)
		}
		return out
	}
	want := []string{"vsvip_ref VsVip vip", "pool_ref Pool pool-1", "application_profile_ref ApplicationProfile System-SIP", "network_profile_ref NetworkProfile System-UDP-Proxy"}
	if _, ok := FindKind("cloud"); ok {
		want = append(want, "cloud_ref Cloud /api/cloud?name=Default-Cloud")
	}
	if got := paths(a); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	before := a.JSON(JSONOptions{})
	b := a.MapRefs(func(r Ref) string { return "<" + r.Kind + ">" })
	for _, r := range b.Refs() {
		if r.Value != "<"+r.Kind+">" {
			t.Error(r)
		}
	}
	if string(before) != string(a.JSON(JSONOptions{})) {
		t.Error("the source changed")
	}
}

func TestParseRef(t *testing.T) {
	for text, want := range map[string]Reference{
		"https://h/api/pool/pool-1#a%20b": {Kind: "pool", UUID: "pool-1", Name: "a b", Written: "a%20b"},
		"/api/pool/?name=a+b":             {Kind: "pool", Name: "a b", Written: "a+b"},
		"/api/pool?name=x&cloud=y":        {Kind: "pool", Name: "x", Written: "x"},
		"pool-1":                          {},
		"":                                {},
	} {
		want.Text = text
		got, ok := ParseRef(text)
		if got != want || ok != (want.Kind != "") {
			t.Errorf("%s: %+v %v", text, got, ok)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{"pool", ``, "Pool: expected one object, got 0 documents"},
		{"pool", `null`, "Pool: expected a mapping of fields, got nothing"},
		{"pool", `[{"name": "p"}]`, "Pool: expected a mapping of fields, got a list"},
		{"pool", `{"name": "p"`, "Pool: not JSON: unexpected end of JSON input"},
		{"pool", `{"name": "p", "ratio": 1, "enabled": "yes"}`, "Pool/p: ratio: unknown field; did you mean servers[].ratio?\nPool/p: enabled: expected true or false, got \"yes\"; write true"},
		{"pool", `{"name": "p", "connection_ramp_duration": 301}`, "Pool/p: connection_ramp_duration: 301 is out of range: must be 1 to 300 or 0"},
		{"virtualservice", `{"name": "v", "flow_dist": "NO", "vsvip_ref": "x", "services": [1]}`, "VirtualService/v: flow_dist: \"NO\" is not a known word: must be LOAD_AWARE, CONSISTENT_HASH_SOURCE_IP_ADDRESS or CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT"},
		{"pools", `{}`, "pools: unknown kind of object; did you mean Pool?"},
	} {
		a, err := Decode(c.kind, []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || !a.IsZero() {
			t.Errorf("%s %s:\n got %v\nwant %s", c.kind, c.text, err, c.want)
		}
	}
}

func TestKinds(t *testing.T) {
	var titles []string
	for _, k := range Kinds() {
		titles = append(titles, k.Title)
		for _, text := range []string{k.Name, k.Path, strings.ReplaceAll(k.Title, " ", "-"), strings.ReplaceAll(k.Title, " ", "_")} {
			if got, ok := FindKind(text); !ok || got.Name != k.Name {
				t.Errorf("%s is not found as %s", k.Name, text)
			}
		}
	}
	want := "virtual service, vs vip, pool, health monitor, application profile, network profile, pool group, analytics profile, " +
		"application persistence profile, SSL profile, SSL key and certificate, PKI profile, network security policy, ip addr group, " +
		"tenant, cloud, service engine group, service engine, vrf context, user, role"
	if got := strings.Join(titles, ", "); got != want {
		t.Error(got)
	}
	if k, _ := FindKind("serviceengine"); k.UUIDPrefix != "se" || !k.InCloud || !k.InTenant {
		t.Errorf("%+v", k)
	}
}
