package rest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/report"
)

// follow opens a trace, and returns what reads its next line.
func (w *world) follow(query, auth string) func() report.TraceLine {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.api.URL()+"/api/trace?"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	name, value, _ := strings.Cut(auth, ": ")
	req.Header.Set(name, value)
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "application/x-ndjson" {
		w.t.Fatalf("trace: %d %s", resp.StatusCode, kind)
	}
	scan := bufio.NewScanner(resp.Body)
	s := describedAPI(w.t.(*testing.T)).schema("paths", "/api/trace", "get", "responses", "200", "content", "application/x-ndjson", "schema")
	return func() (l report.TraceLine) {
		w.t.Helper()
		if !scan.Scan() {
			w.t.Fatalf("the trace has ended: %v", scan.Err())
		}
		var v any
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(scan.Bytes(), &v); err != nil {
			w.t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			w.t.Errorf("%v: %s", err, scan.Bytes())
		}
		return l
	}
}

// message is the next line that is one.
func message(next func() report.TraceLine) *report.TraceMessage {
	for {
		if l := next(); l.Message != nil {
			return l.Message
		}
	}
}

// options sends an OPTIONS to a virtual service of loopback.
func (w *world) options(vs, callID string) {
	w.t.Helper()
	services, _ := w.must(200, "GET", "/api/virtualservice/"+vs, nil).at("services").([]any)
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%v", services[0].(map[string]any)["port"]))
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	text := "OPTIONS sip:" + conn.RemoteAddr().String() + " SIP/2.0\r\nVia: SIP/2.0/UDP " + conn.LocalAddr().String() + ";branch=z9hG4bK" + callID + "\r\nMax-Forwards: 70\r\n" +
		"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: " + callID + "\r\nCSeq: 1 OPTIONS\r\nAuthorization: Basic secret\r\nContent-Length: 0\r\n\r\n"
	if _, err := conn.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// A trace shows what who asks may see, and nothing else; secrets are for an admin.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	w.startEngine("se-1")
	_, _, mine := w.farm("edge")
	w.must(200, "GET", "/api/live?wait=10s", nil)
	for name, role := range map[string]string{"eve": "viewer", "oscar": "operator"} {
		w.must(201, "POST", "/api/user", `{"name":"`+name+`","password":"watching only","access":[{"role_ref":"/api/role?name=`+role+`","tenant_ref":"admin"}]}`)
	}
	for _, tt := range []struct {
		user, query string
		status      int
		says        string
	}{
		{"eve", "", 403, "admin or operator"}, {"oscar", "secrets=true", 403, "only an admin"}, {"oscar", "code=7xx", 400, "486, 4xx or 4xx-6xx"},
		{"oscar", "source=nowhere", 400, "prefix"}, {"oscar", "virtualservice=none", 404, `no VirtualService "none"`}, {"oscar", "only=perhaps", 400, "true or false"},
	} {
		if r := w.send("GET", "/api/trace?"+tt.query, nil, basic(tt.user, "watching only")); r.status != tt.status || !strings.Contains(r.text("error"), tt.says) {
			t.Errorf("%s %s: %d %s", tt.user, tt.query, r.status, r.body)
		}
	}
	operator, admin := w.follow("virtualservice=edge", basic("oscar", "watching only")), w.follow("call_id=two&secrets=true", basic("admin", password))
	if l := operator(); l.State == nil || l.State.Engine != "se-1" {
		t.Errorf("the first line: %+v", l)
	}
	admin()
	w.options(mine, "one")
	if m := message(operator); m.CallID != "one" || m.Reason != "options_answered" || m.Engine != "se-1" || !strings.Contains(m.Came, "Basic ******") {
		t.Errorf("%+v", m)
	}
	w.options(mine, "two")
	if m := message(admin); m.CallID != "two" || !strings.Contains(m.Came, "Basic secret") {
		t.Errorf("%+v", m)
	}
}

// Drains are changes of the pool, and tell how far they are.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	w.startEngine("se-1")
	pool, _, _ := w.farm("edge")
	w.must(200, "GET", "/api/live?wait=10s", nil)
	for _, tt := range []struct {
		body   string
		status int
		says   string
	}{
		{`{}`, 400, "expected"}, {`{"server": "10.9.9.9"}`, 404, "no server"}, {`{"server": "one", "deadline": "soon"}`, 400, "30m"}, {`{"server": "one", "deadline": "200h"}`, 400, "120h"},
	} {
		if r := w.admin("POST", "/api/pool/"+pool+"/drain", tt.body); r.status != tt.status || !strings.Contains(r.text("error"), tt.says) {
			t.Errorf("%s: %d %s", tt.body, r.status, r.body)
		}
	}
	r := w.must(200, "POST", "/api/pool/"+pool+"/drain?wait=10s", `{"server": "one", "deadline": "90s"}`)
	if r.text("0.server") != "one" || r.at("0.enabled") != false || r.text("0.address") != "127.0.0.2:5060" {
		t.Errorf("%s", r.body)
	}
	is := w.must(200, "GET", "/api/pool/"+pool, nil)
	if is.text("graceful_disable_timeout") != "2" || is.at("servers.0.enabled") != false || is.at("servers.1.enabled") == false || is.text("servers.0.hostname") != "one" {
		t.Errorf("%s", is.body)
	}
	w.must(200, "POST", "/api/pool/"+pool+"/drain", `{"server": "127.0.0.3:5070"}`)
	if r := w.must(200, "GET", "/api/pool/"+pool+"/drain", nil); r.text("1.server") != "127.0.0.3:5070" {
		t.Errorf("%s", r.body)
	}
	w.must(200, "POST", "/api/pool/edge/undrain?wait=10s", `{"server": "one"}`)
	if r := w.must(200, "GET", "/api/pool/"+pool+"/drain", nil); r.text("0.server") != "127.0.0.3:5070" || r.at("1") != nil {
		t.Errorf("%s", r.body)
	}
	if r := w.must(200, "GET", "/api/calls?pool=edge", nil); r.text("count") != "0" {
		t.Errorf("%s", r.body)
	}
	if r := w.admin("GET", "/api/calls?pool=none", nil); r.status != 404 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := w.must(200, "GET", "/api/report", nil); r.text("pools.0.name") != "edge" || r.text("engines.0") != "se-1" {
		t.Errorf("%s", r.body)
	}
}
