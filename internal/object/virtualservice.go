package object

import (
	"slices"
	"strconv"
)

// VirtualService is one address of the farm: it joins a VIP, ports, profiles and a pool.
type VirtualService struct {
	Name                     string            `json:"name" required:"" doc:"unique among virtual services"`
	UUID                     string            `json:"uuid" doc:"references may name the object by it"`
	Description              string            `json:"description" doc:"free text"`
	Enabled                  bool              `json:"enabled" default:"true" doc:"false: the virtual service has no sockets"`
	TrafficEnabled           bool              `json:"traffic_enabled" default:"true" doc:"false: keeps its sockets, takes no traffic"`
	Type                     VSType            `json:"type" default:"VS_TYPE_NORMAL" doc:"kind of virtual service"`
	Services                 []Service         `json:"services" required:"" items:"1..2048" key:"port" doc:"ports to listen on; 2048 ports at most in all"`
	VsVipRef                 string            `json:"vsvip_ref" required:"" ref:"VsVip" doc:"addresses to listen on"`
	PoolRef                  string            `json:"pool_ref" ref:"Pool" doc:"where requests go"`
	PoolGroupRef             string            `json:"pool_group_ref" ref:"PoolGroup" doc:"the pools that requests go to, instead of pool_ref"`
	ApplicationProfileRef    string            `json:"application_profile_ref" default:"System-SIP" ref:"ApplicationProfile" doc:"how SIP is treated; Avi's default is its HTTP profile, ours is SIP with all defaults"`
	NetworkProfileRef        string            `json:"network_profile_ref" default:"System-UDP-Proxy" ref:"NetworkProfile" doc:"UDP or TCP, where services[] say nothing else; Avi's default is its TCP proxy, ours is UDP proxy with all defaults"`
	SSLKeyAndCertificateRefs []string          `json:"ssl_key_and_certificate_refs" items:"0..16" ref:"SSLKeyAndCertificate" doc:"certificates for services with enable_ssl; the one whose name a client asks for is shown, else the first"`
	SSLProfileRef            string            `json:"ssl_profile_ref" ref:"SSLProfile" doc:"versions and ciphers of TLS with clients; none: TLS 1.2 and 1.3"`
	PKIProfileRef            string            `json:"pki_profile_ref" ref:"PKIProfile" own:"" doc:"clients must show a certificate that these authorities have signed; none: no client certificate is asked for"`
	PerformanceLimits        PerformanceLimits `json:"performance_limits" optional:"" doc:"most that the virtual service takes"`
	MaxCPSPerClient          int               `json:"max_cps_per_client" default:"0" range:"10..1000,0" special:"0 is no limit" unit:"per s" doc:"new connections of TCP and TLS from one IPv4 address, or one /64 of IPv6; more are closed at once"`
	ConnectionsRateLimit     RateProfile       `json:"connections_rate_limit" doc:"new connections of TCP and TLS in a time; more are closed at once, whatever action says"`
	FQDN                     string            `json:"fqdn" doc:"a name by which requests address the virtual service; give this or dns_info"`
	DNSInfo                  []DNSInfo         `json:"dns_info" items:"0..1000" key:"fqdn" doc:"names by which requests address the virtual service"`
	Kept                     Kept              `json:"-"`
}

// PerformanceLimits is the most that a virtual service takes on one engine.
type PerformanceLimits struct {
	MaxConcurrentConnections int  `json:"max_concurrent_connections" default:"0" range:"0..2147483647" special:"0 is 100000" doc:"connections of TCP and TLS that are open at a time; more are closed at once"`
	Kept                     Kept `json:"-"`
}

var performanceLimitsKept = noted(keptNumber, `max_throughput`)

// Service is one listening port, or a range of them.
type Service struct {
	Port                      uint16 `json:"port" required:"" range:"0..65535" special:"0 takes any free port" doc:"port to listen on"`
	PortRangeEnd              uint16 `json:"port_range_end" default:"0" range:"0..65535" special:"0 is a single port" doc:"last port of a range that starts at port"`
	OverrideNetworkProfileRef string `json:"override_network_profile_ref" ref:"NetworkProfile" doc:"UDP or TCP on this port; none: as network_profile_ref says"`
	EnableSSL                 bool   `json:"enable_ssl" default:"false" doc:"TLS, over a TCP proxy"`
	Kept                      Kept   `json:"-"`
}

// DNSInfo is one DNS name of a virtual service or VIP.
type DNSInfo struct {
	FQDN string `json:"fqdn" required:"" doc:"a name by which requests address the virtual service"`
	Kept Kept   `json:"-"`
}

var virtualServiceKept = slices.Concat(
	inCloud,
	quiet(keptText, `active_standby_se_tag="ACTIVE_STANDBY_SE_1":ACTIVE_STANDBY_SE_1|ACTIVE_STANDBY_SE_2 analytics_profile_ref="System-Analytics-Profile"
		apic_contract_graph azure_availability_set cloud_type="CLOUD_NONE" flow_dist="LOAD_AWARE":LOAD_AWARE|CONSISTENT_HASH_SOURCE_IP_ADDRESS|CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT
		flow_label_type="NO_LABEL" microservice_ref se_group_ref="Default-Group"
		test_se_datastore_level_1_ref vh_type="VS_TYPE_VH_SNI" vrf_context_ref="global"
		vsvip_cloud_config_cksum`),
	quiet(keptBool, `advertise_down_vs bulk_sync_kvcache delay_fairness east_west_placement enable_autogw=true enable_rhi
		enable_rhi_snat enable_session ign_pool_net_reach revoke_vip_route scaleout_ecmp
		use_bridge_ip_as_vip`),
	quiet(keptNumber, `bgp_local_preference bgp_num_as_path_prepend:1..10 ssl_sess_cache_avg_size=1024:1024..16383 weight=1:1..128`),
	quiet(keptList, `bgp_peer_labels labels`),
	quiet(keptObject, `analytics_policy`),
	noted(keptText, `server_network_profile_ref traffic_clone_profile_ref vh_parent_vs_ref`),
	noted(keptBool, `allow_invalid_client_cert close_client_conn_on_config_update limit_doser
		remove_listening_port_on_vs_down use_vip_as_snat`),
	noted(keptNumber, `min_pools_up=0:0..65535`),
	noted(keptList, `nsx_securitygroup snat_ip snat_ip6_addresses sp_pool_refs
		ssl_profile_selectors static_dns_records vh_domain_name vh_matches`),
	noted(keptObject, `requests_rate_limit sideband_profile`),
	refuse(keptList, "a pool for each port is not supported yet; use a virtual service for each", `service_pool_select`),
	refuse(keptList, "addresses inside a virtual service are not supported; put them into a VsVip and name it in vsvip_ref", `vip`),
	refuse(keptText, noHTTP, `csrf_policy_ref error_page_profile_ref host_name_xlate sso_policy_ref`),
	refuse(keptList, noHTTP, `dns_policies http_policies icap_request_profile_refs topology_policies vs_datascripts`),
	refuse(keptObject, noHTTP, `content_rewrite jwt_config ldap_vs_config oauth_vs_config saml_sp_config sso_policy`),
	refuse(keptText, noPolicies, `bot_policy_ref network_security_policy_ref security_policy_ref waf_policy_ref`),
	refuse(keptList, noPolicies, `l4_policies`),
	dropped(keptText, `version`),
	dropped(keptList, `vip_runtime`),
)

var serviceKept = slices.Concat(
	noted(keptBool, `enable_http2 horizon_internal_ports is_active_ftp_data_port`),
	refuse(keptText, "an application profile for each port is not supported yet; use a virtual service for each", `override_application_profile_ref`),
)

var dnsInfoKept = slices.Concat(
	quiet(keptText, `algorithm="DNS_RECORD_RESPONSE_CONSISTENT_HASH" metadata type="DNS_RECORD_A"`),
	quiet(keptNumber, `num_records_in_response=1:0..20 ttl`),
	quiet(keptObject, `cname`),
)

// maxPorts bounds the ports of one virtual service, ranges counted out, as Avi does.
const maxPorts = 2048

func (c *checker) virtualService(vs *VirtualService) {
	root := (*path)(nil)
	switch {
	case vs.PoolRef == "" && vs.PoolGroupRef == "":
		c.fail(root.field("pool_ref"), "missing: expected the name of a Pool")
	case vs.PoolRef != "" && vs.PoolGroupRef != "":
		c.fail(root.field("pool_group_ref"), "give pool_ref or pool_group_ref, not both")
	}
	if vs.FQDN != "" && len(vs.DNSInfo) > 0 {
		c.fail(root.field("fqdn"), "give fqdn or dns_info, not both")
	}
	for i, sv := range vs.Services {
		at := root.field("services").item(i)
		switch {
		case sv.PortRangeEnd != 0 && sv.PortRangeEnd < sv.Port:
			c.fail(at.field("port_range_end"), strconv.Itoa(int(sv.PortRangeEnd))+" is below port "+strconv.Itoa(int(sv.Port)))
		case sv.PortRangeEnd != 0 && sv.Port == 0:
			c.fail(at.field("port"), "0 takes any free port, and cannot start a range")
		}
	}
	if total, _ := vs.portCount(); total > maxPorts {
		c.fail(root.field("services"), strconv.Itoa(total)+" ports: must be at most "+strconv.Itoa(maxPorts))
	}
}

// portCount is how many ports a virtual service listens on, and whether all of that is right.
func (vs *VirtualService) portCount() (total int, good bool) {
	good = true
	for i := range vs.Services {
		first, last := int(vs.Services[i].Port), int(vs.Services[i].PortRangeEnd)
		good = good && (last == 0 || last >= first && first > 0)
		total += max(first, last) - first + 1
	}
	return total, good && total <= maxPorts
}
