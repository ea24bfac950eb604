// Package quick makes the objects of a balancer that is told of on the command line.
package quick

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
)

// Options changes what Set builds. The zero value is the usual.
type Options struct {
	Algorithm object.LBAlgorithm // empty: ConsistentHash
	Hash      object.LBHash      // empty: HashCallID
	NoMonitor bool               // true: servers count as up
	// Certificate and Key are what clients of tls:// are shown, PEM. Without them tls:// is refused, and without it they are.
	Certificate, Key string
}

// Ports when none is given (RFC 3261 section 19.1.2).
const (
	sipPort  = 5060
	sipsPort = 5061
)

// name is that of all that Set builds.
const name = "default"

// transport is how an address is spoken to.
type transport string

const (
	udp transport = "udp"
	tcp transport = "tcp"
	tls transport = "tls"
)

// place is an address with its transport.
type place struct {
	transport transport
	addr      netip.AddrPort
}

// Set builds the objects of `carillon run --listen udp://0.0.0.0:5060 --server 10.0.0.1:5060`: a virtual service, its VIP, a pool
// by consistent hash of the Call-ID under a SIP monitor, and profiles with Record-Route. Addresses are
// TRANSPORT://ADDRESS:PORT with udp, tcp or tls; without a transport they are of UDP, and servers then are spoken to as the
// client came. A listen address without a host, udp://:5060, is every IPv4 and IPv6 address. Ports left out are 5060, of TLS 5061.
// Where the addresses do not all have the same ports there are more virtual services, default-2 and so on, to the same pool.
func Set(listen, servers []string, o Options) (*object.Set, error) {
	var faults []error
	fail := func(flag, text, msg string) {
		faults = append(faults, &object.FieldError{Object: strings.TrimSpace(flag + " " + text), Msg: msg})
	}
	p := plan{options: o}
	for i, text := range servers {
		pl, given, fault := parse(text)
		switch {
		case fault != "":
			fail("--server", text, fault)
		case i > 0 && p.toServers != given:
			fail("--server", text, "the servers of a pool are all spoken to over one transport: give all of them the same, or none")
		}
		if i == 0 {
			p.toServers = given
		}
		p.servers = append(p.servers, pl)
	}
	for _, text := range listen {
		places, fault := parseListen(text)
		if fault != "" {
			fail("--listen", text, fault)
		}
		for _, l := range places {
			if l.transport == tls && (o.Certificate == "" || o.Key == "") {
				fail("--listen", text, "TLS needs a certificate: --cert cert.pem --key key.pem")
				break
			}
			if slices.ContainsFunc(p.servers, func(s place) bool { return s.addr == l.addr && l.addr.IsValid() }) {
				fail("--server", l.addr.String(), "is a --listen address too: the balancer would send to itself")
			}
		}
		p.listen = append(p.listen, places...)
	}
	if o.Certificate+o.Key != "" && !slices.ContainsFunc(p.listen, func(l place) bool { return l.transport == tls }) {
		fail("--cert", "", "is for clients over TLS: there is no --listen tls://")
	}
	if len(listen) == 0 {
		fail("--listen", "", "missing: expected an address such as udp://0.0.0.0:5060")
	}
	if len(servers) == 0 {
		fail("--server", "", "missing: expected the address of a server such as 10.0.0.1:5060")
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s := p.set()
	return s, s.Validate()
}

// plan is what was asked for, read.
type plan struct {
	options   Options
	listen    []place
	servers   []place
	toServers transport // empty: as the client came
}

func (p *plan) set() *object.Set {
	app, network := object.New[object.ApplicationProfile](name), object.New[object.NetworkProfile](name)
	app.Type, app.SIPServiceProfile.RecordRoute = object.ApplicationSIP, true
	network.Profile.Type = object.ProtocolUDPProxy
	s := &object.Set{Pools: []*object.Pool{p.pool()}, ApplicationProfiles: []*object.ApplicationProfile{&app}, NetworkProfiles: []*object.NetworkProfile{&network}}
	if !p.options.NoMonitor {
		m := object.New[object.HealthMonitor](name)
		m.Type = object.MonitorSIP
		switch p.toServers {
		case tcp:
			m.SIPMonitor.Transport = object.SIPOverTCP
		case tls:
			m.SIPMonitor.Transport = object.SIPOverTLS
		}
		s.HealthMonitors = []*object.HealthMonitor{&m}
		s.Pools[0].HealthMonitorRefs = []string{m.Name}
	}
	if slices.ContainsFunc(p.listen, func(l place) bool { return l.transport != udp }) {
		stream := object.New[object.NetworkProfile](name + "-tcp")
		stream.Profile.Type = object.ProtocolTCPProxy
		s.NetworkProfiles = append(s.NetworkProfiles, &stream)
	}
	var certificates []string
	if slices.ContainsFunc(p.listen, func(l place) bool { return l.transport == tls }) {
		c := object.New[object.SSLKeyAndCertificate](name)
		c.Certificate.Certificate, c.Key = p.options.Certificate, p.options.Key
		s.SSLKeyAndCertificates = []*object.SSLKeyAndCertificate{&c}
		certificates = []string{c.Name}
	}
	for i, g := range groupByPorts(p.listen) {
		vip, vs := g.objects(name, i)
		vs.PoolRef, vs.ApplicationProfileRef, vs.NetworkProfileRef, vs.SSLKeyAndCertificateRefs = name, app.Name, network.Name, certificates
		s.VsVips, s.VirtualServices = append(s.VsVips, vip), append(s.VirtualServices, vs)
	}
	return s
}

func (p *plan) pool() *object.Pool {
	pool := object.New[object.Pool](name)
	pool.DefaultServerPort = sipPort
	pool.LBAlgorithm, pool.LBAlgorithmHash = object.ConsistentHash, object.HashCallID
	if p.options.Algorithm != "" {
		pool.LBAlgorithm = p.options.Algorithm
	}
	if p.options.Hash != "" {
		pool.LBAlgorithmHash = p.options.Hash
	}
	switch p.toServers {
	case udp:
		pool.ServerTransport = object.ServerTransportUDP
	case tcp:
		pool.ServerTransport = object.ServerTransportTCP
	case tls:
		pool.SSLProfileRef = "System-Standard"
	}
	for _, s := range p.servers {
		pool.Servers = append(pool.Servers, object.NewServer(s.addr))
	}
	return &pool
}

// port is what a virtual service listens on at every address that it has.
type port struct {
	transport transport
	number    uint16
}

// group is addresses that all listen on the same ports.
type group struct {
	addrs []netip.Addr
	ports []port
}

// groupByPorts puts listening addresses into groups: a virtual service listens on every port at every address it has.
func groupByPorts(places []place) []group {
	var each []group // one address each
	for _, l := range places {
		i := slices.IndexFunc(each, func(g group) bool { return g.addrs[0] == l.addr.Addr() })
		if i < 0 {
			i = len(each)
			each = append(each, group{addrs: []netip.Addr{l.addr.Addr()}})
		}
		if on := (port{l.transport, l.addr.Port()}); on.number == 0 || !slices.Contains(each[i].ports, on) {
			each[i].ports = append(each[i].ports, on)
		}
	}
	var out []group
	for _, g := range each {
		slices.SortFunc(g.ports, func(a, b port) int {
			return strings.Compare(fmt.Sprintf("%05d%s", a.number, a.transport), fmt.Sprintf("%05d%s", b.number, b.transport))
		})
		i := slices.IndexFunc(out, func(o group) bool { return slices.Equal(o.ports, g.ports) })
		if i < 0 {
			out = append(out, g)
			continue
		}
		out[i].addrs = append(out[i].addrs, g.addrs...)
	}
	return out
}

// objects are the VIP and the virtual service of the group with that number.
func (g *group) objects(name string, number int) (*object.VsVip, *object.VirtualService) {
	network := name + "-tcp"
	if number > 0 {
		name += "-" + strconv.Itoa(number+1)
	}
	vip, vs := object.New[object.VsVip](name), object.New[object.VirtualService](name)
	for i, a := range g.addrs {
		vip.Vip = append(vip.Vip, object.NewVip(strconv.Itoa(i+1), a))
	}
	for _, p := range g.ports {
		on := object.Service{Port: p.number, EnableSSL: p.transport == tls}
		if p.transport != udp {
			on.OverrideNetworkProfileRef = network
		}
		vs.Services = append(vs.Services, on)
	}
	vs.VsVipRef = name
	return &vip, &vs
}

// parse reads udp://10.0.0.1:5060, tcp://[::1]:5060, tls://10.0.0.1 or any of them without transport. given is the transport that
// the text names.
func parse(text string) (p place, given transport, fault string) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = string(udp), text
	}
	p.transport = transport(strings.ToLower(scheme))
	number := uint16(sipPort)
	switch p.transport {
	case udp, tcp:
	case tls:
		number = sipsPort
	default:
		return p, "", strconv.Quote(scheme) + " is no transport: must be udp, tcp or tls"
	}
	if ok {
		given = p.transport
	}
	p.addr, fault = object.ParseAddrPort(rest, number)
	return p, given, fault
}

// parseListen reads the same, and also udp://:5060 for every address of both families.
func parseListen(text string) ([]place, string) {
	scheme, host, ok := strings.Cut(text, "://")
	if !ok {
		scheme, host = string(udp), text
	}
	if !strings.HasPrefix(host, ":") || strings.HasPrefix(host, "::") {
		p, _, fault := parse(text)
		return []place{p}, fault
	}
	four, _, fault := parse(scheme + "://0.0.0.0" + host)
	return []place{four, {four.transport, netip.AddrPortFrom(netip.IPv6Unspecified(), four.addr.Port())}}, fault
}
