package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/carillon-sip/carillon/internal/client"
)

// A change of many objects tells how far it is, phase by phase, and ends with the answer or with the refusal that it would
// have had at once.
func TestProgress(t *testing.T) {
	w := newWorld(t)
	c, err := client.New(client.Config{Server: w.api.URL(), User: "admin", Password: password, Fingerprint: w.api.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 1000
	var pools []map[string]any
	for i := range n {
		pools = append(pools, map[string]any{"name": fmt.Sprint("p", i)})
	}
	body, err := json.Marshal(map[string]any{"Pool": pools})
	if err != nil {
		t.Fatal(err)
	}
	var phases []string
	sent, received := int64(0), int64(0)
	tell := client.Telling{
		Sent: func(done, of int64) {
			if sent = done; done > of || of != int64(len(body)) {
				t.Errorf("%d of %d octets sent, want %d", done, of, len(body))
			}
		},
		Progress: func(phase string, done, of int) {
			if done >= of || of != n {
				t.Errorf("%s: %d of %d, want less than %d", phase, done, of, n)
			}
			phases = append(phases, phase)
		},
		Received: func(done, _ int64) { received = done },
	}
	res, err := c.Apply(t.Context(), body, nil, tell)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Compact(slices.Clone(phases)), []string{"read", "plan", "check", "store"}; !slices.Equal(got, want) || len(phases) != 3*4+1 {
		t.Errorf("phases %v, want several each of %v", phases, want)
	}
	if len(res.Objects) != n || !res.Changed || sent != int64(len(body)) || received == 0 {
		t.Errorf("%d objects, %d of %d octets sent, %d received", len(res.Objects), sent, len(body), received)
	}
	live, err := c.AwaitLive(t.Context(), res.Revision, 0, func(*client.Live) {})
	if err != nil || !live.Live || len(live.Engines) != 0 {
		t.Errorf("%+v %v: without an engine nothing is waited for", live, err)
	}

	var refused *client.Error
	_, err = c.Apply(t.Context(), []byte(`{"Pool": [{"name": "a", "health_monitor_refs": ["nowhere"]}]}`), nil, client.Telling{Progress: func(string, int, int) {}})
	_, plain := c.Apply(t.Context(), []byte(`{"Pool": [{"name": "a", "health_monitor_refs": ["nowhere"]}]}`), nil, client.Telling{})
	if !errors.As(err, &refused) || refused.Status != 400 || plain == nil || err.Error() != plain.Error() {
		t.Errorf("%v, want what is said without progress: %v", err, plain)
	}
}
