package eyes

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/view"
)

// advertised looks at the addresses that a service listens on: what is written into Via and Record-Route.
func (d *doctor) advertised(v *report.Service) {
	name := "addresses of " + v.Name
	own := ownAddrs()
	for _, l := range v.Listeners {
		a, at := l.Addr.Addr(), d.places[l.Engine]
		switch {
		case a.IsUnspecified():
			d.ok(name, "%s listens on every address: Via and Record-Route carry the one that a message leaves from", l.Addr)
		case a.IsLoopback():
			d.note("warn", name, "Give it an address that phones reach, or take it for a test.", "%s is of loopback: only programs of the same machine reach it, and its Via and Record-Route", l.Addr)
		case slices.Contains(own, a):
			d.ok(name, "%s is one of this machine", l.Addr)
		case at.here:
			d.note("bad", name, "'ip addr add "+a.String()+"/32 dev ...', or take net.ipv4.ip_nonlocal_bind away.", "the engine listens on %s, which no interface of this machine has: nothing comes in there", l.Addr)
		default:
			d.note("skipped", name, "Run doctor on the machine of engine "+l.Engine+" for more.", "%s is not one of this machine%s", l.Addr, at.because())
		}
	}
}

func ownAddrs() []netip.Addr {
	var out []netip.Addr
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out
}

// named looks at what others are told: names that must resolve to the addresses, and addresses in front of a NAT.
func (d *doctor) named(ctx context.Context, services, vips []json.RawMessage) {
	d.fqdns = map[string]string{}
	told := map[string][]netip.Addr{} // by name of the vsvip: its addresses, and those that others see
	for _, data := range vips {
		n, err := view.Parse(data)
		if err != nil || n.Get("vip") == nil {
			continue
		}
		for _, vip := range n.Get("vip").Items {
			for _, field := range []string{"ip_address", "ip6_address", "floating_ip"} {
				if a, err := netip.ParseAddr(view.Flat(vip.Get(field))); err == nil {
					told[n.Get("name").String()] = append(told[n.Get("name").String()], a)
				}
			}
		}
	}
	for _, data := range services {
		n, err := view.Parse(data)
		if err != nil {
			continue
		}
		name, fqdn := n.Get("name").String(), n.Get("fqdn").String()
		if d.fqdns[name] = fqdn; fqdn != "" && (d.o.Service == "" || d.o.Service == name) {
			d.resolves(ctx, name, fqdn, told[object.RefName(n.Get("vsvip_ref").String())])
		}
	}
}

// resolves looks whether a name leads to one of the addresses.
func (d *doctor) resolves(ctx context.Context, service, fqdn string, told []netip.Addr) {
	name := "name of " + service
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", fqdn)
	var texts []string
	right := slices.ContainsFunc(told, netip.Addr.IsUnspecified)
	for _, a := range found {
		texts = append(texts, a.Unmap().String())
		right = right || slices.Contains(told, a.Unmap())
	}
	switch {
	case err != nil:
		d.note("warn", name, "Give it an A or AAAA record with the address that callers reach, or take fqdn away.", "fqdn %s does not resolve here: %v", fqdn, err)
	case !right:
		d.note("warn", name, "Change the record, or say in floating_ip of the VIP what others see in front of a NAT.", "fqdn %s leads to %s, which is no address of its VIP", fqdn, strings.Join(texts, ", "))
	default:
		d.ok(name, "fqdn %s leads to %s", fqdn, strings.Join(texts, ", "))
	}
}

// exits are the addresses that requests to the servers of a pool leave from: those of UDP listeners of services that use it,
// on engines of this machine. The zero address stands for those that the routing table chooses.
func (d *doctor) exits(s *sample, pool string) []netip.Addr {
	var out []netip.Addr
	for i := range s.Services {
		v := &s.Services[i]
		for _, l := range v.Listeners {
			if a := l.Addr.Addr(); d.wants(v) && uses(v, pool) && d.places[l.Engine].here {
				if a.IsUnspecified() {
					a = netip.Addr{}
				}
				if !slices.Contains(out, a) {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// wants reports whether a service is to be looked at.
func (d *doctor) wants(v *report.Service) bool { return d.o.Service == "" || d.o.Service == v.Name }

// uses reports whether calls of a service may go to a pool.
func uses(v *report.Service, pool string) bool {
	return v.Pool == pool || v.Group != nil && slices.ContainsFunc(v.Group.Members, func(m report.Member) bool { return m.Pool == pool })
}

// maxRoutes is how many routes are looked at.
const maxRoutes = 500

// servers looks at health and at the way to each server.
func (d *doctor) servers(s *sample) {
	looked := 0
	for i := range s.Pools {
		p := &s.Pools[i]
		if !slices.ContainsFunc(s.Services, func(v report.Service) bool { return d.wants(&v) && (d.o.Service == "" || uses(&v, p.Name)) }) && len(s.Services) > 0 {
			continue
		}
		down := []string{}
		from, leave := d.exits(s, p.Name), map[string]int{}
		for j := range p.Servers {
			sv := &p.Servers[j]
			if sv.State == "down" {
				down = append(down, sv.Name+" ("+strings.Join(sv.Oper.Reason, "; ")+")")
			}
			for _, a := range from {
				if looked++; looked <= maxRoutes && (!a.IsValid() || a.Is4() == sv.Addr.Addr().Is4()) {
					d.route(sv, a, leave)
				}
			}
		}
		switch {
		case p.Oper.State == report.Disabled:
			d.note("warn", "pool "+p.Name, "'carillon enable "+p.Name+"' has it take calls.", "is disabled: %s", strings.Join(p.Oper.Reason, "; "))
		case len(down) > 0:
			d.note("bad", "pool "+p.Name, "'carillon shell -c \"show pool "+p.Name+" server hmonstat\"' has the last checks.", "%d of %s down: %s", len(down), plural(p.Total, "server"), strings.Join(down[:min(len(down), 5)], ", "))
		default:
			d.ok("pool "+p.Name, "%d of %s up", p.Up, plural(p.Total, "server"))
		}
		for _, way := range sorted(leave) {
			d.ok("routes of pool "+p.Name, "to %s: %s", plural(leave[way], "server"), way)
		}
	}
}

func sorted(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// route asks the routing table whether a datagram from an address of ours gets to a server, and how large it may be. Ways that
// are fine are counted.
func (d *doctor) route(sv *report.Server, from netip.Addr, fine map[string]int) {
	name, to := "route to "+sv.Name, sv.Addr.Addr()
	var local *net.UDPAddr
	ask := "'ip route get " + to.String() + "'"
	if from.IsValid() {
		name += " from " + from.String()
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		ask = "'ip route get " + to.String() + " from " + from.String() + "'"
	}
	mendLoop := "Servers of another machine cannot answer to loopback: give the virtual service an address of this machine."
	if from.IsLoopback() && !to.IsLoopback() && !slices.Contains(ownAddrs(), to) {
		d.note("bad", name, mendLoop, "nothing gets from loopback to another machine")
		return
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(sv.Addr))
	if err != nil {
		d.note("bad", name, ask+" tells more; add a route, or a rule for that source.", "%v", err)
		return
	}
	defer conn.Close()
	leaves := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	mtu := pathMTU(conn)
	switch {
	case leaves.IsLoopback() != to.IsLoopback() && !slices.Contains(ownAddrs(), to):
		d.note("bad", name, mendLoop, "leaves from %s", leaves)
	case mtu > 0 && mtu < 1500:
		d.note("warn", name, "Messages of more than some 1,300 octets leave in fragments; firewalls drop those. Raise the MTU, keep SDP small, or use TCP.", "leaves from %s, and packets there are of at most %d octets", leaves, mtu)
	default:
		fine[fmt.Sprintf("leaves from %s, MTU %d", leaves, mtu)]++
	}
}
