package object

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
)

// together checks what the objects of the set mean together. It is asked before every change, so it goes over each
// server once and looks nothing up twice.
func (c *checker) together() {
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(c.set)
		for j := range list.Len() {
			c.at = objectID{k, j}
			c.identity(list.Index(j))
			if k.shape.refs {
				c.references(list.Index(j), k.shape, nil)
			}
		}
	}
	vs := theSchema().kind("VirtualService")
	for i := range c.set.VirtualServices {
		c.at = objectID{vs, i}
		c.uses(c.set.VirtualServices[i])
		c.at = objectID{vs, i}
		if _, good := c.set.VirtualServices[i].portCount(); good {
			c.listens(c.set.VirtualServices[i])
		}
	}
	c.circles()
}

// identity checks that name and uuid are the object's alone.
func (c *checker) identity(object reflect.Value) {
	k := c.at.kind
	name, uuid := object.Field(k.nameAt).String(), object.Field(k.uuidAt).String()
	if first := c.index.names[k.name][name]; name != "" && first != c.at.index {
		c.fail((*path)(nil).field("name"), "there are two named "+quote(name)+c.lineOf(objectID{k, first}))
	}
	if first := c.index.uuids[k.name][uuid]; uuid != "" && first != c.at.index {
		id := objectID{k, first}
		c.fail((*path)(nil).field("uuid"), "is that of "+id.label(c.set)+" too"+c.lineOf(id))
	}
}

// references checks that those with an effect name something.
func (c *checker) references(v reflect.Value, sh *shape, p *path) {
	for i := range sh.fields {
		f := &sh.fields[i]
		switch fv := v.Field(f.index); {
		case f.class == classText && f.ref != "":
			if fault := c.refFault(f, fv.String()); fault != "" {
				c.fail(p.field(f.name), fault)
			}
		case f.class == classList && f.ref != "":
			for j := range fv.Len() {
				if fault := c.refFault(f, fv.Index(j).String()); fault != "" {
					c.fail(p.field(f.name).item(j), fault)
				}
			}
		case f.of == nil || !f.of.refs:
		case f.class == classList:
			for j := range fv.Len() {
				c.references(fv.Index(j), f.of, p.field(f.name).item(j))
			}
		default:
			c.references(fv, f.of, p.field(f.name))
		}
	}
}

func (c *checker) refFault(f *field, text string) string {
	if text == "" || c.index.has(f.ref, text) {
		return "" // an empty one is told already
	}
	name, fault := c.index.find(f.ref, text)
	if fault != "" {
		return fault
	}
	return "must be the name, " + quote(name) // Load does so by itself
}

// listens checks the addresses that a virtual service listens on: that they are its alone, and no server's of its pool.
func (c *checker) listens(vs *VirtualService) {
	vip, ok := c.index.names["VsVip"][vs.VsVipRef]
	if !ok || !vs.Enabled {
		return
	}
	own := c.set.VsVips[vip].listens(vs, func(ref string) bool {
		p := named(c, c.set.NetworkProfiles, ref)
		return p != nil && p.Profile.Type == ProtocolTCPProxy
	})
	c.claim(vs, own)
	for i, field := range c.poolsOf(vs) {
		c.itself(c.set.Pools[i], field, own)
	}
}

// claim is what a virtual service listens on: UDP and TCP have ports of their own.
type claim struct {
	addr netip.AddrPort
	tcp  bool
}

// claim checks that no two virtual services, or ports of one, listen on the same address.
func (c *checker) claim(vs *VirtualService, own []Listen) {
	for _, l := range own {
		if l.Addr.Port() == 0 {
			continue
		}
		key := claim{l.Addr, l.TCP}
		owner, taken := c.claims[key]
		if !taken {
			c.claims[key] = c.at
			continue
		}
		at := (*path)(nil).field("services")
		for i, sv := range slices.Backward(vs.Services) { // of two that clash here, the second is the one to change
			if p := l.Addr.Port(); p == sv.Port || p > sv.Port && p <= sv.PortRangeEnd {
				at = at.item(i).field("port")
				break
			}
		}
		if owner == c.at {
			c.fail(at, l.Addr.String()+" is listened on twice")
		} else {
			c.fail(at, l.Addr.String()+" is listened on by "+owner.label(c.set)+" too")
		}
		return
	}
}

// itself checks that no server is an address of the service: it would send to itself, until Max-Forwards is used up.
func (c *checker) itself(pool *Pool, field string, listens []Listen) {
	var few [8]netip.AddrPort
	own := few[:0]
	for _, l := range listens {
		own = append(own, l.Addr)
		if l.Advertise.IsValid() {
			own = append(own, netip.AddrPortFrom(l.Advertise, l.Addr.Port()))
		}
	}
	isOwn := func(a netip.AddrPort) bool { return slices.Contains(own, a) }
	if len(own) > len(few) {
		set := make(map[netip.AddrPort]bool, len(own))
		for _, a := range own {
			set[a] = true
		}
		isOwn = func(a netip.AddrPort) bool { return set[a] }
	}
	for i := range pool.Servers {
		addr := pool.ServerAddr(i)
		every := netip.IPv6Unspecified()
		if addr.Addr().Is4() {
			every = netip.IPv4Unspecified()
		}
		if isOwn(addr) || addr.Addr().IsLoopback() && isOwn(netip.AddrPortFrom(every, addr.Port())) {
			c.fail((*path)(nil).field(field), "servers["+strconv.Itoa(i)+"] of Pool/"+pool.Name+" is "+addr.String()+
				", on which this virtual service listens: it would send to itself")
			return
		}
	}
}
