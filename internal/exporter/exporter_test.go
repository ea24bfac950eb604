package exporter

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/quick"
)

func serve(t *testing.T, set *object.Set) string {
	t.Helper()
	e, err := engine.Start(engine.Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	s, err := Serve("127.0.0.1:0", e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return "http://" + s.Addr.String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func quickSet(t *testing.T) *object.Set {
	t.Helper()
	set, err := quick.Set([]string{"udp://127.0.0.1:0"}, []string{"127.0.0.1:9"}, quick.Options{NoMonitor: true})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Every metric of ours that is shown has its line in docs/metrics.md.
func TestMetricsAreDocumented(t *testing.T) {
	status, text := get(t, serve(t, quickSet(t))+"/metrics")
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^# TYPE carillon_(\S+)`).FindAllStringSubmatch(text, -1)
	if len(names) < 10 {
		t.Fatalf("only %d metrics:\n%s", len(names), text)
	}
	for _, n := range names {
		if !strings.Contains(string(doc), "`"+n[1]+"`") {
			t.Errorf("carillon_%s has no line in docs/metrics.md", n[1])
		}
	}
	for _, want := range []string{"carillon_revision 1", `carillon_server_up{pool="default",server="127.0.0.1:9"} 1`, "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestHealthzAndReadyz(t *testing.T) {
	url := serve(t, quickSet(t))
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := get(t, url+path); status != 200 || text != "ok\n" {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
	set := quickSet(t)
	set.Pools[0].Servers[0].Enabled = false
	status, text := get(t, serve(t, set)+"/readyz")
	if status != 503 || !strings.Contains(text, "no server of Pool/default is up") {
		t.Errorf("/readyz without a server: %d %q", status, text)
	}
}

// A service that answers every request with 503 is not ready, whatever its pool is.
func TestReadyzWithoutTraffic(t *testing.T) {
	set := quickSet(t)
	set.VirtualServices[0].TrafficEnabled = false
	if status, text := get(t, serve(t, set)+"/readyz"); status != 503 || text != "VirtualService/default: traffic_enabled is false\n" {
		t.Errorf("/readyz: %d %q", status, text)
	}
}

// What is too few to serve is said in the words of the field that says so, and a server by its hostname.
func TestWordsOfTheObjects(t *testing.T) {
	set := quickSet(t)
	set.Pools[0].MinServersUp, set.Pools[0].Servers[0].Hostname = 2, "as1"
	url := serve(t, set)
	if status, text := get(t, url+"/readyz"); status != 503 || text != "VirtualService/default: servers of Pool/default that are up: 1, min_servers_up is 2\n" {
		t.Errorf("/readyz: %d %q", status, text)
	}
	_, text := get(t, url+"/metrics")
	for _, want := range []string{`carillon_pool_up{pool="default"} 0`, `carillon_pool_servers_up{pool="default"} 1`, `carillon_pool_min_servers_up{pool="default"} 2`,
		`carillon_server_info{name="as1",pool="default",server="127.0.0.1:9"} 1`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	if _, err := Serve("127.0.0.1:99999", nil); err == nil || !strings.Contains(err.Error(), "--metrics 127.0.0.1:99999") {
		t.Errorf("error: %v", err)
	}
}
