package object

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// QuickOptions changes what Quick builds. The zero value is the usual.
type QuickOptions struct {
	Algorithm LBAlgorithm // empty: ConsistentHash
	Hash      LBHash      // empty: HashCallID
	NoMonitor bool        // true: servers count as up
}

// sipPort is the port of SIP over UDP when none is given (RFC 3261 section 19.1.2).
const sipPort = 5060

// quickName is the name of all that Quick builds.
const quickName = "default"

// Quick builds the objects of `carillon run --listen udp://0.0.0.0:5060 --server 10.0.0.1:5060`: a virtual service, its
// VIP, a pool by consistent hash of the Call-ID under a SIP monitor, and profiles with Record-Route. A listen address
// without a host, udp://:5060, is every IPv4 and IPv6 address. Ports left out are 5060. Where the addresses do not all
// have the same ports there are more virtual services, default-2 and so on, to the same pool.
func Quick(listen, servers []string, o QuickOptions) (*Set, error) {
	var faults []*FieldError
	fail := func(flag, text, msg string) {
		faults = append(faults, &FieldError{Object: strings.TrimSpace(flag + " " + text), Msg: msg})
	}
	pool := New[Pool](quickName)
	pool.DefaultServerPort = sipPort
	pool.LBAlgorithm, pool.LBAlgorithmHash = ConsistentHash, HashCallID
	if o.Algorithm != "" {
		pool.LBAlgorithm = o.Algorithm
	}
	if o.Hash != "" {
		pool.LBAlgorithmHash = o.Hash
	}
	for _, text := range servers {
		addr, fault := quickAddr(text)
		if fault != "" {
			fail("--server", text, fault)
			continue
		}
		pool.Servers = append(pool.Servers, NewServer(addr))
	}
	var addrs []netip.AddrPort
	for _, text := range listen {
		more, fault := quickListen(text)
		if fault != "" {
			fail("--listen", text, fault)
		}
		addrs = append(addrs, more...)
	}
	for _, text := range servers {
		if addr, fault := quickAddr(text); fault == "" && slices.Contains(addrs, addr) {
			fail("--server", text, "is a --listen address too: the balancer would send to itself")
		}
	}
	if len(listen) == 0 {
		fail("--listen", "", "missing: expected an address such as udp://0.0.0.0:5060")
	}
	if len(servers) == 0 {
		fail("--server", "", "missing: expected the address of a server such as 10.0.0.1:5060")
	}
	if err := join(faults); err != nil {
		return nil, err
	}
	s := quickSet(pool, addrs)
	if !o.NoMonitor {
		m := New[HealthMonitor](quickName)
		m.Type = MonitorSIP
		s.HealthMonitors = []HealthMonitor{m}
		s.Pools[0].HealthMonitorRefs = []string{m.Name}
	}
	return s, s.Validate()
}

func quickSet(pool Pool, addrs []netip.AddrPort) *Set {
	app, network := New[ApplicationProfile](quickName), New[NetworkProfile](quickName)
	app.Type, app.SIPServiceProfile.RecordRoute = ApplicationSIP, true
	network.Profile.Type = ProtocolUDPProxy
	s := &Set{Pools: []Pool{pool}, ApplicationProfiles: []ApplicationProfile{app}, NetworkProfiles: []NetworkProfile{network}}
	for i, group := range groupByPorts(addrs) {
		name := quickName
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		vip, vs := New[VsVip](name), New[VirtualService](name)
		for _, a := range group.addrs {
			item := theSchema().kind("VsVip").shape.byName["vip"].of.zero.Interface().(Vip)
			item.IPAddress = a
			vip.Vip = append(vip.Vip, item)
		}
		vip.number()
		for _, port := range group.ports {
			vs.Services = append(vs.Services, Service{Port: port})
		}
		vs.VsVipRef, vs.PoolRef = name, pool.Name
		vs.ApplicationProfileRef, vs.NetworkProfileRef = app.Name, network.Name
		s.VsVips = append(s.VsVips, vip)
		s.VirtualServices = append(s.VirtualServices, vs)
	}
	return s
}

// portGroup is addresses that all listen on the same ports.
type portGroup struct {
	addrs []netip.Addr
	ports []uint16
}

// groupByPorts puts listening addresses into groups: a virtual service listens on every port at every address it has.
func groupByPorts(addrs []netip.AddrPort) []portGroup {
	var each []portGroup // one address each
	for _, ap := range addrs {
		i := slices.IndexFunc(each, func(g portGroup) bool { return g.addrs[0] == ap.Addr() })
		if i < 0 {
			i = len(each)
			each = append(each, portGroup{addrs: []netip.Addr{ap.Addr()}})
		}
		if ap.Port() == 0 || !slices.Contains(each[i].ports, ap.Port()) {
			each[i].ports = append(each[i].ports, ap.Port())
		}
	}
	var out []portGroup
	for _, g := range each {
		slices.Sort(g.ports)
		i := slices.IndexFunc(out, func(o portGroup) bool { return slices.Equal(o.ports, g.ports) })
		if i < 0 {
			out = append(out, g)
			continue
		}
		out[i].addrs = append(out[i].addrs, g.addrs...)
	}
	return out
}

// quickAddr reads 10.0.0.1:5060, [::1]:5060 or either without a port, with or without udp:// before it.
func quickAddr(text string) (netip.AddrPort, string) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case !ok:
		rest = text
	case !strings.EqualFold(scheme, "udp"):
		return netip.AddrPort{}, quote(scheme) + " is not supported yet: must be udp"
	}
	return parseAddrPort(rest, sipPort)
}

// quickListen reads the same, and also udp://:5060 for every address of both families.
func quickListen(text string) ([]netip.AddrPort, string) {
	scheme, host, ok := strings.Cut(text, "://")
	if !ok {
		scheme, host = "udp", text
	}
	if !strings.HasPrefix(host, ":") || strings.HasPrefix(host, "::") {
		addr, fault := quickAddr(text)
		if fault != "" {
			return nil, fault
		}
		return []netip.AddrPort{addr}, ""
	}
	four, fault := quickAddr(scheme + "://0.0.0.0" + host)
	if fault != "" {
		return nil, fault
	}
	return []netip.AddrPort{four, netip.AddrPortFrom(netip.IPv6Unspecified(), four.Port())}, ""
}
