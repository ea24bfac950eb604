//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
)

// What the control plane is measured with, and how it should do.
const (
	manyServices   = 1000
	manyServers    = 20
	controlPort    = 20000 // of the first virtual service
	controlAPI     = "127.0.0.1:9443"
	benchPassword  = "the password of the benchmark"
	readsPerS      = 200
	writesPerS     = 50
	targetRestart  = 5 * time.Second
	targetLive     = 50 * time.Millisecond // p99
	targetShift    = 1.20                  // of the message path's p99
	targetMemoryMB = 300.0
	edits          = 300
)

// control measures the whole program with a thousand virtual services: start, changes, and both beside traffic.
func (b *bench) control() error {
	if err := b.openFarm(); err != nil {
		return err
	}
	file := b.path("many.yaml")
	if err := os.WriteFile(file, manyObjects(), 0o600); err != nil {
		return err
	}
	if err := os.RemoveAll(b.path("data")); err != nil { // an earlier run's
		return err
	}
	t := table{title: fmt.Sprintf("Control plane: %s virtual services with %d servers each", thousands(manyServices), manyServers), columns: targetColumns}
	p, err := b.startWhole("-f", file)
	if err == nil {
		_, err = b.untilLive(p)
	}
	b.end(p)
	if err != nil {
		return err
	}
	p, err = b.startWhole()
	defer b.stop(p)
	if err != nil {
		return err
	}
	began := time.Now()
	c, err := b.untilLive(p)
	if err != nil {
		return err
	}
	took := time.Since(began)
	t.add("start with all of them, until API and engine have them, s", fmt.Sprintf("%.2f", took.Seconds()), "", fmt.Sprintf("below %.0f", targetRestart.Seconds()), took < targetRestart)
	if err := b.ready(b.farm, p); err != nil {
		return err
	}
	if err := b.changes(c, &t); err != nil {
		return err
	}
	if err := b.besideTraffic(p, c, &t); err != nil {
		return err
	}
	rss, err := rssMB(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	t.add("resident after all that, MB", fmt.Sprintf("%.0f", rss), "", fmt.Sprintf("at most %.0f", targetMemoryMB), rss <= targetMemoryMB)
	b.tables = append(b.tables, t)
	return nil
}

// startWhole starts both wings on a store that stays from one start to the next.
func (b *bench) startWhole(more ...string) (*peer, error) {
	p := &peer{name: "carillon, both wings", port: controlPort}
	for cpu := range runtime.NumCPU() {
		p.cpus = append(p.cpus, cpu)
	}
	path := b.path("carillon")
	if b.carillon != "" {
		path = b.carillon
	}
	if err := os.WriteFile(b.path("password"), []byte(benchPassword+"\n"), 0o600); err != nil {
		return p, err
	}
	args := append([]string{"run", "--data", b.path("data"), "--api", controlAPI, "--admin-password-file", b.path("password"), "--workers", "1", "--log-level", "error"}, more...)
	return p, b.start(p, path, args...)
}

// end lets the program end by itself, so that its store is closed well.
func (b *bench) end(p *peer) {
	if p.cmd != nil && p.cmd.Process != nil && p.running() {
		_ = p.cmd.Process.Signal(os.Interrupt)
		select {
		case <-p.exited:
		case <-time.After(10 * time.Second):
		}
	}
	b.stop(p)
}

// manyObjects is a file with all objects. The first virtual service has the farm, so that it can be called.
func manyObjects() []byte {
	var out bytes.Buffer
	out.WriteString("VsVip:\n- {name: here, vip: [127.0.0.1]}\nApplicationProfile:\n- {name: sip, type: sip, sip_service_profile: {record_route: true}}\nVirtualService:\n")
	for i := range manyServices {
		fmt.Fprintf(&out, "- {name: vs-%d, services: [%d], vsvip_ref: here, pool_ref: pool-%d, application_profile_ref: sip}\n", i, controlPort+i, i)
	}
	out.WriteString("Pool:\n")
	for i := range manyServices {
		list := farmList(serversPort, servers)
		if i > 0 {
			list = nil
			for j := range manyServers {
				list = append(list, fmt.Sprintf("127.%d.%d.%d:5060", 32+i/250, 1+i%250, 1+j))
			}
		}
		fmt.Fprintf(&out, "- {name: pool-%d, lb_algorithm: consistent-hash, lb_algorithm_hash: call-id, servers: [%s]}\n", i, strings.Join(list, ", "))
	}
	return out.Bytes()
}

// untilLive waits until the API answers and the engine runs what the store has.
func (b *bench) untilLive(p *peer) (*client.Client, error) {
	c, err := client.New(client.Config{Server: controlAPI, User: "admin", Password: benchPassword, Insecure: true})
	if err != nil {
		return nil, err
	}
	last := error(nil)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end) && p.running(); time.Sleep(10 * time.Millisecond) {
		data, err := c.Do(context.Background(), "GET", "/api/live", nil)
		if last = err; err != nil {
			continue
		}
		var said struct {
			Live    bool
			Engines []any
		}
		if err := json.Unmarshal(data, &said); err == nil && said.Live && len(said.Engines) == 1 {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s is not live: %v; see %s", p.name, last, p.log)
}

// pools are the uuids of all pools but the one that is called.
func pools(c *client.Client) ([]string, error) {
	list, err := c.List(context.Background(), "pool", map[string][]string{"fields": {"name"}})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, raw := range list {
		var o struct{ Name, UUID string }
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, err
		}
		if o.Name != "pool-0" {
			out = append(out, o.UUID)
		}
	}
	return out, nil
}

// edit changes one pool: a server more, or less.
func edit(c *client.Client, uuid string, n int, query string) error {
	verb := "add"
	if n%2 == 1 {
		verb = "delete"
	}
	_, err := c.Do(context.Background(), "PATCH", "/api/pool/"+uuid+query, map[string]any{verb: map[string]any{"servers": []string{"127.99.0.1:5060"}}})
	return err
}

// changes measures one change after the other, each until the engine runs it.
func (b *bench) changes(c *client.Client, t *table) error {
	uuids, err := pools(c)
	if err != nil {
		return err
	}
	var took []float64
	n := edits
	if b.quick {
		n = 60
	}
	for i := range n {
		began := time.Now()
		if err := edit(c, uuids[i/2%len(uuids)], i, "?wait=10s&fields=name"); err != nil {
			return err
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	at := func(part float64) float64 { return took[int(part*float64(len(took)-1))] }
	live := float64(targetLive.Milliseconds())
	t.rows = append(t.rows, []string{"one change, from request to answer of ?wait: p50, ms", fmt.Sprintf("%.1f", at(.5)), "", "", ""})
	t.add("p99, ms", fmt.Sprintf("%.1f", at(.99)), "", fmt.Sprintf("below %.0f", live), at(.99) < live)
	return nil
}

// besideTraffic measures calls with and without reads and writes beside them, in turn; and, for what this machine does to
// whoever shares its CPUs with that work, calls through the bare relay beside the same reads and writes.
func (b *bench) besideTraffic(p *peer, c *client.Client, t *table) error {
	uuids, err := pools(c)
	if err != nil {
		return err
	}
	if b.maximum == 0 {
		r, err := b.once(p, []string{"window=64", fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3"})
		if err != nil {
			return err
		}
		b.maximum = r.CallsPerS
	}
	relay, err := b.startRelay("single", firstProxy)
	defer b.stop(relay)
	if err != nil {
		return err
	}
	words := []string{fmt.Sprintf("rate=%.0f", b.maximum/3), fmt.Sprintf("secs=%.1f", b.latencySecs), "warmup=0.3"}
	ours, bare := &shift{peer: p}, &shift{peer: relay}
	for range b.latencyRounds {
		for _, s := range []*shift{ours, bare} {
			if err := b.besideOnce(s, c, uuids, words); err != nil {
				return err
			}
		}
	}
	b.judge("control", p, append(ours.calm, ours.busy...)...)
	what := fmt.Sprintf("the same beside %d reads and %d writes a second, over that", ours.reads, ours.writes)
	t.rows = append(t.rows, []string{fmt.Sprintf("INVITE to 200 at %s calls/s, p99, µs", thousands(b.maximum/3)), fmt.Sprintf("%.0f", median(of(ours.calm, p99))), quartiles(of(ours.calm, p99)), "", ""})
	by := ratios(ours.busy, ours.calm, p99)
	t.add(what, fmt.Sprintf("%.2f", median(by)), quartiles(by), fmt.Sprintf("at most %.2f", targetShift), median(by) <= targetShift)
	t.rows = append(t.rows, []string{"the bare relay in its place, on CPU 0: p99, µs", fmt.Sprintf("%.0f", median(of(bare.calm, p99))), quartiles(of(bare.calm, p99)), "", ""})
	by = ratios(bare.busy, bare.calm, p99)
	t.rows = append(t.rows, []string{"the bare relay beside the same reads and writes of carillon, over that", fmt.Sprintf("%.2f", median(by)), quartiles(by), "", ""})
	b.note("control: generator, clients of the API, and both wings share the CPUs; docs/adr/0016-calls-beside-changes.md tells what waits for what then, and why the relay moves too.")
	return nil
}

// shift is how calls through a peer went without and with reads and writes beside them.
type shift struct {
	peer          *peer
	calm, busy    []result
	reads, writes int // a second, in the last round
}

// besideOnce measures one round of a peer.
func (b *bench) besideOnce(s *shift, c *client.Client, uuids []string, words []string) error {
	r, err := b.once(s.peer, words)
	if err != nil {
		return err
	}
	s.calm = append(s.calm, r)
	stop := load200(c, uuids)
	r, err = b.once(s.peer, words)
	reads, writes, failed := stop()
	if err != nil {
		return err
	}
	if failed != nil {
		b.failed("control: a request beside traffic failed: %v", failed)
	}
	s.busy = append(s.busy, r)
	s.reads, s.writes = reads, writes
	return nil
}

// load200 reads and writes at the rates wanted until the function it returns is called, which tells the rates it had.
func load200(c *client.Client, uuids []string) func() (reads, writes int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var done [2]atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	at := func(perS, kind int, do func(n int) error) {
		wg.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(perS))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if err := do(n); err != nil && ctx.Err() == nil {
					failed.Store(&err)
				}
				done[kind].Add(1)
			}
		})
	}
	for range 4 { // a read may take longer than the time to the next
		at(readsPerS/4, 0, func(int) error {
			_, err := c.Do(ctx, "GET", "/api/pool/"+uuids[rand.IntN(len(uuids))], nil)
			return err
		})
	}
	at(writesPerS, 1, func(n int) error { return edit(c, uuids[n/2%len(uuids)], n, "?fields=name") })
	return func() (int, int, error) {
		took := time.Since(began).Seconds()
		cancel()
		wg.Wait()
		var err error
		if e := failed.Load(); e != nil {
			err = *e
		}
		return int(float64(done[0].Load())/took + .5), int(float64(done[1].Load())/took + .5), err
	}
}
