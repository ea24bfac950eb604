package snapshot

import (
	"net/netip"
	"slices"

	"github.com/carillon-sip/carillon/internal/object"
)

// base is what must be known of a snapshot to make the next one of it.
type base struct {
	set    *object.Set
	egress bool // some listener is one: which there are, and on which ports, depends on all pools
}

func newBase(set *object.Set, s *Snapshot) *base {
	return &base{set, slices.ContainsFunc(s.Listeners, func(l *Listener) bool { return l.Egress })}
}

// Again compiles a set in which nothing but some pools is another than in the previous snapshot, as it is when servers come
// and go: what these pools don't touch is shared, so it costs what they have and not what there is. The machine must
// be as it was. changed are the pools that are new. ok is false where that is not so, or not known: then it is for
// Compile, which also has the words for what is wrong.
func Again(set *object.Set, prev *Snapshot, env Env, revision uint64) (out *Snapshot, changed []*Pool, ok bool) {
	if prev == nil || prev.base == nil || prev.base.egress || !set.SameBut(prev.base.set, "Pool") {
		return nil, nil, false
	}
	places, ok := set.Differ(prev.base.set, "Pool")
	if !ok || !prev.replaceable(set, places) {
		return nil, nil, false
	}
	same := *prev // of what is not replaced below all is shared
	out = &same
	out.Revision, out.base = revision, &base{set: set}
	out.Services, out.Listeners, out.Pools = slices.Clone(prev.Services), slices.Clone(prev.Listeners), slices.Clone(prev.Pools)
	out.servers, out.faceList = prev.servers.edit(), slices.Clone(prev.faceList)
	c := &compiler{set: set, prev: prev, env: env, out: out, asked: map[netip.Addr]netip.Addr{}, others: map[exitKey]*exits{}}
	now := map[*Pool]*Pool{}
	for _, i := range places {
		o := set.Pools[i]
		at := prev.byPool[id(o.UUID, o.Name)]
		if before := prev.Pools[at]; !samePool(before.Object, o) {
			p := c.compilePool(o, before)
			out.Pools[at], now[before] = p, p
			changed = append(changed, p)
		}
	}
	for _, s := range prev.Services {
		if now[s.Pool] != nil || s.reach != nil && slices.ContainsFunc(s.reach.pools, func(p *Pool) bool { return now[p] != nil }) {
			c.again(s, now)
		}
	}
	return out, changed, len(c.errs) == 0
}

// replaceable reports whether the pools at some places of a set can be put in the place of those before: they are the
// same pools, in no group, in plain, and their servers want nothing else to be listened on.
func (s *Snapshot) replaceable(set *object.Set, places []int) bool {
	for _, i := range places {
		o, before := set.Pools[i], s.base.set.Pools[i]
		p := s.Pool(id(o.UUID, o.Name))
		if p == nil || o.UUID != before.UUID || o.Name != before.Name || o.SSLProfileRef != "" || before.SSLProfileRef != "" ||
			o.ServerTransport != before.ServerTransport || families(o) != families(before) {
			return false
		}
		for _, g := range s.groups {
			if slices.ContainsFunc(g.Members, func(m Member) bool { return m.Pool == p }) {
				return false
			}
		}
	}
	return true
}

// families says of which families a pool has servers.
func families(o *object.Pool) (has [2]bool) {
	for i := range o.Servers {
		has[familyOf(o.Servers[i].IP)] = true
	}
	return has
}

// again puts a service in the place of v that has other pools, and is the same for the rest.
func (c *compiler) again(v *Service, now map[*Pool]*Pool) {
	s := *v
	if p := now[v.Pool]; p != nil {
		s.Pool = p
	}
	s.ofPools()
	s.reach = c.reachOf(&s)
	c.out.Services[s.Index] = &s
	d := &drier{service: &s, faces: map[*Face]*Face{}}
	d.listenersOf(v, c.out)
	for _, l := range s.Listeners {
		l.others = nil
		c.faceServers(l)
	}
	c.notItself(&s)
}
