package eyes

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
)

// What is said of the controller: whether it takes changes, what to do if not, and until when its certificate is good.
func TestDoctorLooksAtTheController(t *testing.T) {
	day := 24 * time.Hour
	until := func(left time.Duration) string {
		return `{"ready":true,"certificate_until":"` + time.Now().Add(left+time.Hour).UTC().Format(time.RFC3339) + `"}`
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		state  string // of what is found last
		says   string
		mend   string
	}{
		{"well", 200, until(90 * day), "ok", "90 days are left", ""},
		{"in time", 200, until(20 * day), "ok", "20 days are left", ""},
		{"soon", 200, until(10 * day), "warn", "10 days are left", "without a restart"},
		{"over", 200, until(-3 * day), "bad", "it ended 2 days ago", "--api-cert"},
		{"without TLS", 200, `{"ready":true}`, "ok", "takes changes", ""},
		{"full", 503, `{"error":"changes are refused, deletes too: 'carillon store defrag' makes room"}`, "bad", "deletes too", "carillon store status"},
		{"away", 503, `{"error":"the store cannot be reached"}`, "bad", "cannot be reached", "See that the store runs"},
	} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		cl, err := client.New(client.Config{Server: api.URL})
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{e: &Eyes{Client: cl}}
		err = d.controller(t.Context())
		api.Close()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if f := d.found[len(d.found)-1]; f.State != c.state || !strings.Contains(f.Says, c.says) || !strings.Contains(f.Mend, c.mend) || (f.State == "ok") != (f.Mend == "") {
			t.Errorf("%s: %+v, want %s %q", c.name, f, c.state, c.says)
		}
	}
}
