package snapshot

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
)

// Key names a listener across changes of configuration: its address as configured.
type Key struct {
	Addr      netip.AddrPort
	Transport sip.Transport
	// Egress is the service that the listener was opened for because it has
	// servers of a family or a transport that it does not listen on; "" for all others.
	Egress string
	// Port is the one that an egress is opened on if it is free, so that servers
	// find it again after a restart; 0: any. Addr has none.
	Port uint16
}

// Family is 0 for a listener on IPv4 and 1 for one on IPv6. Names are known for each
// by themselves: one with addresses of both goes to that of the family in which it
// was asked for, which the service speaks for certain (RFC 3263 4.2 leaves it open).
func (k Key) Family() int {
	if k.Addr.Addr().Is4() {
		return 0
	}
	return 1
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
	vs      *object.VirtualService
	vip     []*object.VsVip // one, or none
	nets    []*object.NetworkProfile
	listens []object.Listen
	keys    []Key // that it listens on
}

// set is one for questions about this virtual service alone.
func (p *pair) set() *object.Set { return &object.Set{VsVips: p.vip, NetworkProfiles: p.nets} }

// pairs finds what belongs to each virtual service of a set.
func pairs(set *object.Set) []pair {
	vips, pools := make(map[string]int, len(set.VsVips)), make(map[string]*object.Pool, len(set.Pools))
	for i := range set.VsVips {
		vips[set.VsVips[i].Name] = i
	}
	nets := make(map[string]*object.NetworkProfile, len(set.NetworkProfiles))
	for i := range set.NetworkProfiles {
		nets[set.NetworkProfiles[i].Name] = set.NetworkProfiles[i]
	}
	var taken taken
	taken.begin()
	for i := range set.Pools {
		pool := set.Pools[i]
		pools[pool.Name] = pool
		for j := range pool.Servers {
			// a server of this machine may be down now, and is to get its port when it comes
			if pool.Servers[j].IP.IsLoopback() {
				a := pool.ServerAddr(j)
				taken.of(sip.UDP, family(a))[a.Port()], taken.of(sip.TCP, family(a))[a.Port()] = true, true
			}
		}
	}
	out := make([]pair, len(set.VirtualServices))
	for i := range out {
		p := &out[i]
		p.vs = set.VirtualServices[i]
		if v, ok := vips[p.vs.VsVipRef]; ok {
			p.vip = set.VsVips[v : v+1]
		}
		p.networks(nets)
		p.listens = p.set().Listens(p.vs)
		for _, l := range p.listens {
			k := Key{Addr: l.Addr, Transport: transportOf(l)}
			p.keys = append(p.keys, k)
			taken.of(k.Transport, family(l.Addr))[l.Addr.Port()] = true
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

// networks keeps the network profiles that the service names.
func (p *pair) networks(all map[string]*object.NetworkProfile) {
	keep := func(ref string) {
		if n := all[ref]; n != nil && !slices.Contains(p.nets, n) {
			p.nets = append(p.nets, n)
		}
	}
	keep(p.vs.NetworkProfileRef)
	for i := range p.vs.Services {
		if ref := p.vs.Services[i].OverrideNetworkProfileRef; ref != "" {
			keep(ref)
		}
	}
}

func transportOf(l object.Listen) sip.Transport {
	switch {
	case l.TLS:
		return sip.TLS
	case l.TCP:
		return sip.TCP
	}
	return sip.UDP
}

// taken are the ports that no egress can have, of UDP and of TCP, by family.
type taken [2][2]map[uint16]bool

func (t *taken) begin() {
	for i := range t {
		for f := range t[i] {
			t[i][f] = map[uint16]bool{0: true}
		}
	}
}

func (t *taken) of(tr sip.Transport, family int) map[uint16]bool {
	if tr.Stream() {
		return t[1][family]
	}
	return t[0][family]
}

// egress lists what a service needs for servers of a family, or a transport, that it does not listen on. Where it listens on
// their family it is opened on the same address, so that servers see one; else on all.
func egress(service string, listens []Key, pools []*object.Pool, taken *taken) []Key {
	var has, needs [2][sip.NumTransports]bool
	var at [2]netip.AddrPort
	for _, k := range slices.Backward(listens) {
		has[family(k.Addr)][k.Transport] = true
		at[family(k.Addr)] = k.Addr
	}
	for _, pool := range pools {
		toward := transportsTo(pool)
		for j := range pool.Servers {
			f := family(pool.ServerAddr(j))
			for _, k := range listens {
				needs[f][toward[k.Transport]] = true
				if pool.ServerTransport == object.ServerTransportAuto && toward[k.Transport] == sip.UDP {
					needs[f][sip.TCP] = true
				}
			}
		}
	}
	var keys []Key
	for f, any := range anyAddr {
		for t := range sip.NumTransports {
			if !needs[f][t] || has[f][t] {
				continue
			}
			k := Key{Addr: any, Transport: t, Egress: service}
			if a := at[f]; a.IsValid() {
				k.Addr = netip.AddrPortFrom(a.Addr(), 0)
			}
			if p := egressPort(listens, t); !taken.of(t, f)[p] {
				k.Port, taken.of(t, f)[p] = p, true
			}
			keys = append(keys, k)
		}
	}
	return keys
}

// egressPort is the port that an egress would have: that of the first listener, for TLS beside UDP or TCP the one above
// it, as 5061 is to 5060.
func egressPort(listens []Key, t sip.Transport) uint16 {
	first := listens[0]
	for _, k := range listens {
		if k.Transport == t {
			return k.Addr.Port()
		}
	}
	if (t == sip.TLS) == (first.Transport == sip.TLS) || first.Addr.Port() == 0 {
		return first.Addr.Port()
	}
	if t == sip.TLS {
		return first.Addr.Port() + 1
	}
	return first.Addr.Port() - 1
}

// transportsTo says on which transport a pool's servers get what came on each.
func transportsTo(pool *object.Pool) (toward [sip.NumTransports]sip.Transport) {
	for t := range toward {
		switch {
		case pool.SSLProfileRef != "":
			toward[t] = sip.TLS
		case pool.ServerTransport == object.ServerTransportUDP:
			toward[t] = sip.UDP
		case pool.ServerTransport == object.ServerTransportTCP || sip.Transport(t).Stream():
			toward[t] = sip.TCP
		}
	}
	return toward
}

// largeOver reports whether requests that are too long for datagrams may go to a pool's servers over TCP.
func largeOver(pool *object.Pool) bool {
	return pool.SSLProfileRef == "" && (pool.ServerTransport == object.ServerTransportSame || pool.ServerTransport == object.ServerTransportAuto)
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
	advertise := map[netip.Addr]netip.Addr{} // of a VIP, whatever the port: an egress on its address has the same
	for _, l := range p.listens {
		advertise[l.Addr.Addr()] = l.Advertise
	}
	for _, k := range p.keys {
		s.Speaks[k.Transport] = true
	}
	for !s.Speaks[s.Usual] && s.Usual < sip.TLS {
		s.Usual++
	}
	for _, k := range p.keys {
		if other := c.out.Listener(k); other != nil {
			c.fail(s.ID, "VirtualService/%s: listens on %s, and so does VirtualService/%s", s.Name, k.Addr, other.Service.Name)
			continue
		}
		l := c.listener(s, k, advertise[k.Addr.Addr()])
		if k.Transport.Stream() {
			l.limit(p.streams(k))
		}
	}
}

// streams tells by which profile the connections of a listener are treated.
func (p *pair) streams(k Key) *object.TCPProxyProfile {
	set := p.set()
	ref := p.vs.NetworkProfileRef
	for i := range p.vs.Services {
		sv := &p.vs.Services[i]
		if port := k.Addr.Port(); sv.OverrideNetworkProfileRef != "" && port >= sv.Port && port <= max(sv.Port, sv.PortRangeEnd) {
			if o := set.NetworkProfile(sv.OverrideNetworkProfileRef); o != nil && o.Profile.Type == object.ProtocolTCPProxy {
				ref = sv.OverrideNetworkProfileRef
			}
		}
	}
	if n := set.NetworkProfile(ref); n != nil && n.Profile.Type == object.ProtocolTCPProxy {
		return &n.Profile.TCPProxyProfile
	}
	return usualStreams()
}

// usualStreams is for an egress of a service that has no listener of streams.
var usualStreams = sync.OnceValue(func() *object.TCPProxyProfile {
	profile := object.New[object.NetworkProfile]("")
	return &profile.Profile.TCPProxyProfile
})

// limit sets what connections of a listener may take.
func (l *Listener) limit(p *object.TCPProxyProfile) {
	if p.IdleConnectionType == "CLOSE_IDLE" {
		l.IdleAfter = time.Duration(p.IdleConnectionTimeoutS) * time.Second
	}
	l.Stream = StreamLimits{Handshake: time.Duration(p.HandshakeTimeoutS) * time.Second, Message: time.Duration(p.MessageTimeoutS) * time.Second,
		Write: time.Duration(p.WriteTimeoutS) * time.Second, MaxMessage: p.MaxMessageBytes, MaxPerSource: p.MaxConnectionsPerSource, NoBody: p.LenientContentLength}
}

func (c *compiler) listener(s *Service, k Key, advertise netip.Addr) *Listener {
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
	c.out.byKey[k] = int32(l.Index)
	s.Listeners = append(s.Listeners, l)
	if !slices.Contains(s.ports, l.Addr.Port()) {
		s.ports = append(s.ports, l.Addr.Port())
	}
	return l
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
	f := &Face{Out: l, Source: source, SentBy: sentBy, Host: shown.String(), Transport: l.Key.Transport,
		Route: recordRoute}
	shownText := sentBy.String()
	f.Via = []byte("Via: SIP/2.0/" + f.Transport.String() + " " + shownText + ";branch=z9hG4bK")
	f.Behind = []byte("@" + shownText + ";lr>\r\n")
	key := l.Key.Addr.String() + " " + source.String() + " " + shown.String()
	switch f.Transport {
	case sip.TCP:
		f.Behind = []byte("@" + shownText + ";transport=tcp;lr>\r\n")
		key += " tcp"
	case sip.TLS: // SIPS only where the request is (RFC 3261 16.6 (4)); else nothing but this makes the next one come over TLS
		f.Secure = [2][]byte{recordRouteTLS, f.Behind}
		f.Behind = []byte("@" + shownText + ";transport=tls;lr>\r\n")
		key += " tls"
	}
	f.link = c.linkOf(f.Addr())
	h := fnv.New32a()
	h.Write([]byte(key))
	f.ID = uint16(h.Sum32() ^ h.Sum32()>>16)
	for f.ID == 0 || c.out.Face(f.ID) != nil {
		f.ID++
	}
	f.place = int32(len(c.out.faceList))
	c.out.faceList = append(c.out.faceList, f)
	c.out.faces[f.ID] = f.place
	c.own(sentBy.Addr(), f)
	c.own(l.Addr.Addr(), f)
	return f
}

var recordRoute, recordRouteTLS = []byte("Record-Route: <sip:"), []byte("Record-Route: <sips:")

// own notes that a face is to be found at an address, on the port that it shows.
func (c *compiler) own(a netip.Addr, f *Face) {
	if a.IsUnspecified() {
		return
	}
	v, o := f.Out.Service, c.out.own.add(a)
	if o.faceOn(c.out.faceList, v, f.SentBy.Port(), f.Transport) == nil {
		o.add(c.out.faceList, f)
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
		*any = map[uint16]int32{}
	}
	if _, taken := (*any)[l.Addr.Port()]; !taken {
		(*any)[l.Addr.Port()] = int32(l.Index)
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
	same := pool.Toward(l.Key.Transport) == l.Key.Transport
	for sv := range pool.addrs.all {
		if sv.place < 0 || l.face != nil && same && sv.Addr.Addr().Is4() == v4 {
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
	from, v4, t := l, sv.Addr.Addr().Is4(), sv.Pool.Toward(l.Key.Transport)
	if l.Addr.Addr().Is4() != v4 || l.Key.Transport != t {
		fits := func(o *Listener) bool { return o.Addr.Addr().Is4() == v4 && o.Key.Transport == t }
		i := slices.IndexFunc(l.Service.Listeners, func(o *Listener) bool { return fits(o) && o.Addr.Addr() == l.Addr.Addr() })
		if i < 0 {
			i = slices.IndexFunc(l.Service.Listeners, fits)
		}
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
