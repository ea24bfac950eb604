package snapshot

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/carillon-sip/carillon/internal/object"
)

// Key names a listener across changes of configuration: its address as configured.
type Key struct {
	Addr netip.AddrPort
	// Egress is the service that the listener was opened for because it has
	// servers of a family that it does not listen on; "" for all others.
	Egress string
	// Port is the one that an egress is opened on if it is free, so that servers
	// find it again after a restart; 0: any. Addr has none.
	Port uint16
}

// Want is what one virtual service listens on.
type Want struct {
	ID   string // of the service
	Keys []Key
}

// Wants is what the virtual services of a set listen on.
type Wants struct {
	Services []Want
	pairs    []pair
}

// Wanted lists what the virtual services of a set listen on, without compiling it.
func Wanted(set *object.Set) *Wants {
	w := &Wants{pairs: pairs(set), Services: make([]Want, 0, len(set.VirtualServices))}
	for i := range w.pairs {
		if p := &w.pairs[i]; len(p.keys) > 0 {
			w.Services = append(w.Services, Want{id(p.vs.UUID, p.vs.Name), p.keys})
		}
	}
	return w
}

// pair is a virtual service and what belongs to it. Looking each up by its name in the set, where that takes as long as
// there are objects, was what a change of one of a thousand took longest for.
type pair struct {
	vs   *object.VirtualService
	vip  []object.VsVip // one, or none
	keys []Key          // that it listens on
}

// set is one for questions about this virtual service alone.
func (p *pair) set() *object.Set { return &object.Set{VsVips: p.vip} }

// pairs finds what belongs to each virtual service of a set.
func pairs(set *object.Set) []pair {
	vips, pools := make(map[string]int, len(set.VsVips)), make(map[string]*object.Pool, len(set.Pools))
	for i := range set.VsVips {
		vips[set.VsVips[i].Name] = i
	}
	taken := [2]map[uint16]bool{{0: true}, {0: true}} // by family: ports that no egress can have
	for i := range set.Pools {
		pool := &set.Pools[i]
		pools[pool.Name] = pool
		for j := range pool.Servers {
			// a server of this machine may be down now, and is to get its port when it comes
			if pool.Servers[j].IP.IsLoopback() {
				a := pool.ServerAddr(j)
				taken[family(a)][a.Port()] = true
			}
		}
	}
	out := make([]pair, len(set.VirtualServices))
	for i := range out {
		p := &out[i]
		p.vs = &set.VirtualServices[i]
		if v, ok := vips[p.vs.VsVipRef]; ok {
			p.vip = set.VsVips[v : v+1]
		}
		for _, l := range p.set().Listens(p.vs) {
			p.keys = append(p.keys, Key{Addr: l.Addr})
			taken[family(l.Addr)][l.Addr.Port()] = true
		}
	}
	for i := range out {
		p := &out[i]
		if len(p.keys) > 0 {
			p.keys = append(p.keys, egress(p.vs.Name, p.keys, poolsNamed(set, pools, p.vs), &taken)...)
		}
	}
	return out
}

// egress lists what a service needs for servers of a family that it does not listen on.
func egress(service string, listens []Key, pools []*object.Pool, taken *[2]map[uint16]bool) []Key {
	var has, needs [2]bool // IPv4, IPv6
	for _, k := range listens {
		has[family(k.Addr)] = true
	}
	for _, pool := range pools {
		for j := range pool.Servers {
			needs[family(pool.ServerAddr(j))] = true
		}
	}
	var keys []Key
	for f, any := range anyAddr {
		if !needs[f] || has[f] {
			continue
		}
		k := Key{Addr: any, Egress: service}
		if p := listens[0].Addr.Port(); !taken[f][p] {
			k.Port, taken[f][p] = p, true
		}
		keys = append(keys, k)
	}
	return keys
}

// family is 0 for IPv4 and 1 for IPv6.
func family(a netip.AddrPort) int { return familyOf(a.Addr()) }

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// anyAddr is every address of a family: where a service listens for what servers
// of the other family send.
var anyAddr = [2]netip.AddrPort{
	netip.AddrPortFrom(netip.IPv4Unspecified(), 0),
	netip.AddrPortFrom(netip.IPv6Unspecified(), 0),
}

// listeners makes the listeners of a service.
func (c *compiler) listeners(s *Service, p *pair) {
	advertise := map[netip.AddrPort]netip.Addr{}
	for _, l := range p.set().Listens(p.vs) {
		advertise[l.Addr] = l.Advertise
	}
	for _, k := range p.keys {
		if other := c.out.byKey[k]; other != nil {
			c.fail(s.ID, "VirtualService/%s: listens on %s, and so does VirtualService/%s", s.Name, k.Addr, other.Service.Name)
			continue
		}
		c.listener(s, k, advertise[k.Addr])
	}
}

func (c *compiler) listener(s *Service, k Key, advertise netip.Addr) {
	l := &Listener{Index: len(c.out.Listeners), Service: s, Key: k, Addr: k.Addr, Egress: k.Egress != ""}
	if b, ok := c.env.Bound[k]; ok {
		l.Addr = b
	}
	if a := l.Addr.Addr(); !a.IsUnspecified() {
		l.face = c.face(l, netip.Addr{}, firstValid(advertise, a))
	} else {
		l.byLocal = map[netip.Addr]*Face{}
		if advertise.IsValid() {
			// one name for all: datagrams leave as the routing table says
			l.byLocal[netip.Addr{}] = c.face(l, netip.Addr{}, advertise)
		}
	}
	c.out.Listeners = append(c.out.Listeners, l)
	c.out.byKey[k] = l
	s.Listeners = append(s.Listeners, l)
	if !slices.Contains(s.ports, l.Addr.Port()) {
		s.ports = append(s.ports, l.Addr.Port())
	}
}

func firstValid(a, b netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return b
}

// face makes a face and gives it an ID that depends on its address alone, so
// that a branch made by another engine, or before a restart, finds its way.
func (c *compiler) face(l *Listener, source, shown netip.Addr) *Face {
	sentBy := netip.AddrPortFrom(shown, l.Addr.Port())
	f := &Face{Out: l, Source: source, SentBy: sentBy, Host: shown.String(),
		Route: recordRoute}
	shownText := sentBy.String()
	f.Via = []byte("Via: SIP/2.0/UDP " + shownText + ";branch=z9hG4bK")
	f.Behind = []byte("@" + shownText + ";lr>\r\n")
	f.link = c.linkOf(f.Addr())
	h := fnv.New32a()
	h.Write([]byte(l.Key.Addr.String() + " " + source.String() + " " + shown.String()))
	f.ID = uint16(h.Sum32() ^ h.Sum32()>>16)
	for f.ID == 0 || c.out.faces[f.ID] != nil {
		f.ID++
	}
	c.out.faces[f.ID] = f
	c.own(sentBy.Addr(), f)
	c.own(l.Addr.Addr(), f)
	return f
}

var recordRoute = []byte("Record-Route: <sip:")

// own notes that a face is to be found at an address, on the port that it shows.
func (c *compiler) own(a netip.Addr, f *Face) {
	if a.IsUnspecified() {
		return
	}
	v, o := f.Out.Service, c.out.own.add(a)
	if g := o.face(v, f.SentBy.Port()); g == nil || g.Out.Service != v {
		o.add(f)
	}
}

// faceListener gives a wildcard listener a face for each address of this machine.
func (c *compiler) faceListener(l *Listener) {
	if l.face != nil {
		return
	}
	v4 := l.Addr.Addr().Is4()
	any := &c.out.wildcards[family(l.Addr)]
	if *any == nil {
		*any = map[uint16]*Listener{}
	}
	if (*any)[l.Addr.Port()] == nil {
		(*any)[l.Addr.Port()] = l
	}
	if l.byLocal[netip.Addr{}] != nil {
		return
	}
	hosts := slices.Clone(c.env.Hosts)
	slices.SortFunc(hosts, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) // IDs must not depend on the order of interfaces
	for _, h := range hosts {
		if a := h.Addr(); a.Is4() == v4 && a.Zone() == "" && l.byLocal[a] == nil {
			l.byLocal[a] = c.face(l, a, a)
		}
	}
	if len(l.byLocal) == 0 {
		l.byLocal[netip.Addr{}] = c.face(l, netip.Addr{}, l.Addr.Addr())
	}
}

// faceServers finds for each server of the listener's service the face at which
// requests that came in here leave toward it.
func (c *compiler) faceServers(l *Listener) {
	l.toward = c.facesToward(l, l.Service.Pool)
	for _, p := range l.Service.Pools()[1:] {
		if l.others == nil {
			l.others = map[*Pool][]*Face{}
		}
		l.others[p] = c.facesToward(l, p)
	}
}

func (c *compiler) facesToward(l *Listener, pool *Pool) (toward []*Face) {
	v4 := l.Addr.Addr().Is4()
	for sv := range pool.addrs.all {
		if sv.place < 0 || l.face != nil && sv.Addr.Addr().Is4() == v4 {
			continue // the listener's own face, which FaceToward falls back to
		}
		if toward == nil {
			toward = make([]*Face, pool.places)
		}
		toward[sv.place] = c.faceToward(l, sv)
	}
	return toward
}

func (c *compiler) faceToward(l *Listener, sv *Server) *Face {
	from, v4 := l, sv.Addr.Addr().Is4()
	if l.Addr.Addr().Is4() != v4 {
		i := slices.IndexFunc(l.Service.Listeners, func(o *Listener) bool { return o.Addr.Addr().Is4() == v4 })
		if i < 0 {
			return nil
		}
		from = l.Service.Listeners[i]
	}
	if from.face != nil {
		return from.face
	}
	return from.FaceAt(c.localAddr(sv.Addr.Addr()))
}
