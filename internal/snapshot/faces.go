package snapshot

import (
	"fmt"
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

// Wanted lists what the virtual services of a set listen on, without compiling it.
func Wanted(set *object.Set) []Key { return slices.Concat(wanted(set)...) }

// wanted is the keys of each virtual service.
func wanted(set *object.Set) [][]Key {
	keys := make([][]Key, len(set.VirtualServices))
	taken := [2]map[uint16]bool{{0: true}, {0: true}} // by family: ports that no egress can have
	for i := range set.VirtualServices {
		for _, l := range set.Listens(&set.VirtualServices[i]) {
			keys[i] = append(keys[i], Key{Addr: l.Addr})
			taken[family(l.Addr)][l.Addr.Port()] = true
		}
	}
	for i := range set.Pools {
		for j := range set.Pools[i].Servers {
			// a server of this machine may be down now, and is to get its port when it comes
			if a := set.Pools[i].ServerAddr(j); a.Addr().IsLoopback() {
				taken[family(a)][a.Port()] = true
			}
		}
	}
	for i := range set.VirtualServices {
		vs := &set.VirtualServices[i]
		if pool := set.Pool(vs.PoolRef); pool != nil && len(keys[i]) > 0 {
			keys[i] = append(keys[i], egress(vs.Name, keys[i], pool, &taken)...)
		}
	}
	return keys
}

// egress lists what a service needs for servers of a family that it does not listen on.
func egress(service string, listens []Key, pool *object.Pool, taken *[2]map[uint16]bool) []Key {
	var has, needs [2]bool // IPv4, IPv6
	for _, k := range listens {
		has[family(k.Addr)] = true
	}
	for j := range pool.Servers {
		needs[family(pool.ServerAddr(j))] = true
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

// listeners makes the listeners of all services.
func (c *compiler) listeners() {
	taken := map[Key]string{}
	advertise := map[netip.AddrPort]netip.Addr{}
	keys := wanted(c.set)
	for i := range c.set.VirtualServices {
		vs := &c.set.VirtualServices[i]
		s := c.service(vs.Name)
		if s == nil {
			continue
		}
		for _, l := range c.set.Listens(vs) {
			advertise[l.Addr] = l.Advertise
		}
		for _, k := range keys[i] {
			if other, dup := taken[k]; dup {
				c.fail("VirtualService/%s: listens on %s, and so does VirtualService/%s", vs.Name, k.Addr, other)
				continue
			}
			taken[k] = vs.Name
			c.listener(s, k, advertise[k.Addr])
		}
	}
}

func (c *compiler) service(name string) *Service {
	for _, s := range c.out.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
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
		Via:    fmt.Appendf(nil, "Via: SIP/2.0/UDP %s;branch=z9hG4bK", sentBy),
		Route:  []byte("Record-Route: <sip:"),
		Behind: fmt.Appendf(nil, "@%s;lr>\r\n", sentBy)}
	f.link = c.linkOf(f.Addr())
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %s %s", l.Key.Addr, source, shown)
	f.ID = uint16(h.Sum32() ^ h.Sum32()>>16)
	for f.ID == 0 || c.out.faces[f.ID] != nil {
		f.ID++
	}
	c.out.faces[f.ID] = f
	c.own(sentBy.Addr(), f)
	c.own(l.Addr.Addr(), f)
	return f
}

// own notes that a face is to be found at an address, on the port that it shows.
func (c *compiler) own(a netip.Addr, f *Face) {
	if a.IsUnspecified() {
		return
	}
	v, o := f.Out.Service, c.out.own.add(a)
	if g := o.face(v, f.SentBy.Port()); g == nil || g.Out.Service != v {
		o.faces = append(o.faces, f)
	}
}

// faceListener gives a wildcard listener a face for each address of this machine.
func (c *compiler) faceListener(l *Listener) {
	if l.face != nil {
		return
	}
	v4 := l.Addr.Addr().Is4()
	any := &c.out.wildcards[family(l.Addr)]
	*any = append(*any, l)
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
	v4 := l.Addr.Addr().Is4()
	for _, sv := range c.out.servers {
		if sv == nil || sv.Pool != l.Service.Pool {
			continue
		}
		if l.face != nil && sv.Addr.Addr().Is4() == v4 {
			continue // the listener's own face, which FaceToward falls back to
		}
		if n := int(sv.Handle) + 1; len(l.toward) < n {
			l.toward = append(l.toward, make([]*Face, max(n, len(c.out.servers))-len(l.toward))...)
		}
		l.toward[sv.Handle] = c.faceToward(l, sv)
	}
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
