package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// damage writes over the record of an object, as a newer version might.
func (p *plane) damage(kind, uuid, text string) {
	p.t.Helper()
	txn := store.Txn{Put: []store.KV{{Key: catalog.Key(kind, uuid), Value: []byte(text)}, {Key: catalog.Generation, Value: []byte("1")}}}
	if _, _, err := p.st.Commit(p.t.Context(), txn); err != nil {
		p.t.Fatal(err)
	}
}

// services are the virtual services that an engine runs.
func services(a *Agent) string {
	var names []string
	for _, s := range a.Engine().Status().Services {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestUnreadableRecord holds that one record which nobody can read stands in the way of nothing else: while the engine
// runs, after a restart, and for an engine that never ran it.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	p := startPlane(t)
	dir := t.TempDir()
	a := p.start(dir)
	await(t, "the engine is registered", func() bool { return len(p.c.Engines()) == 1 })
	farm := p.farm(0)
	p.live(farm.Revision)
	pool := farm.Records[1]
	good, err := pool.Encode()
	if err != nil {
		t.Fatal(err)
	}
	host := 0
	change := func(name string) controller.Live {
		t.Helper()
		host++
		return p.live(p.do(create("VsVip", `{"name":"%s","vip":["127.0.2.%d"]}`, name, host), create("Pool", `{"name":"%s","servers":["127.0.0.3:5060"]}`, name),
			create("VirtualService", `{"name":"%s","vsvip_ref":"%[1]s","pool_ref":"%[1]s","services":[{"port":0}]}`, name)).Revision)
	}
	at := "Pool/" + pool.UUID()
	p.damage("Pool", pool.UUID(), `{"kind":"Pool","object":{"name":"edge","of_tomorrow":1}}`)
	if live := change("second"); !live.Engines[0].Live || !strings.Contains(live.Engines[0].Errors[at], "cannot be read") || len(live.Engines[0].Errors) != 1 {
		t.Errorf("while it runs: %+v", live)
	}
	if got := services(a); got != "edge second" {
		t.Errorf("while it runs: %s", got)
	}
	a.Stop()
	await(t, "the engine is gone", func() bool { return len(p.c.Engines()) == 0 })

	a = p.start(dir)
	await(t, "the engine is back", func() bool { return len(p.c.Engines()) == 1 })
	if live := change("third"); !live.Engines[0].Live || !strings.Contains(live.Engines[0].Errors[at], "before the start") || len(live.Engines[0].Errors) != 1 {
		t.Errorf("after a restart: %+v", live)
	}
	if got := services(a); got != "edge second third" {
		t.Errorf("after a restart: %s", got)
	}
	a.Stop()
	await(t, "the engine is gone", func() bool { return len(p.c.Engines()) == 0 })

	a = p.start(t.TempDir())
	defer a.Stop()
	await(t, "another engine is there", func() bool { return len(p.c.Engines()) == 1 })
	live := change("fourth")
	if e := live.Engines[0]; !e.Live || !strings.Contains(e.Errors[at], "cannot be read") || !strings.Contains(e.Errors["VirtualService/edge"], "left out: pool_ref") || len(e.Errors) != 2 {
		t.Errorf("an engine that never ran it: %+v", live)
	}
	if got := services(a); got != "fourth second third" {
		t.Errorf("an engine that never ran it: %s", got)
	}
	p.damage("Pool", pool.UUID(), string(good)) // and now it is whole again
	if live := change("fifth"); !live.Live {
		t.Errorf("repaired: %+v", live)
	}
	if got := services(a); got != "edge fifth fourth second third" {
		t.Errorf("repaired: %s", got)
	}
}

// TestMend holds that what is left of any configuration with any records missing can be run, and lacks nothing that
// does not hang on those.
func TestMend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "services")
		pick := rapid.IntRange(0, n-1)
		v := catalog.Empty()
		add := func(kind, format string, args ...any) {
			o, err := object.Decode(kind, fmt.Appendf(nil, format, args...))
			if err != nil {
				t.Fatal(err)
			}
			v = v.With(catalog.Change{Put: catalog.NewRecord(o, catalog.AdminTenant, 1, 1)})
		}
		uses := make([][2]int, n)
		for i := range n {
			uses[i] = [2]int{pick.Draw(t, "vip"), pick.Draw(t, "pool")}
			add("VsVip", `{"name":"vip%d","uuid":"vsvip-%[1]d","vip":["127.0.1.%[1]d"]}`, i)
			add("Pool", `{"name":"pool%d","uuid":"pool-%[1]d","servers":["127.0.0.2:5060"]}`, i)
			add("VirtualService", `{"name":"vs%d","uuid":"virtualservice-%[1]d","vsvip_ref":"vsvip-%d","pool_ref":"pool-%d","services":[{"port":%d}]}`, i, uses[i][0], uses[i][1], 5000+i)
		}
		whole := v.Set()
		if err := whole.Validate(); err != nil {
			t.Fatal(err)
		}
		var last *object.Set
		if rapid.Bool().Draw(t, "ran before") {
			last = whole
		}
		gone := map[string]bool{}
		for range rapid.IntRange(0, 3).Draw(t, "damaged") {
			kind := rapid.SampledFrom([]string{"Pool", "VsVip", "VirtualService"}).Draw(t, "kind")
			uuid := fmt.Sprint(strings.ToLower(kind), "-", pick.Draw(t, "which"))
			if gone[uuid] {
				continue
			}
			gone[uuid] = true
			v = v.With(catalog.Change{Gone: uuid})
			v.Faults = append(v.Faults, catalog.Fault{Key: catalog.Key(kind, uuid), Err: errors.New("damaged")})
		}
		m, err := mend(v, v.Set(), last)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.set.Validate(); err != nil {
			t.Fatalf("what is left cannot be run: %v", err)
		}
		for i, u := range uses {
			hurt := gone[fmt.Sprint("virtualservice-", i)] || gone[fmt.Sprint("vsvip-", u[0])] || gone[fmt.Sprint("pool-", u[1])]
			name := fmt.Sprint("vs", i)
			if there := m.set.VirtualService(name) != nil; there != (!hurt || last != nil) {
				t.Errorf("%s: there %t, hurt %t, ran before %t: %v", name, there, hurt, last != nil, m.faults)
			}
			if _, told := m.faults["VirtualService/"+name]; told && !hurt {
				t.Errorf("%s has no fault, and one is told: %v", name, m.faults)
			}
		}
		if len(gone) == 0 && (len(m.faults) > 0 || m.set == nil) || len(m.faults) < len(gone) {
			t.Errorf("%d damaged, faults %v", len(gone), m.faults)
		}
	})
}
