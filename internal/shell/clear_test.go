package shell

import (
	"testing"

	"github.com/carillon-sip/carillon/internal/view"
)

// What was there when counters were cleared is taken away, of counters alone, item by item; an engine that has started
// anew counts from its start.
func TestSubtract(t *testing.T) {
	const before = `[{"se_name":"a","open_conns":7,"requests":{"INVITE":10},"rx_bytes":100,"latency":{"p50_us":9}},{"se_name":"b","rx_bytes":50}]`
	for _, c := range []struct{ now, want string }{
		{`[{"se_name":"b","rx_bytes":60},{"se_name":"a","open_conns":9,"requests":{"INVITE":15,"BYE":3},"rx_bytes":100,"latency":{"p50_us":12}}]`,
			`[{"se_name":"b","rx_bytes":10},{"se_name":"a","open_conns":9,"requests":{"INVITE":5,"BYE":3},"rx_bytes":0,"latency":{"p50_us":12}}]`},
		{`[{"se_name":"b","rx_bytes":4}]`, `[{"se_name":"b","rx_bytes":4}]`},
		{`[{"se_name":"c","rx_bytes":70}]`, `[{"se_name":"c","rx_bytes":70}]`},
		{`{"error":"gone"}`, `{"error":"gone"}`},
	} {
		old, err := view.Parse([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		now, err := view.Parse([]byte(c.now))
		if err != nil {
			t.Fatal(err)
		}
		subtract(now, old, false)
		if got := string(now.JSON()); got != c.want {
			t.Errorf("%s\n%s, want\n%s", c.now, got, c.want)
		}
	}
}
