package snapshot

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/token"
)

// grouped is a set whose service has a group of these members; pool i has a server 10.0.i.1, 10.0.i.2, ...
func grouped(g object.PoolGroup, servers ...int) *object.Set {
	set := serving("10.0.0.1:5060", "192.0.2.1:5060")
	first := set.Pools[0]
	set.Pools = nil
	for i, n := range servers {
		p := *first
		p.Name, p.Servers = fmt.Sprint("p", i), nil
		for j := range n {
			p.Servers = append(p.Servers, object.NewServer(netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:5060", i, j+1))))
		}
		set.Pools = append(set.Pools, &p)
		g.Members[i].PoolRef = p.Name
	}
	g.Name = "g"
	set.PoolGroups = []*object.PoolGroup{&g}
	set.VirtualServices[0].PoolRef, set.VirtualServices[0].PoolGroupRef = "", "g"
	return set
}

func compileGrouped(t testing.TB, set *object.Set, prev *Snapshot) *Snapshot {
	snap, err := Compile(set, prev, Env{Sealer: token.New([]byte("groups"))}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// set takes servers of a pool out of the view, or back.
func setUp(snap *Snapshot, pool int, up bool) {
	p := snap.Pools[pool]
	var changes []balance.Change
	for i := range p.Servers {
		c := balance.Change{Index: int32(i), Clear: balance.Up}
		if up {
			c = balance.Change{Index: int32(i), Set: balance.Up}
		}
		changes = append(changes, c)
	}
	p.View.Store(p.View.Load().With(changes...))
	snap.SettleGroups(p)
}

// Calls are shared by ratio, and a pool that goes moves its own calls alone; its return restores what was.
func TestGroupMovesLittle(t *testing.T) {
	snap := compileGrouped(t, grouped(object.PoolGroup{Members: []object.PoolGroupMember{{Ratio: 5}, {Ratio: 3}, {Ratio: 2}, {Ratio: 0}}}, 1, 1, 1, 1), nil)
	s := snap.Services[0]
	const keys = 20000
	place := func() (out [keys]*Pool, counts map[string]int) {
		counts = map[string]int{}
		for k := range keys {
			out[k] = s.PoolOf(uint64(k) * 0x9e3779b97f4a7c15)
			counts[out[k].Name]++
		}
		return out, counts
	}
	before, counts := place()
	for name, want := range map[string]int{"p0": keys / 2, "p1": keys * 3 / 10, "p2": keys / 5, "p3": 0} {
		if got := counts[name]; got < want-keys/50 || got > want+keys/50 {
			t.Errorf("%s has %d calls of %d, want about %d", name, got, keys, want)
		}
	}
	setUp(snap, 1, false)
	during, _ := place()
	for k := range keys {
		if before[k].Name != "p1" && during[k] != before[k] || during[k].Name == "p1" {
			t.Fatalf("call %d moved from %s to %s when p1 went", k, before[k].Name, during[k].Name)
		}
	}
	setUp(snap, 1, true)
	if after, _ := place(); after != before {
		t.Error("the return of a pool does not restore what was")
	}
}

// Whatever is up: calls go to pools of the highest priority that has servers enough, else of the highest that has any.
func TestGroupPriority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "members")
		g := object.PoolGroup{MinServers: rapid.IntRange(0, 4).Draw(t, "min_servers"), ImplicitPriorityLabels: rapid.Bool().Draw(t, "implicit")}
		var servers []int
		for range n {
			g.Members = append(g.Members, object.PoolGroupMember{Ratio: rapid.IntRange(0, 3).Draw(t, "ratio"),
				PriorityLabel: rapid.SampledFrom([]string{"", "1", "2", "10"}).Draw(t, "priority")})
			servers = append(servers, rapid.IntRange(0, 3).Draw(t, "servers"))
		}
		snap, err := Compile(grouped(g, servers...), nil, Env{Sealer: token.New([]byte("groups"))}, 1)
		if err != nil {
			t.Fatal(err)
		}
		up := make([]int, n)
		for i := range up {
			alive := rapid.Bool().Draw(t, "up")
			setUp(snap, i, alive)
			if alive && g.Members[i].Ratio > 0 {
				up[i] = servers[i]
			}
		}
		s := snap.Services[0]
		want := highest // nobody
		for _, enough := range []int{max(1, g.MinServers), 1} {
			sums := map[int]int{}
			for i := range up {
				sums[priorityAt(s.Group, i)] += up[i]
			}
			best, any := lowest, false
			for p, sum := range sums {
				if sum >= enough && (!any || p > best) {
					best, any = p, true
				}
			}
			if any {
				want = best
				break
			}
		}
		for k := range uint64(50) {
			p := s.PoolOf(k << 40)
			i := 0
			fmt.Sscanf(p.Name, "p%d", &i)
			if s.Selectable() > 0 && (up[i] == 0 || priorityAt(s.Group, i) != want) {
				t.Fatalf("a call goes to %s, of priority %d with %d servers; want %d", p.Name, priorityAt(s.Group, i), up[i], want)
			}
		}
	})
}

// priorityAt is the priority of pool i.
func priorityAt(g *Group, i int) int {
	for _, m := range g.Members {
		if m.Pool.Name == fmt.Sprint("p", i) {
			return m.Priority
		}
	}
	return lowest
}

// A service that turns to another pool, or to a group, still knows the servers of the one before.
func TestFormerPools(t *testing.T) {
	set := grouped(object.PoolGroup{Members: make([]object.PoolGroupMember, 2)}, 1, 1)
	set.VirtualServices[0].PoolRef, set.VirtualServices[0].PoolGroupRef = "p0", ""
	snap := compileGrouped(t, set, nil)
	first := snap.Services[0].ServerAt(netip.MustParseAddrPort("10.0.0.1:5060"))
	next, vs := *set, *set.VirtualServices[0]
	vs.PoolRef, next.VirtualServices = "p1", []*object.VirtualService{&vs}
	next.Pools = set.Pools[1:] // and the first is deleted
	snap = compileGrouped(t, &next, snap)
	s := snap.Services[0]
	if sv := s.ServerByID(first.ID); sv == nil || sv.Handle != first.Handle || !s.Has(sv.Pool) || s.Chooses(sv.Pool) {
		t.Fatalf("the server of before is not known: %v", sv)
	}
	if s.PoolOf(1).Name != "p1" || s.Selectable() != 1 {
		t.Error("new calls do not go to the new pool")
	}
	snap = compileGrouped(t, set, snap) // back
	if s := snap.Services[0]; s.PoolOf(1).Name != "p0" || !s.Has(snap.Pools[1]) {
		t.Error("the pool that came back is not chosen, or the other is forgotten")
	}
}
