package agent

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/alloctest"
	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/object"
)

func mustRecord(b testing.TB, kind, text string, version uint32) *catalog.Record {
	b.Helper()
	o, err := object.Decode(kind, []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	return catalog.NewRecord(o, catalog.AdminTenant, version, int64(version))
}

// manyPool is a pool of so many servers.
func manyPool(b testing.TB, i, servers int, version uint32) *catalog.Record {
	list := make([]string, servers)
	for j := range list {
		list[j] = fmt.Sprintf("127.%d.%d.%d:5060", 32+i/250, 1+i%250, 1+j)
	}
	names, err := json.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	return mustRecord(b, "Pool", fmt.Sprintf(`{"name":"pool-%d","uuid":"pool-%d","lb_algorithm":"consistent-hash","lb_algorithm_hash":"call-id","servers":%s}`, i, i, names), version)
}

// manyServices is a view of n virtual services with 20 servers each.
func manyServices(b testing.TB, n int) *catalog.View {
	changes := []catalog.Change{
		{Put: mustRecord(b, "VsVip", `{"name":"here","uuid":"vsvip-here","vip":["127.0.0.77"]}`, 1)},
		{Put: mustRecord(b, "ApplicationProfile", `{"name":"sip","uuid":"ap-sip","type":"sip"}`, 1)},
	}
	for i := range n {
		vs := fmt.Sprintf(`{"name":"vs-%d","uuid":"vs-%d","services":[%d],"vsvip_ref":"vsvip-here","pool_ref":"pool-%d","application_profile_ref":"ap-sip","network_profile_ref":"System-UDP-Proxy"}`, i, i, 20000+i, i)
		changes = append(changes, catalog.Change{Put: mustRecord(b, "VirtualService", vs, 1)}, catalog.Change{Put: manyPool(b, i, 20, 1)})
	}
	return catalog.Empty().With(changes...)
}

// BenchmarkChange is what a change of one pool costs from the moment that the store has told it: the view, its check, the
// set, the snapshot, and the engine with a thousand virtual services that runs it.
func BenchmarkChange(b *testing.B) {
	change := changer(b)
	b.ReportAllocs()
	for b.Loop() {
		change()
	}
}

// TestGarbageOfAChange holds that of a change of one of a thousand pools little is thrown away: 104 KB, of which 48 are lists of
// a thousand pointers.
func TestGarbageOfAChange(t *testing.T) {
	const bound = 150 << 10
	if got := alloctest.BytesPerRun(100, changer(t)); got > bound {
		t.Errorf("a change of a pool allocates %.0f octets from the store to the engine, at most %d are right", got, bound)
	}
}

// changer is what changes one pool of a thousand services.
func changer(b testing.TB) func() {
	v := manyServices(b, 1000)
	if err := v.Set().Validate(); err != nil {
		b.Fatal(strings.SplitN(err.Error(), "\n", 2)[0])
	}
	eng, err := engine.Start(engine.Config{Set: forEngine(v.Set()), Revision: 1, Workers: 1, Secret: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(eng.Stop)
	var puts []*catalog.Record
	for i := range 100 {
		puts = append(puts, manyPool(b, i*10, 20+i%2, 2), manyPool(b, i*10, 21-i%2, 3))
	}
	n := 0
	return func() {
		next := v.With(catalog.Change{Put: puts[n%len(puts)]})
		if !next.Harmless(v) {
			b.Fatal("the whole is checked")
		}
		if err := eng.Apply(forEngine(next.Set()), uint64(n+2)); err != nil {
			b.Fatal(err)
		}
		v = next
		n++
	}
}
