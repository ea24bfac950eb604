package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// The certificate is replaced a thousand times while calls come, each over a connection of its own: none fails, each new
// one is served, a connection of before stays, and memory does not grow.
func TestCertificateReloads(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in speaks UDP")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	lab.Require(t, "sipp")
	const reloads, settled = 1000, 200
	server := lab.Addr(t, "127.0.0.11")
	lab.StartSIPp(t, lab.SIPpSpec{Name: "server", Scenario: "server", Local: server, Transport: "t1"})
	e := &lab.Edge{Listen: lab.Addr(t, "127.0.0.1"), Secure: lab.Addr(t, "127.0.0.1"), Cert: lab.MakeCert(t, nil, time.Now().Add(time.Hour), "0.example.test"),
		Pools: []lab.EdgePool{{Name: "pool", Over: "tcp", Servers: []lab.PoolServer{{Addr: server}}}}}
	// With GOGC at 25 the goal of the next collection is the living heap and a quarter.
	b := e.Start(t, lab.Setup{Env: []string{"GOGC=25"}})
	early := dialTLS(t, e)
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: e.Secure, Calls: 1_000_000, Rate: 50,
		Transport: "ln", Hold: 50 * time.Millisecond, Args: []string{"-max_socket", "1000"}})
	var before, after heap
	for n := range reloads {
		name := fmt.Sprintf("%d.example.test", n+1)
		e.Cert = lab.MakeCert(t, nil, time.Now().Add(time.Hour), name)
		b.Rewrite(e.YAML())
		lab.Until(t, "the certificate of "+name+" is served", func() bool {
			c := dialTLS(t, e)
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].Subject.CommonName == name
		})
		if n+1 == settled {
			before = heapOf(t, b)
		}
	}
	after = heapOf(t, b)
	t.Logf("after %d reloads %+v, after %d %+v", settled, before, reloads, after)
	// A certificate that is kept takes 10 KB at least; tables of calls still grow a little.
	if after.goal > before.goal+(reloads-settled)*6<<10 || after.routines > before.routines*1.5+50 {
		t.Errorf("memory grows: %+v after %d reloads, %+v after %d", before, settled, after, reloads)
	}
	tally := caller.Quit()
	if tally.Failed > 0 || tally.Succeeded < 100 {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
	t.Logf("%d calls", tally.Succeeded)
	io.WriteString(early, "\r\n\r\n")
	early.SetReadDeadline(time.Now().Add(lab.Patience))
	if line, err := bufio.NewReader(early).ReadString('\n'); line != "\r\n" {
		t.Errorf("a connection from before the reloads got %q, %v", line, err)
	}
	if n := b.Sum("connections_closed_total") - b.Sum("connections_closed_total", `reason="peer_closed"`); n != 0 {
		t.Errorf("%g connections ended otherwise than by their clients", n)
	}
}

func dialTLS(t *testing.T, e *lab.Edge) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", e.Secure.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// heap is what a program holds, in octets, as of its latest collection.
type heap struct{ goal, routines float64 }

// heapOf waits for a collection that began after the call.
func heapOf(t *testing.T, b *lab.Balancer) heap {
	t.Helper()
	const count = "go_gc_duration_seconds_count"
	first := b.Metrics()[count]
	var m map[string]float64
	lab.Until(t, "two collections", func() bool { // one may be under way
		m = b.Metrics()
		return m[count] >= first+2
	})
	return heap{m["go_memstats_next_gc_bytes"], m["go_goroutines"]}
}
