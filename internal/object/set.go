package object

import (
	"cmp"
	"net/netip"
	"reflect"
)

// Set is a whole configuration. Objects of one kind stand in the order they were given. Sets share them, so nobody changes
// one that is in a set: who wants another puts it in its place.
type Set struct {
	VirtualServices     []*VirtualService
	VsVips              []*VsVip
	Pools               []*Pool
	HealthMonitors      []*HealthMonitor
	ApplicationProfiles []*ApplicationProfile
	NetworkProfiles     []*NetworkProfile

	PoolGroups             []*PoolGroup
	AnalyticsProfiles      []*AnalyticsProfile
	PersistenceProfiles    []*ApplicationPersistenceProfile
	SSLProfiles            []*SSLProfile
	SSLKeyAndCertificates  []*SSLKeyAndCertificate
	PKIProfiles            []*PKIProfile
	NetworkSecurityPolicys []*NetworkSecurityPolicy
	IpAddrGroups           []*IpAddrGroup
	Tenants                []*Tenant
	Clouds                 []*Cloud
	ServiceEngineGroups    []*ServiceEngineGroup
	ServiceEngines         []*ServiceEngine
	VrfContexts            []*VrfContext
	Users                  []*User
	Roles                  []*Role
}

// find returns the object of a list with that name, nil when there is none.
func find[T Kind](list []*T, name string, nameOf func(*T) string) *T {
	for _, o := range list {
		if nameOf(o) == name {
			return o
		}
	}
	return nil
}

// VirtualService returns the virtual service with that name, nil when there is none.
func (s *Set) VirtualService(name string) *VirtualService {
	return find(s.VirtualServices, name, func(o *VirtualService) string { return o.Name })
}

// VsVip returns the VIP with that name, nil when there is none.
func (s *Set) VsVip(name string) *VsVip {
	return find(s.VsVips, name, func(o *VsVip) string { return o.Name })
}

// Pool returns the pool with that name, nil when there is none.
func (s *Set) Pool(name string) *Pool {
	return find(s.Pools, name, func(o *Pool) string { return o.Name })
}

// HealthMonitor returns the health monitor with that name, one of the system's own if the set has none, else nil.
// A caller must not change it.
func (s *Set) HealthMonitor(name string) *HealthMonitor {
	return cmp.Or(find(s.HealthMonitors, name, func(o *HealthMonitor) string { return o.Name }), systemValue[HealthMonitor](name))
}

// ApplicationProfile returns the application profile with that name, the system's own (System-SIP) if the set has
// none, else nil. A caller must not change it.
func (s *Set) ApplicationProfile(name string) *ApplicationProfile {
	return cmp.Or(find(s.ApplicationProfiles, name, func(o *ApplicationProfile) string { return o.Name }), systemValue[ApplicationProfile](name))
}

// NetworkProfile returns the network profile with that name, the system's own (System-UDP-Proxy) if the set has none,
// else nil. A caller must not change it.
func (s *Set) NetworkProfile(name string) *NetworkProfile {
	return cmp.Or(find(s.NetworkProfiles, name, func(o *NetworkProfile) string { return o.Name }), systemValue[NetworkProfile](name))
}

// SSLProfile returns the SSL profile with that name, the system's own if the set has none, else nil.
func (s *Set) SSLProfile(name string) *SSLProfile {
	return cmp.Or(find(s.SSLProfiles, name, func(o *SSLProfile) string { return o.Name }), systemValue[SSLProfile](name))
}

// SSLKeyAndCertificate returns the certificate with that name, nil when there is none.
func (s *Set) SSLKeyAndCertificate(name string) *SSLKeyAndCertificate {
	return find(s.SSLKeyAndCertificates, name, func(o *SSLKeyAndCertificate) string { return o.Name })
}

// PKIProfile returns the PKI profile with that name, nil when there is none.
func (s *Set) PKIProfile(name string) *PKIProfile {
	return find(s.PKIProfiles, name, func(o *PKIProfile) string { return o.Name })
}

// Listen is one address that a virtual service listens on.
type Listen struct {
	Addr      netip.AddrPort // port 0: any free port
	Advertise netip.Addr     // address for Via and Record-Route; invalid: none configured, use the one in Addr
	TCP       bool
	TLS       bool // over TCP
}

// Listens returns the addresses that vs listens on: every enabled VIP with every port, IPv4 before IPv6.
// None when vs is disabled or its VIP is missing.
func (s *Set) Listens(vs *VirtualService) []Listen {
	vip := s.VsVip(vs.VsVipRef)
	if vip == nil || !vs.Enabled {
		return nil
	}
	return vip.listens(vs, s.isTCP)
}

// isTCP reports whether a network profile is of TCP.
func (s *Set) isTCP(ref string) bool {
	p := s.NetworkProfile(ref)
	return p != nil && p.Profile.Type == ProtocolTCPProxy
}

// listens asks isTCP about network profiles.
func (v *VsVip) listens(vs *VirtualService, isTCP func(ref string) bool) []Listen {
	var out []Listen
	var ports []Listen
	for i := range vs.Services {
		sv := &vs.Services[i]
		tcp := isTCP(cmp.Or(sv.OverrideNetworkProfileRef, vs.NetworkProfileRef))
		for _, p := range sv.ports() {
			ports = append(ports, Listen{Addr: netip.AddrPortFrom(netip.Addr{}, p), TCP: tcp, TLS: tcp && sv.EnableSSL})
		}
	}
	for i := range v.Vip {
		vip := &v.Vip[i]
		if !vip.Enabled {
			continue
		}
		for _, l := range ports {
			if vip.IPAddress.IsValid() {
				out = append(out, Listen{netip.AddrPortFrom(vip.IPAddress, l.Addr.Port()), vip.FloatingIP, l.TCP, l.TLS})
			}
			if vip.IP6Address.IsValid() {
				out = append(out, Listen{netip.AddrPortFrom(vip.IP6Address, l.Addr.Port()), vip.FloatingIP6, l.TCP, l.TLS})
			}
		}
	}
	return out
}

// FQDNs returns the names under which requests address vs, its own and those of its VIP.
func (s *Set) FQDNs(vs *VirtualService) []string {
	var out []string
	if vs.FQDN != "" {
		out = append(out, vs.FQDN)
	}
	for _, d := range vs.DNSInfo {
		out = append(out, d.FQDN)
	}
	if vip := s.VsVip(vs.VsVipRef); vip != nil {
		for _, d := range vip.DNSInfo {
			out = append(out, d.FQDN)
		}
	}
	return out
}

// Ports returns every port vs listens on, ranges spelled out.
func (vs *VirtualService) Ports() []uint16 {
	var out []uint16
	for i := range vs.Services {
		out = append(out, vs.Services[i].ports()...)
	}
	return out
}

func (sv *Service) ports() []uint16 {
	out := []uint16{sv.Port}
	for p := int(sv.Port) + 1; p <= int(sv.PortRangeEnd); p++ {
		out = append(out, uint16(p))
	}
	return out
}

// ServerAddr returns the address and port of server i, the pool's default port where the server gives none.
func (p *Pool) ServerAddr(i int) netip.AddrPort {
	sv := &p.Servers[i]
	if sv.Port == 0 {
		return netip.AddrPortFrom(sv.IP, p.DefaultServerPort)
	}
	return netip.AddrPortFrom(sv.IP, sv.Port)
}

// Add puts an object at the end of those of its kind.
func (s *Set) Add(a Any) {
	if a.kind == nil {
		return
	}
	list := a.kind.list(s).list
	list.Set(reflect.Append(list, a.v.Addr()))
}

// Share makes the list of a kind that of another set.
func (s *Set) Share(from *Set, kind string) {
	k := theSchema().kind(kind)
	k.list(s).list.Set(k.list(from).list)
}

// Replace makes the list of a kind that of another set with some objects replaced: at says by which.
func (s *Set) Replace(from *Set, kind string, at func(i int) (Any, bool)) {
	k := theSchema().kind(kind)
	before := k.list(from).list
	list := reflect.MakeSlice(before.Type(), before.Len(), before.Len())
	reflect.Copy(list, before)
	for i := range list.Len() {
		if a, ok := at(i); ok {
			list.Index(i).Set(a.v.Addr())
		}
	}
	k.list(s).list.Set(list)
}

// Fill makes the list of a kind one of n objects.
func (s *Set) Fill(kind string, n int, at func(i int) Any) {
	to := theSchema().kind(kind).list(s).list
	list := reflect.MakeSlice(to.Type(), n, n)
	for i := range n {
		list.Index(i).Set(at(i).v.Addr())
	}
	to.Set(list)
}

// Nth is the object of a kind at a place.
func (s *Set) Nth(kind string, i int) Any {
	k := theSchema().kind(kind)
	return Any{k, k.list(s).Index(i)}
}
