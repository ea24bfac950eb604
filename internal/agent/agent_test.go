package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/store"
)

var admin = controller.Who{User: "test", Role: controller.RoleAdmin, Tenant: catalog.AdminTenant}

// patience bounds what an engine may take to run a change; what may need that several times has it thrice.
const patience = 10 * time.Second

// plane is a store with a controller.
type plane struct {
	t  *testing.T
	st *store.Store
	c  *controller.Controller
}

func startPlane(t *testing.T) *plane {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c, err := controller.Start(t.Context(), controller.Config{Store: st, AdminPassword: "a good password"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return &plane{t, st, c}
}

func (p *plane) config(dir string) Config {
	return Config{Store: p.st, Name: "se-1", Dir: dir, Engine: engine.Config{Workers: 1}}
}

func (p *plane) start(dir string) *Agent {
	p.t.Helper()
	a, err := Start(p.t.Context(), p.config(dir))
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *plane) do(ops ...controller.Op) controller.Result {
	p.t.Helper()
	res, err := p.c.Do(p.t.Context(), admin, ops...)
	if err != nil {
		p.t.Fatal(err)
	}
	return res
}

func create(kind, format string, args ...any) controller.Op {
	return controller.Op{Verb: controller.Create, Kind: kind, Body: fmt.Appendf(nil, format, args...)}
}

// farm makes a virtual service on a port; 0 is any.
func (p *plane) farm(port uint16) controller.Result {
	return p.do(create("VsVip", `{"name":"here","vip":["127.0.0.1"]}`), create("Pool", `{"name":"edge","servers":["127.0.0.2:5060"]}`),
		create("VirtualService", `{"name":"edge","vsvip_ref":"here","pool_ref":"edge","services":[{"port":%d}]}`, port))
}

func (p *plane) live(revision int64) controller.Live {
	p.t.Helper()
	live := p.c.WaitLive(p.t.Context(), revision, patience, nil)
	if len(live.Engines) == 0 {
		p.t.Fatal("no engine is registered")
	}
	return live
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", 3*patience, what)
		}
	}
}

// A change runs, the registration says so, and the report tells of it.
func TestChangeRuns(t *testing.T) {
	t.Parallel()
	p := startPlane(t)
	a := p.start(t.TempDir())
	defer a.Stop()
	await(t, "the engine is registered", func() bool { return len(p.c.Engines()) == 1 })
	res := p.farm(0)
	if live := p.live(res.Revision); !live.Live || live.Engines[0].Revision < res.Revision {
		t.Fatalf("revision %d: %+v", res.Revision, live)
	}
	reports, errs := p.c.Reports(t.Context())
	if len(errs) > 0 || len(reports) != 1 || len(reports[0].Services) != 1 || len(reports[0].Pools) != 1 {
		t.Fatalf("reports %+v, %v", reports, errs)
	}
	if s := reports[0].Services[0]; s.Name != "edge" || s.Oper.State != report.Up || len(s.Listeners) != 1 {
		t.Errorf("the service reads %+v", s)
	}
	await(t, "the engine has an object", func() bool { return p.c.View().Named("ServiceEngine", catalog.AdminTenant, "se-1") != nil })
	_, err := p.c.Do(t.Context(), admin, controller.Op{Verb: controller.Delete, Kind: "ServiceEngine", UUID: a.Registration().UUID})
	if controller.CodeOf(err) != controller.InUse {
		t.Errorf("an engine that runs can be deleted: %v", err)
	}
}

// A port that somebody else has is told with the object, everything else of the change runs, and it comes to be by
// itself when the port is free.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	p := startPlane(t)
	a := p.start(t.TempDir())
	defer a.Stop()
	await(t, "the engine is registered", func() bool { return len(p.c.Engines()) == 1 })
	taken, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	port := taken.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	res := p.farm(port)
	await(t, "the fault is told", func() bool {
		return strings.Contains(p.live(res.Revision).Engines[0].Errors["VirtualService/edge"], "is taken")
	})
	if live := p.live(res.Revision); live.Live {
		t.Errorf("a change that does not run counts as live: %+v", live)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the port is taken over", func() bool { return p.live(res.Revision).Live })
}

// Without the store an engine begins with what it had last; a file that is damaged is told of and set aside.
func TestLastGood(t *testing.T) {
	t.Parallel()
	p := startPlane(t)
	dir := t.TempDir()
	a := p.start(dir)
	res := p.farm(0)
	await(t, "the change runs", func() bool { return a.Registration().Applied >= res.Revision })
	a.Stop()
	away, err := store.Open(t.Context(), store.Config{URLs: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	cfg := p.config(dir)
	cfg.Store = away
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if st := b.Engine().Status(); len(st.Services) != 1 || st.Services[0].Name != "edge" || b.Registration().Applied < res.Revision {
		t.Errorf("it runs %+v, revision %d", st.Services, b.Registration().Applied)
	}
	if b.Registration().UUID != a.Registration().UUID {
		t.Error("the engine is another one after a restart")
	}
	b.Stop()
	file := filepath.Join(dir, "engine-se-1.last-good.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, damaged := range map[string]string{
		"cut short": string(data[:len(data)/2]), "changed": strings.Replace(string(data), "127.0.0.2", "127.0.0.3", 1), "newer": `{"format":99,"version":"9.9"}`,
	} {
		if err := os.WriteFile(file, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := b.load()
		if err == nil || !strings.Contains(err.Error(), ".bad") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(file + ".bad"); err != nil {
			t.Errorf("%s: it was not set aside: %v", what, err)
		}
	}
}

// Neither a store nor a file: the start says what to do.
func TestNothingToRun(t *testing.T) {
	t.Parallel()
	away, err := store.Open(t.Context(), store.Config{URLs: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	_, err = Start(t.Context(), Config{Store: away, Name: "se-1", Dir: t.TempDir(), Engine: engine.Config{Workers: 1}})
	if !errors.Is(err, ErrNoConfiguration) {
		t.Errorf("%v", err)
	}
}

// Two engines of one name: the second is not registered for as long as the first lives.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	p := startPlane(t)
	a := p.start(t.TempDir())
	await(t, "the engine is registered", func() bool { return len(p.c.Engines()) == 1 })
	b := p.start(t.TempDir())
	defer b.Stop()
	if b.free(t.Context()) {
		t.Error("the name counts as free")
	}
	if got := p.c.Engines()[0].UUID; got != a.Registration().UUID {
		t.Errorf("%s is registered, not the first one", got)
	}
	a.Stop()
	await(t, "the second takes the name", func() bool {
		engines := p.c.Engines()
		return len(engines) == 1 && engines[0].UUID == b.Registration().UUID
	})
}

// Who does not know the secret learns nothing from the control listener.
func TestControlIsClosed(t *testing.T) {
	p := startPlane(t)
	a := p.start(t.TempDir())
	defer a.Stop()
	other, err := controller.Start(t.Context(), controller.Config{Store: p.st})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()
	await(t, "the engine is registered", func() bool { return len(other.Engines()) == 1 })
	if _, errs := other.Reports(t.Context()); len(errs) > 0 {
		t.Errorf("a controller of the cluster is refused: %v", errs)
	}
	status, body := get(t, "https://"+a.Registration().Control+"/report", "wrong")
	if status != 401 || strings.Contains(body, "services") {
		t.Errorf("a stranger got %d %s", status, body)
	}
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	h := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
