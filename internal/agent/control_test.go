package agent

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/quick"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/store"
)

var testSecret = []byte("the secret of a test")

// open is an embedded store in a directory, with the secret of a cluster.
func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Commit(t.Context(), store.Txn{Put: []store.KV{{Key: catalog.SecretKey, Value: testSecret}}}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return s
}

// put stores the objects of a set.
func put(t *testing.T, s *store.Store, set *object.Set) int64 {
	t.Helper()
	txn := store.Txn{Put: []store.KV{{Key: catalog.Generation, Value: []byte("1")}}}
	uuids := map[string]string{}
	all := []object.Any{object.AnyOf(set.VirtualServices[0]), object.AnyOf(set.VsVips[0]), object.AnyOf(set.Pools[0])}
	for i := range set.ApplicationProfiles {
		all = append(all, object.AnyOf(set.ApplicationProfiles[i]))
	}
	for i := range set.NetworkProfiles {
		all = append(all, object.AnyOf(set.NetworkProfiles[i]))
	}
	for _, a := range all {
		uuids[a.Kind()+"/"+a.Name()] = strings.ToLower(a.Kind()) + "-" + a.Name()
	}
	for _, a := range all {
		a = a.WithUUID(uuids[a.Kind()+"/"+a.Name()]).MapRefs(func(r object.Ref) string {
			if id := uuids[r.Kind+"/"+r.Value]; id != "" {
				return id
			}
			return r.Value
		})
		r := catalog.NewRecord(a, catalog.AdminTenant, 1, 1)
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		txn.Put = append(txn.Put, store.KV{Key: r.Key(), Value: b})
	}
	revision, ok, err := s.Commit(t.Context(), txn)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return revision
}

func quickSet(t *testing.T, server string) *object.Set {
	t.Helper()
	set, err := quick.Set([]string{"udp://127.0.0.1:0"}, []string{server}, quick.Options{NoMonitor: true})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// asker talks to the control listener.
func ask(t *testing.T, a *Agent, method, path, token, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+a.Registration().Control+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// An agent follows the store, registers its engine, answers those who know the secret, and starts from disk when the
// store is gone.
func TestAgent(t *testing.T) {
	t.Parallel()
	data, kept := t.TempDir(), t.TempDir()
	st := open(t, data)
	cfg := Config{Store: st, Name: "se-1", Dir: kept, Version: "test", Engine: engine.Config{Workers: 1}}
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	revision := put(t, st, quickSet(t, "192.0.2.1:5060"))
	until(t, "the revision of the store is applied", func() bool { return a.Registration().Applied >= revision })
	if s := a.Engine().Status(); len(s.Services) != 1 || s.Revision != uint64(revision) {
		t.Errorf("the engine runs %+v", s)
	}
	until(t, "the engine is registered", func() bool {
		kv, found, _, err := st.Get(t.Context(), report.RegistrationPrefix+"se-1")
		var r report.Registration
		return err == nil && found && json.Unmarshal(kv.Value, &r) == nil && r.Applied == revision && r.Control == a.Registration().Control
	})
	bearer := report.Bearer(testSecret)
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		says                      string
	}{
		{"GET", "/report", "", "", 401, "does not know the secret"},
		{"GET", "/report", bearer, "", 200, `"192.0.2.1:5060"`},
		{"GET", "/report?brief=true", bearer, "", 200, `"servers":[]`},
		{"GET", "/series?step=x", bearer, "", 400, "step=x: want a number"},
		{"GET", "/series?entity=nobody", bearer, "", 200, "[]"},
		{"POST", "/explain", bearer, "{", 400, "cannot be read"},
		{"POST", "/explain", bearer, `{"call_id": "a"}`, 200, "would go to 192.0.2.1:5060"},
		{"POST", "/explain", bearer, `{"message": "` + strings.Repeat("x", maxExplain) + `"}`, 400, "too large"},
		{"GET", "/nothing", bearer, "", 404, "not found"},
	} {
		if status, text := ask(t, a, c.method, c.path, c.token, c.body); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s %s: %d %.200s, want %d and %q", c.method, c.path, status, text, c.status, c.says)
		}
	}
	uuid := a.Registration().UUID
	a.Stop()
	st.Close()
	info, err := os.Stat(kept + "/engine-se-1.last-good.json")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the last good configuration: %v, %v", info, err)
	}
	offline(t, cfg, kept, uuid, revision)
}

// offline starts an agent without its store.
func offline(t *testing.T, cfg Config, kept, uuid string, revision int64) {
	gone, err := store.Open(t.Context(), store.Config{URLs: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	cfg.Store = gone
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s := a.Engine().Status(); len(s.Services) != 1 || s.Revision != uint64(revision) || a.Registration().UUID != uuid {
		t.Errorf("from disk it runs %+v as %s", s, a.Registration().UUID)
	}
	a.Stop()
	file := kept + "/engine-se-1.last-good.json"
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{
		"damaged": bytes.Replace(whole, []byte("192.0.2.1"), []byte("192.0.2.9"), 1), "damaged: ": whole[:len(whole)/2],
		"newer": bytes.Replace(whole, []byte(`"format":1`), []byte(`"format":99`), 1),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := (&Agent{cfg: cfg}).load()
		if _, aside := os.Stat(file + ".bad"); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(what, ": ")) || aside != nil {
			t.Errorf("%s: %v, set aside: %v", what, err, aside)
		}
		os.Remove(file + ".bad")
	}
}
