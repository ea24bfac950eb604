package object

import (
	"net/netip"
	"slices"
)

// VsVip is a set of addresses to listen on.
type VsVip struct {
	Name        string    `json:"name" required:"" doc:"unique among VIPs"`
	UUID        string    `json:"uuid" doc:"references may name the object by it"`
	Description string    `json:"description" doc:"free text"`
	Vip         []Vip     `json:"vip" required:"" items:"1..256" key:"vip_id" doc:"the addresses; an item may be just an address"`
	DNSInfo     []DNSInfo `json:"dns_info" items:"0..1000" key:"fqdn" doc:"names by which requests address the virtual services on it"`
	Kept        Kept      `json:"-"`
}

// Vip is an IPv4 address, an IPv6 address or one of each, to listen on.
type Vip struct {
	VipID       string     `json:"vip_id" digits:"" doc:"unique in its list; left out: its place in the list, from 1 (Avi wants it given)"`
	IPAddress   netip.Addr `json:"ip_address" doc:"address to listen on; 0.0.0.0 is every IPv4 address, and an IPv6 one is taken too"`
	IP6Address  netip.Addr `json:"ip6_address" doc:"IPv6 address to listen on, beside ip_address; :: is every IPv6 address"`
	FloatingIP  netip.Addr `json:"floating_ip" doc:"address advertised in Via and Record-Route instead of ip_address (NAT in front)"`
	FloatingIP6 netip.Addr `json:"floating_ip6" doc:"address advertised in Via and Record-Route instead of ip6_address"`
	Enabled     bool       `json:"enabled" default:"true" doc:"false: not listened on"`
	Kept        Kept       `json:"-"`
}

var vsVipKept = slices.Concat(
	inCloud,
	quiet(keptText, `tier1_lr vrf_context_ref="global" vsvip_cloud_config_cksum`),
	quiet(keptBool, `east_west_placement use_standard_alb`),
	quiet(keptNumber, `bgp_local_preference bgp_num_as_path_prepend:1..10`),
	quiet(keptList, `bgp_peer_labels`),
	quiet(keptObject, `ipam_selector`),
)

var vipKept = slices.Concat(
	quiet(keptText, `auto_allocate_ip_type="V4_ONLY" availability_zone floating_subnet6_uuid floating_subnet_uuid
		network_ref port_uuid subnet6_uuid subnet_uuid`),
	quiet(keptBool, `avi_allocated_fip avi_allocated_vip`),
	quiet(keptNumber, `prefix_length=32:0..32`),
	quiet(keptList, `discovered_networks placement_networks`),
	quiet(keptObject, `ipam_network_subnet subnet subnet6`),
	refuse(keptBool, noAllocate, `auto_allocate_floating_ip auto_allocate_ip`),
)

func (c *checker) vsVip(v *VsVip) {
	ids := map[string]bool{}
	addrs := map[netip.Addr]bool{}
	for i := range v.Vip {
		vip := &v.Vip[i]
		at := (*path)(nil).field("vip").item(i)
		if vip.VipID != "" && ids[vip.VipID] {
			c.fail(at.field("vip_id"), quote(vip.VipID)+" is there twice")
		}
		ids[vip.VipID] = true
		if !vip.IPAddress.IsValid() && !vip.IP6Address.IsValid() {
			c.fail(at.field("ip_address"), "missing: expected an IP address here or in ip6_address")
		}
		if vip.IP6Address.IsValid() && !vip.IP6Address.Is6() {
			c.fail(at.field("ip6_address"), vip.IP6Address.String()+" is not an IPv6 address")
		}
		c.floating(at, "floating_ip", vip.FloatingIP, "ip_address", vip.IPAddress)
		c.floating(at, "floating_ip6", vip.FloatingIP6, "ip6_address", vip.IP6Address)
		for name, a := range map[string]netip.Addr{"ip_address": vip.IPAddress, "ip6_address": vip.IP6Address} {
			if a.IsValid() && addrs[a] {
				c.fail(at.field(name), a.String()+" is there twice")
			}
			addrs[a] = true
		}
	}
}

// floating checks an address that is advertised for another.
func (c *checker) floating(at *path, name string, a netip.Addr, forName string, forAddr netip.Addr) {
	switch {
	case !a.IsValid():
	case !forAddr.IsValid():
		c.fail(at.field(name), "there is no "+forName+" to advertise it for")
	case a.IsUnspecified():
		c.fail(at.field(name), a.String()+" cannot be advertised: expected an address that others can reach")
	case a.Is4() != forAddr.Is4():
		c.fail(at.field(name), a.String()+" is of type "+familyOf(a)+", but "+forName+" "+forAddr.String()+" is of type "+familyOf(forAddr))
	}
}
