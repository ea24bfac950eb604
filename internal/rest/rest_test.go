package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/agent"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/store"
)

const password = "a good password"

// world is a store, a controller, an engine and the API.
type world struct {
	t    testing.TB
	ctl  *controller.Controller
	st   *store.Store
	api  *Server
	eng  *agent.Agent // nil until startEngine
	http *http.Client
}

// newWorld starts all but an engine.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, store.Config{Dir: t.TempDir()})
}

func newWorldOn(t testing.TB, cfg store.Config) *world {
	t.Helper()
	st, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := controller.Start(t.Context(), controller.Config{Store: st, AdminPassword: password, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	api, err := Serve(Config{Controller: c, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &world{t: t, ctl: c, st: st, api: api, http: &http.Client{Transport: tr}}
}

// startEngine adds an engine, and waits until the controller knows it.
func (w *world) startEngine(name string) *agent.Agent {
	w.t.Helper()
	a, err := agent.Start(w.t.Context(), agent.Config{Store: w.st, Name: name, Engine: engine.Config{Workers: 1, Sockets: 1}, Version: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(a.Stop)
	<-a.Ready()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for {
		for _, e := range w.ctl.Engines() {
			if e.Name == name {
				w.eng = a
				return a
			}
		}
		if ctx.Err() != nil {
			w.t.Fatalf("engine %s does not register", name)
		}
		w.ctl.WaitLive(ctx, 1<<40, 20*time.Millisecond, nil)
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
	json   any // of the body; nil: it is none
}

// at is a member of the answer, by a path such as results.0.name; nil: it is not there.
func (r *reply) at(path string) any {
	v := r.json
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			var i int
			if n, err := fmt.Sscan(name, &i); n != 1 || err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (r *reply) text(path string) string { return fmt.Sprint(r.at(path)) }

// send sends a request as it is told: header lines are "Name: value".
func (w *world) send(method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case io.Reader:
		content = b
	case string:
		content = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.api.URL()+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	out := &reply{status: resp.StatusCode, header: resp.Header}
	if out.body, err = io.ReadAll(resp.Body); err != nil {
		w.t.Fatal(err)
	}
	if len(out.body) > 0 {
		dec := json.NewDecoder(bytes.NewReader(out.body))
		dec.UseNumber()
		if err := dec.Decode(&out.json); err != nil {
			w.t.Fatalf("%s %s: no JSON: %v\n%s", method, path, err, out.body)
		}
	}
	return out
}

// basic is the header line of basic auth.
func basic(name, password string) string {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(name, password)
	return "Authorization: " + req.Header.Get("Authorization")
}

// admin sends a request as the user admin.
func (w *world) admin(method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	return w.send(method, path, body, append(headers, basic("admin", password))...)
}

// must is admin, and what comes back must have that status.
func (w *world) must(status int, method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	r := w.admin(method, path, body, headers...)
	if r.status != status {
		w.t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// farm makes a pool of two servers, a VIP and a virtual service on any port of loopback, and returns their uuids.
func (w *world) farm(name string) (pool, vip, vs string) {
	w.t.Helper()
	pool = w.must(201, "POST", "/api/pool", map[string]any{"name": name, "default_server_port": 5060, "lb_algorithm": "LB_ALGORITHM_CONSISTENT_HASH",
		"lb_algorithm_hash": "LB_ALGORITHM_CONSISTENT_HASH_CALLID", "servers": []any{
			map[string]any{"ip": map[string]string{"addr": "127.0.0.2", "type": "V4"}, "hostname": "one"},
			map[string]any{"ip": map[string]string{"addr": "127.0.0.3", "type": "V4"}, "port": 5070}}}).text("uuid")
	vip = w.must(201, "POST", "/api/vsvip", map[string]any{"name": name, "vip": []any{map[string]any{"vip_id": "1", "ip_address": map[string]string{"addr": "127.0.0.1", "type": "V4"}}}}).text("uuid")
	vs = w.must(201, "POST", "/api/virtualservice", map[string]any{"name": name, "vsvip_ref": vip, "pool_ref": pool,
		"services": []any{map[string]any{"port": freePort(w.t)}}}).text("uuid")
	return pool, vip, vs
}

// freePort is a port of loopback that nothing has at the moment.
func freePort(t testing.TB) int {
	t.Helper()
	for port := firstPort + os.Getpid()%8000; port < 65000; port++ {
		if taken[port] {
			continue
		}
		taken[port] = true
		if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err == nil {
			_ = c.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var taken = map[int]bool{}

// firstPort is beyond those that the engine's tests, which run at the same time, take without asking.
const firstPort = 22000
