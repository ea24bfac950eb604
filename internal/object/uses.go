package object

import (
	"reflect"
	"strings"
)

// uses checks that what a virtual service names is of a type that it can use. The objects themselves may be of any type
// that Avi has.
func (c *checker) uses(vs *VirtualService) {
	root := (*path)(nil)
	if p := named(c, c.set.ApplicationProfiles, vs.ApplicationProfileRef); p != nil && p.Type != ApplicationSIP {
		c.fail(root.field("application_profile_ref"), p.Name+" is of type "+string(p.Type)+": a virtual service takes "+
			string(ApplicationSIP)+"; "+SystemSIP+" is always there")
	}
	c.usedNetwork(root.field("network_profile_ref"), vs.NetworkProfileRef)
	for i := range vs.Services {
		c.usedService(root.field("services").item(i), vs, &vs.Services[i])
	}
	for i, ref := range vs.SSLKeyAndCertificateRefs {
		if k := named(c, c.set.SSLKeyAndCertificates, ref); k != nil && (k.Key == "" || k.Certificate.Certificate == "") {
			c.fail(root.field("ssl_key_and_certificate_refs").item(i), k.Name+" has no certificate and key: a virtual service takes one with both")
		}
	}
	if g, ok := c.index.names["PoolGroup"][vs.PoolGroupRef]; ok && len(c.set.PoolGroups[g].Members) == 0 {
		c.fail(root.field("pool_group_ref"), "PoolGroup/"+vs.PoolGroupRef+" has no members, and "+vs.Name+" uses it")
	}
	for i := range c.poolsOf(vs) {
		if !c.used[i] {
			c.used[i] = true
			c.usedPool(i, c.at.label)
		}
	}
}

// poolsOf calls yield for the place of each pool of a virtual service, and the field that names it.
func (c *checker) poolsOf(vs *VirtualService) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		if i, ok := c.index.names["Pool"][vs.PoolRef]; ok && !yield(i, "pool_ref") {
			return
		}
		g, ok := c.index.names["PoolGroup"][vs.PoolGroupRef]
		if !ok {
			return
		}
		for j := range c.set.PoolGroups[g].Members {
			if i, ok := c.index.names["Pool"][c.set.PoolGroups[g].Members[j].PoolRef]; ok && !yield(i, "pool_group_ref") {
				return
			}
		}
	}
}

// usedNetwork checks that a network profile is of a type that a virtual service takes.
func (c *checker) usedNetwork(at *path, ref string) {
	if p := named(c, c.set.NetworkProfiles, ref); p != nil && p.Profile.Type != ProtocolUDPProxy && p.Profile.Type != ProtocolTCPProxy {
		c.fail(at, p.Name+" is of type "+string(p.Profile.Type)+": a virtual service takes "+string(ProtocolUDPProxy)+" and "+
			string(ProtocolTCPProxy)+"; "+SystemUDPProxy+" is always there")
	}
}

// usedService checks what a port speaks.
func (c *checker) usedService(at *path, vs *VirtualService, sv *Service) {
	ref := sv.OverrideNetworkProfileRef
	if ref != "" {
		c.usedNetwork(at.field("override_network_profile_ref"), ref)
	} else {
		ref = vs.NetworkProfileRef
	}
	if !sv.EnableSSL {
		return
	}
	if p := named(c, c.set.NetworkProfiles, ref); p != nil && p.Profile.Type == ProtocolUDPProxy {
		c.fail(at.field("enable_ssl"), "TLS needs TCP, and "+p.Name+" is of type "+string(ProtocolUDPProxy)+
			": name a profile of type "+string(ProtocolTCPProxy)+" in override_network_profile_ref")
	}
	if len(vs.SSLKeyAndCertificateRefs) == 0 {
		c.fail(at.field("enable_ssl"), "needs a certificate in ssl_key_and_certificate_refs of the virtual service")
	}
}

// usedPool checks that a pool can choose servers and probe them. Of a pool on no virtual service nobody asks that.
func (c *checker) usedPool(i int, user func(*Set) string) {
	root := (*path)(nil)
	p := c.set.Pools[i]
	c.at = objectID{theSchema().kind("Pool"), i}
	forUser := func() string { return ", and " + user(c.set) + " uses this pool" }
	switch p.LBAlgorithm {
	case ConsistentHash, LeastConnections, RoundRobin, Random, FewestTasks, LeastLoad, FastestResponse:
	default:
		c.fail(root.field("lb_algorithm"), string(p.LBAlgorithm)+" is not supported yet"+forUser()+": must be "+
			"consistent-hash, least-connections, round-robin, random, fewest-tasks, least-load or fastest-response")
	}
	if p.LBAlgorithm == ConsistentHash && p.LBAlgorithmHash == "LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_STRING" {
		c.fail(root.field("lb_algorithm_hash"), string(p.LBAlgorithmHash)+" is not supported yet"+forUser()+": "+
			string(HashCallID)+" keeps a call at its server")
	}
	for j, ref := range p.HealthMonitorRefs {
		m := named(c, c.set.HealthMonitors, ref)
		if m == nil {
			continue
		}
		switch m.Type {
		case MonitorSIP, MonitorPing, MonitorTCP, MonitorUDP:
		default:
			c.fail(root.field("health_monitor_refs").item(j), m.Name+" is of type "+string(m.Type)+", which cannot probe yet"+forUser()+
				": must be sip, ping, udp or tcp; "+SystemSIP+" is always there")
		}
	}
}

// named returns the object with that name, the set's or the system's own; nil when there is neither.
func named[T Kind](c *checker, list []*T, name string) *T {
	if i, ok := c.index.names[reflect.TypeFor[T]().Name()][name]; ok {
		return list[i]
	}
	return systemValue[T](name)
}

// circles checks that no certificate leads back to itself: of all references only these can.
func (c *checker) circles() {
	k := theSchema().kind("SSLKeyAndCertificate")
	state := make([]uint8, len(c.set.SSLKeyAndCertificates)) // 0: not seen, 1: on the way, 2: done
	var way []string
	var visit func(i int)
	visit = func(i int) {
		cert := c.set.SSLKeyAndCertificates[i]
		state[i] = 1
		way = append(way, cert.Name)
		for j := range cert.CACerts {
			next, ok := c.index.names[k.name][cert.CACerts[j].CARef]
			switch {
			case !ok:
			case state[next] == 0:
				visit(next)
			case state[next] == 1:
				c.at = objectID{k, i}
				first := len(way) - 1
				for way[first] != cert.CACerts[j].CARef {
					first--
				}
				c.fail((*path)(nil).field("ca_certs").item(j).field("ca_ref"), "goes round in a circle: "+
					strings.Join(append(append([]string{}, way[first:]...), way[first]), " -> "))
			}
		}
		way = way[:len(way)-1]
		state[i] = 2
	}
	for i := range state {
		if state[i] == 0 {
			visit(i)
		}
	}
}
