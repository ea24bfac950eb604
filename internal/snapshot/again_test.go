package snapshot

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
)

// againSet has services on one address, on all, and one with a group.
func againSet() *object.Set {
	set := serving("10.0.9.1:5060", "192.0.2.1:5060")
	vs, every, pool := *set.VirtualServices[0], *set.VsVips[0], *set.Pools[0]
	set.VirtualServices, set.Pools = nil, nil
	every.Name = "every"
	every.Vip = []object.Vip{{Enabled: true, VipID: "1", IPAddress: netip.IPv4Unspecified()}}
	set.VsVips = append(set.VsVips, &every)
	for i := range 5 {
		p := pool
		p.Name, p.Servers = fmt.Sprint("p", i), []object.Server{object.NewServer(netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.1:5060", i)))}
		set.Pools = append(set.Pools, &p)
		v := vs
		v.Name, v.PoolRef, v.VsVipRef = fmt.Sprint("vs", i), p.Name, []string{"vip", "every"}[i%2]
		v.Services = []object.Service{{Port: uint16(6000 + i)}}
		set.VirtualServices = append(set.VirtualServices, &v)
	}
	set.VirtualServices[4].PoolRef, set.VirtualServices[4].PoolGroupRef = "", "g"
	g := object.New[object.PoolGroup]("g")
	g.Members = []object.PoolGroupMember{{PoolRef: "p4", Ratio: 1}, {PoolRef: "p3", Ratio: 1}}
	set.PoolGroups = []*object.PoolGroup{&g}
	return set
}

// nextSet changes some pools of a set, and now and then what is more than that.
func nextSet(t *rapid.T, set *object.Set) *object.Set {
	out := *set
	out.Pools = slices.Clone(set.Pools)
	for range rapid.IntRange(0, 2).Draw(t, "pools") {
		p := own(&out.Pools[rapid.IntRange(0, len(out.Pools)-1).Draw(t, "pool")])
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 5:
			p.FailAction.Type = rapid.SampledFrom([]string{object.FailClose, object.FailAnswer}).Draw(t, "fail")
			p.FailAction.SIPStatus = rapid.SampledFrom([]int{0, 480}).Draw(t, "status")
		case 0:
			p.Enabled = !p.Enabled
		case 1:
			p.LBAlgorithm = rapid.SampledFrom([]object.LBAlgorithm{object.ConsistentHash, object.RoundRobin}).Draw(t, "algorithm")
		default:
			p.Servers = nil
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 1, 4, rapid.ID[int]).Draw(t, "servers") {
				text := fmt.Sprintf("10.0.0.%d:5060", n)
				if rapid.IntRange(0, 20).Draw(t, "odd") == 0 {
					text = rapid.SampledFrom([]string{"[2001:db8::5]:5060", "192.0.2.1:6000", "192.0.2.1:6001"}).Draw(t, "address")
				}
				s := object.NewServer(netip.MustParseAddrPort(text))
				s.Ratio = rapid.IntRange(1, 2).Draw(t, "ratio")
				if !slices.ContainsFunc(p.Servers, func(o object.Server) bool { return o.IP == s.IP && o.Port == s.Port }) {
					p.Servers = append(p.Servers, s)
				}
			}
		}
	}
	if rapid.IntRange(0, 6).Draw(t, "more") == 0 {
		out.VirtualServices = slices.Clone(set.VirtualServices)
		own(&out.VirtualServices[rapid.IntRange(0, 3).Draw(t, "service")]).PoolRef = rapid.SampledFrom([]string{"p0", "p1", "p2"}).Draw(t, "ref")
	}
	return &out
}

// own is a copy, in its place, of the object that a pointer of a list leads to.
func own[T any](at **T) *T {
	o := **at
	*at = &o
	return &o
}

// TestAgainIsCompile holds that what Again makes is what Compile makes, and that it is whole: nothing in it leads to a
// part of the snapshot before that has another in its place.
func TestAgainIsCompile(t *testing.T) {
	env := world{hosts: []string{"192.0.2.1/24", "10.0.0.77/16", "127.0.0.1/8"}}.env()
	used := 0
	rapid.Check(t, func(t *rapid.T) {
		set := againSet()
		prev, err := Compile(set, nil, env, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(1, 12).Draw(t, "steps") {
			set = nextSet(t, set)
			whole, err := Compile(set, prev, env, uint64(i+2))
			again, changed, ok := Again(set, prev, env, uint64(i+2))
			if !ok {
				if err != nil {
					return // such a set is not served
				}
				prev = whole
				continue
			}
			if err != nil {
				t.Fatal("Again took what Compile does not:", err)
			}
			used++
			if fresh := freshIn(whole, prev); len(fresh) != len(changed) {
				t.Fatalf("%d pools are new, and %d were told", len(fresh), len(changed))
			}
			checkWhole(t, again)
			if got, want := told(again, prev), told(whole, prev); got != want {
				t.Fatalf("Again:\n%s\nCompile:\n%s", got, want)
			}
			prev = again
		}
	})
	if used == 0 {
		t.Error("Again was never taken")
	}
}

func freshIn(s, prev *Snapshot) (out []*Pool) {
	for _, p := range s.Pools {
		if prev.Pool(p.ID) != p {
			out = append(out, p)
		}
	}
	return out
}

// checkWhole checks that everything leads to what stands in the snapshot's lists.
func checkWhole(t *rapid.T, s *Snapshot) {
	for i, v := range s.Services {
		if v.Index != i || s.service(v.ID) != v || s.Pool(v.Pool.ID) != v.Pool {
			t.Fatalf("service %s leads out of the snapshot", v.Name)
		}
		for _, p := range v.Pools() {
			if s.Pool(p.ID) != p {
				t.Fatalf("service %s knows another pool %s", v.Name, p.Name)
			}
		}
		for _, l := range v.Listeners {
			if s.Listeners[l.Index] != l || l.Service != v || s.Listener(l.Key) != l {
				t.Fatalf("listener %v leads out of the snapshot", l.Key)
			}
			for _, f := range l.faces() {
				if s.Face(f.ID) != f || f.Out != l || s.faceList[f.place] != f {
					t.Fatalf("face %d leads out of the snapshot", f.ID)
				}
			}
		}
	}
	for _, p := range s.Pools {
		for _, sv := range p.Servers {
			if s.Server(sv.Handle) != sv || sv.Pool != p {
				t.Fatalf("server %s leads out of the snapshot", sv.Addr)
			}
		}
	}
}

// told is what a snapshot says to whom asks.
func told(s, prev *Snapshot) string {
	var out strings.Builder
	addrs := []netip.AddrPort{netip.MustParseAddrPort("198.51.100.9:5060"), netip.MustParseAddrPort("192.0.2.77:5060"), netip.MustParseAddrPort("127.0.0.1:6001")}
	for i := range s.servers.len + 1 {
		sv := s.Server(Handle(i))
		if sv == nil {
			fmt.Fprintf(&out, "%d nobody\n", i)
			continue
		}
		old := prev.Server(Handle(i))
		fmt.Fprintln(&out, i, sv.Addr, sv.Index, sv.place, sv.ID, sv.Name, sv.Pool.Name, sv.Usable(), old != nil && old.Traffic == sv.Traffic && old.State == sv.State)
		addrs = append(addrs, sv.Addr)
	}
	for _, p := range s.Pools {
		o := p.Object
		fmt.Fprintln(&out, p.Name, p.ID, prev.Pool(p.ID) == p, p.places, len(p.Servers), p.Hash, p.toward, o.LBAlgorithm, o.Enabled, p.View.Load().Up())
		for call := range uint64(50) {
			if o.LBAlgorithm == object.ConsistentHash {
				fmt.Fprint(&out, p.View.Load().Pick(call<<50, nil), " ")
			}
		}
		fmt.Fprintln(&out)
	}
	for _, v := range s.Services {
		says := *v // every field that leads nowhere
		says.Pool, says.Group, says.reach, says.Listeners, says.TLS = nil, nil, nil, nil, nil
		fmt.Fprintf(&out, "%+v %s %v\n", says, v.Pool.Name, v.Group != nil)
		for _, p := range v.Pools() {
			fmt.Fprintln(&out, " pool", p.Name, v.Chooses(p), v.Has(p))
		}
		for _, a := range addrs {
			fmt.Fprintln(&out, " ", a, s.Own(v, a), s.Foreign(v, a), face(s.FaceNamed(v, a, sip.UDP)), v.HasHost(a.Addr()), v.ServerAt(a) == nil)
		}
		for _, l := range v.Listeners {
			fmt.Fprintln(&out, " listener", l.Index, l.Key, l.Addr, l.Egress, l.IdleAfter, face(l.FaceAt(netip.MustParseAddr("192.0.2.1"))))
			for _, a := range addrs {
				fmt.Fprint(&out, face(l.FaceFor(a.Addr(), sip.UDP, l.faces()[0])))
			}
			for _, p := range v.Pools() {
				for _, sv := range p.Servers {
					fmt.Fprint(&out, face(l.FaceToward(sv)))
				}
			}
			fmt.Fprintln(&out)
		}
	}
	return out.String()
}

func face(f *Face) string {
	if f == nil {
		return "none "
	}
	return fmt.Sprint(f.ID, f.Source, f.SentBy, string(f.Via), f.Out.Index, " ")
}

// TestSetsThatDiffer holds that no field of a set is left out when Again asks what is another.
func TestSetsThatDiffer(t *testing.T) {
	set := againSet()
	for i := range reflect.TypeFor[object.Set]().NumField() {
		name := reflect.TypeFor[object.Set]().Field(i).Name
		other := *set
		list := reflect.ValueOf(&other).Elem().Field(i)
		list.Set(reflect.MakeSlice(list.Type(), list.Len()+1, list.Len()+1))
		if got := other.SameBut(set, "Pool"); got != (name == "Pools") {
			t.Errorf("%s is another: the same is %v", name, got)
		}
	}
}
