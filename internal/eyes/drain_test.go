package eyes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/view"
)

// Who waits for a drain goes on waiting when the controller is away for a moment, and says so.
func TestDrainOutlivesController(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case asked.Add(1) == 1:
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close() // as a controller that ends
		default:
			_, _ = io.WriteString(w, `[{"server":"pbx-1","state":"disabled"}]`)
		}
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Server: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	var out, notes bytes.Buffer
	e := &Eyes{Client: c, Screen: &view.Screen{Out: &out}, Note: func(format string, args ...any) { fmt.Fprintf(&notes, format, args...) }}
	if err := e.awaitDrain(t.Context(), "pool-1", DrainOptions{Pool: "edge", Server: "pbx-1"}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "pbx-1 has no call left.") || !strings.Contains(notes.String(), "the drain goes on, and is asked for again") {
		t.Errorf("%s\n%s", out.String(), notes.String())
	}
}
