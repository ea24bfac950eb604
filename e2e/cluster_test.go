package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// Three controllers and three engines on an etcd cluster of three; one member of it is killed and comes back while
// everybody writes and calls run on every engine. No write that was acknowledged is lost, and no call.
func TestCluster(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no cluster")
	}
	lab.Require(t, "sipp")
	c := startCluster(t)
	l := load{calls: 3000, rate: 150, hold: 300 * time.Millisecond}
	if testing.Short() {
		l.calls = 1500
	}
	var callers []*lab.SIPp
	for i, to := range c.engines {
		callers = append(callers, c.call([]string{"caller", "caller-2", "caller-3"}[i], l, to))
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writers := make([]*writer, len(c.apis))
	for i, api := range c.apis {
		writers[i] = &writer{api: api, name: fmt.Sprintf("writer-%d", i+1)}
		writing.Go(func() { writers[i].run(stop) })
	}
	c.awaitCall(l.calls / 5)
	leader := c.leader()
	c.etcd.Members[leader].Kill()
	t.Logf("etcd-%d, the leader, is killed", leader+1)
	c.awaitCall(l.calls * 3 / 5)
	c.etcd.Revive(leader)
	t.Logf("etcd-%d is back", leader+1)
	for i, caller := range callers {
		tally := caller.Finish(loadLimit)
		if tally.Succeeded != l.calls || tally.Failed != 0 {
			t.Errorf("engine %d: %d of %d calls succeeded, %d failed\n%s", i+1, tally.Succeeded, l.calls, tally.Failed, caller.Errors())
		}
	}
	close(stop)
	writing.Wait()
	c.expectAll(writers)
}

// cluster is a farm behind three engines.
type cluster struct {
	*farm
	etcd      *lab.Etcd
	apis      []*lab.API
	engines   []netip.AddrPort
	processes []*lab.Process // of engines
	dirs      []string       // likewise
	round     int            // of callers
}

var listening = regexp.MustCompile(`udp://(127\.0\.0\.1:[0-9]+)`)

func startCluster(t *testing.T) *cluster {
	c := &cluster{farm: &farm{t: t, addrs: lab.Addrs(t, "127.0.0.11", "127.0.0.12"), wire: lab.StartCapture(t), scenario: "server"}}
	c.names = c.wire.Names
	for i := range c.addrs {
		c.servers = append(c.servers, c.startServer(i))
	}
	c.etcd = lab.StartEtcd(t)
	for i := range 3 {
		_, api := lab.StartController(t, fmt.Sprintf("controller-%d", i+1), c.etcd.URLs())
		c.apis = append(c.apis, api)
	}
	for _, api := range c.apis {
		lab.Until(t, "the API of every controller answers", func() bool {
			status, _, err := api.Try("GET", "/api/cluster/status", nil)
			return err == nil && status == 200
		})
	}
	c.build()
	c.engines, c.processes = make([]netip.AddrPort, 3), make([]*lab.Process, 3)
	for i := range 3 {
		c.dirs = append(c.dirs, t.TempDir())
		c.restart(i)
	}
	return c
}

// restart starts an engine, again with the directory that it had, and learns where it listens.
func (c *cluster) restart(i int) {
	c.t.Helper()
	name := fmt.Sprintf("se-%d", i+1)
	c.processes[i] = lab.StartEngine(c.t, name, c.etcd.URLs(), c.dirs[i])
	m := listening.FindStringSubmatch(c.processes[i].WaitLine(`"msg":"listening"`))
	if m == nil {
		c.t.Fatalf("%s listens nowhere", name)
	}
	c.engines[i] = netip.MustParseAddrPort(m[1])
	c.names[c.engines[i]] = name
}

// onDisk reports whether every engine has kept its configuration.
func (c *cluster) onDisk(t *testing.T) bool {
	for _, dir := range c.dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*last-good.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 {
			return false
		}
	}
	return true
}

// call starts a caller with a name of its own, which is in its Call-IDs.
func (c *cluster) call(name string, l load, to netip.AddrPort) *lab.SIPp {
	c.t.Helper()
	from := lab.Addr(c.t, "127.0.0.2")
	c.names[from] = name
	return lab.StartSIPp(c.t, lab.SIPpSpec{Name: name, Scenario: "caller", Local: from, Remote: to, Calls: l.calls, Rate: l.rate, Hold: l.hold})
}

// build makes the objects, each at another controller. The service listens on any free port, so that three engines fit
// on one machine.
func (c *cluster) build() {
	var servers []any
	for _, a := range c.addrs {
		servers = append(servers, a.String())
	}
	c.apis[0].Do("POST", "/api/pool", map[string]any{"name": "servers", "lb_algorithm": "LB_ALGORITHM_CONSISTENT_HASH",
		"lb_algorithm_hash": "LB_ALGORITHM_CONSISTENT_HASH_CALLID", "servers": servers, "connection_ramp_duration": 0})
	c.apis[1].Do("POST", "/api/vsvip", map[string]any{"name": "here", "vip": []any{"127.0.0.1"}})
	c.apis[2].Do("POST", "/api/virtualservice", map[string]any{"name": "sip", "vsvip_ref": "here", "pool_ref": "servers", "services": []any{map[string]any{"port": 0}}})
}

// leader is the member that leads.
func (c *cluster) leader() int {
	nodes, _ := c.apis[0].Do("GET", "/api/cluster/runtime", nil)["node_states"].([]any)
	for _, n := range nodes {
		node := n.(map[string]any)
		for i := range c.etcd.Members {
			if node["role"] == "CLUSTER_LEADER" && node["name"] == c.etcd.Clients[i] {
				return i
			}
		}
	}
	c.t.Fatalf("nobody leads: %v", nodes)
	return 0
}

// writer makes objects at one controller, as fast as it is let.
type writer struct {
	api     *lab.API
	name    string
	acked   []string // names of those that were answered with 201
	refused int      // 503: nothing was changed, or nobody knows
	odd     []string // any other answer
}

func (w *writer) run(stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		name := fmt.Sprintf("%s-%d", w.name, n)
		status, said, err := w.api.Try("POST", "/api/ipaddrgroup", map[string]any{"name": name, "addrs": []any{map[string]any{"addr": "192.0.2.1", "type": "V4"}}})
		switch {
		case err == nil && status == 201:
			w.acked = append(w.acked, name)
		case err == nil && status == 503:
			w.refused++
		default:
			w.odd = append(w.odd, fmt.Sprintf("%s: %d %v %v", name, status, said, err))
		}
	}
}

// expectAll checks that every controller has every object that was acknowledged, and every engine the newest revision.
func (c *cluster) expectAll(writers []*writer) {
	c.t.Helper()
	c.apis[0].Do("PATCH", "/api/pool/"+c.apis[0].Named("pool", "servers")["uuid"].(string), map[string]any{"replace": map[string]any{"description": "the end"}})
	for i, api := range c.apis {
		var names []string
		for page := 1; ; page++ {
			said := api.Do("GET", fmt.Sprintf("/api/ipaddrgroup?fields=name&page_size=200&page=%d", page), nil)
			for _, o := range said["results"].([]any) {
				names = append(names, o.(map[string]any)["name"].(string))
			}
			if said["next"] == nil {
				break
			}
		}
		for _, w := range writers {
			for _, name := range w.acked {
				if !slices.Contains(names, name) {
					c.t.Errorf("controller %d has lost %s, which was acknowledged", i+1, name)
				}
			}
		}
	}
	for _, w := range writers {
		c.t.Logf("%s: %d writes acknowledged, %d refused", w.name, len(w.acked), w.refused)
		if len(w.acked) < 50 || len(w.odd) > 0 {
			c.t.Errorf("%s: %d writes acknowledged, odd answers: %v", w.name, len(w.acked), w.odd)
		}
	}
	live := c.apis[1].Do("GET", "/api/live?wait=20s", nil)
	if live["live"] != true || len(live["engines"].([]any)) != len(c.engines) {
		c.t.Errorf("not every engine runs the newest revision: %v", live)
	}
}
