package object

import (
	"net/netip"
	"slices"
	"strconv"
)

// IpAddrGroup is a set of addresses with a name, for policies. Its name is spelled as Avi spells it.
type IpAddrGroup struct {
	Name         string         `json:"name" required:"" doc:"unique among groups"`
	UUID         string         `json:"uuid" doc:"references may name the object by it"`
	Description  string         `json:"description" doc:"free text"`
	Addrs        []netip.Addr   `json:"addrs" items:"0..100000" idle:"" doc:"single addresses"`
	Prefixes     []IPAddrPrefix `json:"prefixes" items:"0..100000" key:"ip_addr,mask" idle:"" doc:"networks; an item may be just 10.0.0.0/8"`
	Ranges       []IPAddrRange  `json:"ranges" items:"0..100000" key:"begin,end" idle:"" doc:"ranges; an item may be just 10.0.0.1-10.0.0.9"`
	CountryCodes []string       `json:"country_codes" items:"0..300" idle:"" doc:"countries, by their two letters"`
	Kept         Kept           `json:"-"`
}

// IPAddrPrefix is a network.
type IPAddrPrefix struct {
	IPAddr netip.Addr `json:"ip_addr" required:"" idle:"" doc:"an address of the network"`
	Mask   int        `json:"mask" required:"" range:"0..128" idle:"" doc:"bits that all addresses of it share"`
	Kept   Kept       `json:"-"`
}

// IPAddrRange is the addresses from begin to end, both included.
type IPAddrRange struct {
	Begin netip.Addr `json:"begin" required:"" idle:"" doc:"first address"`
	End   netip.Addr `json:"end" required:"" idle:"" doc:"last address"`
	Kept  Kept       `json:"-"`
}

var ipAddrGroupKept = slices.Concat(
	quiet(keptText, `apic_epg_name marathon_app_name`),
	quiet(keptNumber, `marathon_service_port`),
	quiet(keptList, `ip_ports`),
)

func (c *checker) ipAddrGroup(g *IpAddrGroup) {
	c.prefixes(nil, g.Prefixes)
	c.ranges(nil, g.Ranges)
}

// prefixes checks networks in the field of that name at a place.
func (c *checker) prefixes(at *path, list []IPAddrPrefix) {
	for i, p := range list {
		if p.IPAddr.IsValid() && p.Mask > p.IPAddr.BitLen() {
			c.fail(at.field("prefixes").item(i).field("mask"), strconv.Itoa(p.Mask)+" is more than an address of type "+familyOf(p.IPAddr)+" has: must be 0 to "+strconv.Itoa(p.IPAddr.BitLen()))
		}
	}
}

// ranges checks ranges of addresses in the field of that name at a place.
func (c *checker) ranges(at *path, list []IPAddrRange) {
	for i, r := range list {
		at := at.field("ranges").item(i).field("end")
		switch {
		case !r.Begin.IsValid() || !r.End.IsValid():
		case r.Begin.Is4() != r.End.Is4():
			c.fail(at, r.End.String()+" is of type "+familyOf(r.End)+", begin of type "+familyOf(r.Begin))
		case r.End.Less(r.Begin):
			c.fail(at, r.End.String()+" is below begin, "+r.Begin.String())
		}
	}
}
