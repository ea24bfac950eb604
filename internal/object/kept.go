package object

// keptField is a field of Avi's that has no effect here: accepted, kept, given back.
type keptField struct {
	name     string
	is       keptKind
	def      string // Avi's default as JSON; empty: false, 0, "", [] or {}
	refused  string // not empty: any value but the default is refused, for this reason
	dropped  bool   // taken and forgotten: what an answer of the API says beside the object
	harmless bool   // bookkeeping and placement: no warning that it has no effect
}

// keptKind is what may stand in a kept field.
type keptKind uint8

const (
	keptText keptKind = iota // references too
	keptBool
	keptNumber
	keptList
	keptObject
)

func (k keptKind) String() string {
	return [...]string{"text", "true or false", "number", "list", "mapping"}[k]
}

// Fields whose silent loss would send calls elsewhere, in the clear or past a rule are refused, not kept.
const (
	noTLS      = "TLS is not supported yet"
	noGroups   = "pool groups are not supported yet; name one pool in pool_ref"
	noPolicies = "policies are not supported yet, and traffic they would stop must not pass"
	noClient   = "the client's address cannot be preserved for SIP"
	noNames    = "DNS names of servers are not supported yet; give addresses"
	noAllocate = "addresses cannot be allocated here; give ip_address"
)

// keptByAll are the fields that every object has.
var keptByAll = []keptField{
	{name: "url", dropped: true},
	{name: "_last_modified", dropped: true},
	{name: "tenant_ref", harmless: true},
	{name: "cloud_ref", harmless: true},
	{name: "created_by", harmless: true},
	{name: "service_metadata", harmless: true},
	{name: "cloud_config_cksum", harmless: true},
	{name: "markers", is: keptList, harmless: true},
	{name: "configpb_attributes", is: keptObject, dropped: true},
}

// keptFields are the others, by the Go name of the struct they stand in, in the order of the alphabet.
var keptFields = map[string][]keptField{
	"VirtualService": {
		{name: "active_standby_se_tag", def: `"ACTIVE_STANDBY_SE_1"`, harmless: true},
		{name: "advertise_down_vs", is: keptBool, harmless: true},
		{name: "allow_invalid_client_cert", is: keptBool},
		{name: "analytics_policy", is: keptObject, harmless: true},
		{name: "analytics_profile_ref", harmless: true},
		{name: "apic_contract_graph", harmless: true},
		{name: "azure_availability_set", harmless: true},
		{name: "bgp_local_preference", is: keptNumber, harmless: true},
		{name: "bgp_num_as_path_prepend", is: keptNumber, harmless: true},
		{name: "bgp_peer_labels", is: keptList, harmless: true},
		{name: "bot_policy_ref", refused: noPolicies},
		{name: "bulk_sync_kvcache", is: keptBool, harmless: true},
		{name: "close_client_conn_on_config_update", is: keptBool},
		{name: "cloud_type", def: `"CLOUD_NONE"`, harmless: true},
		{name: "connections_rate_limit", is: keptObject},
		{name: "content_rewrite", is: keptObject},
		{name: "csrf_policy_ref"},
		{name: "delay_fairness", is: keptBool, harmless: true},
		{name: "dns_policies", is: keptList},
		{name: "east_west_placement", is: keptBool, harmless: true},
		{name: "enable_autogw", is: keptBool, def: "true", harmless: true},
		{name: "enable_rhi", is: keptBool, harmless: true},
		{name: "enable_rhi_snat", is: keptBool, harmless: true},
		{name: "enable_session", is: keptBool, harmless: true},
		{name: "error_page_profile_ref"},
		{name: "flow_dist", def: `"LOAD_AWARE"`, harmless: true},
		{name: "flow_label_type", def: `"NO_LABEL"`, harmless: true},
		{name: "host_name_xlate"},
		{name: "http_policies", is: keptList},
		{name: "icap_request_profile_refs", is: keptList},
		{name: "ign_pool_net_reach", is: keptBool, harmless: true},
		{name: "jwt_config", is: keptObject},
		{name: "l4_policies", is: keptList, refused: noPolicies},
		{name: "labels", is: keptList, harmless: true},
		{name: "ldap_vs_config", is: keptObject},
		{name: "limit_doser", is: keptBool},
		{name: "max_cps_per_client", is: keptNumber},
		{name: "microservice_ref", harmless: true},
		{name: "min_pools_up", is: keptNumber},
		{name: "network_security_policy_ref", refused: noPolicies},
		{name: "nsx_securitygroup", is: keptList},
		{name: "oauth_vs_config", is: keptObject},
		{name: "performance_limits", is: keptObject},
		{name: "pool_group_ref", refused: noGroups},
		{name: "remove_listening_port_on_vs_down", is: keptBool},
		{name: "requests_rate_limit", is: keptObject},
		{name: "revoke_vip_route", is: keptBool, harmless: true},
		{name: "saml_sp_config", is: keptObject},
		{name: "scaleout_ecmp", is: keptBool, harmless: true},
		{name: "se_group_ref", harmless: true},
		{name: "security_policy_ref", refused: noPolicies},
		{name: "server_network_profile_ref"},
		{name: "service_pool_select", is: keptList, refused: "a pool for each port is not supported yet; use a virtual service for each"},
		{name: "sideband_profile", is: keptObject},
		{name: "snat_ip", is: keptList},
		{name: "snat_ip6_addresses", is: keptList},
		{name: "sp_pool_refs", is: keptList},
		{name: "ssl_key_and_certificate_refs", is: keptList},
		{name: "ssl_profile_ref"},
		{name: "ssl_profile_selectors", is: keptList},
		{name: "ssl_sess_cache_avg_size", is: keptNumber, def: "1024", harmless: true},
		{name: "sso_policy", is: keptObject},
		{name: "sso_policy_ref"},
		{name: "static_dns_records", is: keptList},
		{name: "test_se_datastore_level_1_ref", harmless: true},
		{name: "topology_policies", is: keptList},
		{name: "traffic_clone_profile_ref"},
		{name: "use_bridge_ip_as_vip", is: keptBool, harmless: true},
		{name: "use_vip_as_snat", is: keptBool},
		{name: "version", dropped: true},
		{name: "vh_domain_name", is: keptList},
		{name: "vh_matches", is: keptList},
		{name: "vh_parent_vs_ref"},
		{name: "vh_type", def: `"VS_TYPE_VH_SNI"`, harmless: true},
		{name: "vip", is: keptList, refused: "addresses inside a virtual service are not supported; put them into a VsVip and name it in vsvip_ref"},
		{name: "vip_runtime", is: keptList, dropped: true},
		{name: "vrf_context_ref", harmless: true},
		{name: "vs_datascripts", is: keptList},
		{name: "vsvip_cloud_config_cksum", harmless: true},
		{name: "waf_policy_ref", refused: noPolicies},
		{name: "weight", is: keptNumber, def: "1", harmless: true},
	},
	"Service": {
		{name: "enable_http2", is: keptBool},
		{name: "enable_ssl", is: keptBool, refused: noTLS},
		{name: "horizon_internal_ports", is: keptBool},
		{name: "is_active_ftp_data_port", is: keptBool},
		{name: "override_application_profile_ref", refused: "a profile for each port is not supported yet; use a virtual service for each"},
		{name: "override_network_profile_ref", refused: "a profile for each port is not supported yet; use a virtual service for each"},
	},
	"DNSInfo": {
		{name: "algorithm", def: `"DNS_RECORD_RESPONSE_CONSISTENT_HASH"`, harmless: true},
		{name: "cname", is: keptObject, harmless: true},
		{name: "metadata", harmless: true},
		{name: "num_records_in_response", is: keptNumber, def: "1", harmless: true},
		{name: "ttl", is: keptNumber, harmless: true},
		{name: "type", def: `"DNS_RECORD_A"`, harmless: true},
	},
	"VsVip": {
		{name: "bgp_local_preference", is: keptNumber, harmless: true},
		{name: "bgp_num_as_path_prepend", is: keptNumber, harmless: true},
		{name: "bgp_peer_labels", is: keptList, harmless: true},
		{name: "east_west_placement", is: keptBool, harmless: true},
		{name: "ipam_selector", is: keptObject, harmless: true},
		{name: "tier1_lr", harmless: true},
		{name: "use_standard_alb", is: keptBool, harmless: true},
		{name: "vrf_context_ref", harmless: true},
		{name: "vsvip_cloud_config_cksum", harmless: true},
	},
	"Vip": {
		{name: "auto_allocate_floating_ip", is: keptBool, refused: noAllocate},
		{name: "auto_allocate_ip", is: keptBool, refused: noAllocate},
		{name: "auto_allocate_ip_type", def: `"V4_ONLY"`, harmless: true},
		{name: "availability_zone", harmless: true},
		{name: "avi_allocated_fip", is: keptBool, harmless: true},
		{name: "avi_allocated_vip", is: keptBool, harmless: true},
		{name: "discovered_networks", is: keptList, harmless: true},
		{name: "floating_subnet6_uuid", harmless: true},
		{name: "floating_subnet_uuid", harmless: true},
		{name: "ipam_network_subnet", is: keptObject, harmless: true},
		{name: "network_ref", harmless: true},
		{name: "placement_networks", is: keptList, harmless: true},
		{name: "port_uuid", harmless: true},
		{name: "prefix_length", is: keptNumber, def: "32", harmless: true},
		{name: "subnet", is: keptObject, harmless: true},
		{name: "subnet6", is: keptObject, harmless: true},
		{name: "subnet6_uuid", harmless: true},
		{name: "subnet_uuid", harmless: true},
	},
	"Pool": {
		{name: "analytics_policy", is: keptObject, harmless: true},
		{name: "analytics_profile_ref", harmless: true},
		{name: "append_port", def: `"NON_DEFAULT_80_443"`},
		{name: "application_persistence_profile_ref"},
		{name: "autoscale_launch_config_ref"},
		{name: "autoscale_networks", is: keptList},
		{name: "autoscale_policy_ref"},
		{name: "capacity_estimation", is: keptBool},
		{name: "capacity_estimation_ttfb_thresh", is: keptNumber},
		{name: "conn_pool_properties", is: keptObject},
		{name: "connection_ramp_duration", is: keptNumber, def: "10"},
		{name: "delete_server_on_dns_refresh", is: keptBool, def: "true"},
		{name: "domain_name", is: keptList},
		{name: "east_west", is: keptBool, harmless: true},
		{name: "enable_http2", is: keptBool},
		{name: "external_autoscale_groups", is: keptList},
		{name: "fail_action", is: keptObject},
		{name: "fewest_tasks_feedback_delay", is: keptNumber, def: "10"},
		{name: "graceful_hm_down_disable_timeout", is: keptNumber, def: "-1"},
		{name: "gslb_sp_enabled", is: keptBool},
		{name: "horizon_profile", is: keptObject},
		{name: "host_check_enabled", is: keptBool},
		{name: "http2_properties", is: keptObject},
		{name: "inline_health_monitor", is: keptBool, def: "true", harmless: true},
		{name: "ipaddrgroup_ref", refused: "groups of addresses are not supported yet; list the servers"},
		{name: "lb_algo_rr_per_se", is: keptBool},
		{name: "lb_algorithm_core_nonaffinity", is: keptNumber, def: "2"},
		{name: "lookup_server_by_name", is: keptBool},
		{name: "max_conn_rate_per_server", is: keptObject},
		{name: "networks", is: keptList, harmless: true},
		{name: "nsx_securitygroup", is: keptList, refused: "NSX groups are not supported; list the servers"},
		{name: "pki_profile_ref", refused: noTLS},
		{name: "placement_networks", is: keptList, harmless: true},
		{name: "pool_type", def: `"POOL_TYPE_GENERIC_APP"`, harmless: true},
		{name: "request_queue_depth", is: keptNumber, def: "128"},
		{name: "request_queue_enabled", is: keptBool},
		{name: "resolve_pool_by_dns", is: keptBool, refused: noNames},
		{name: "rewrite_host_header_to_server_name", is: keptBool},
		{name: "rewrite_host_header_to_sni", is: keptBool},
		{name: "routing_pool", is: keptBool},
		{name: "server_disable_type", def: `"DISALLOW_NEW_CONNECTION"`},
		{name: "server_name"},
		{name: "server_reselect", is: keptObject},
		{name: "server_timeout", is: keptNumber},
		{name: "sni_enabled", is: keptBool, def: "true"},
		{name: "sp_gs_info", is: keptObject, harmless: true},
		{name: "ssl_key_and_certificate_ref", refused: noTLS},
		{name: "ssl_profile_ref", refused: noTLS},
		{name: "tier1_lr", harmless: true},
		{name: "use_service_port", is: keptBool, refused: "the client's port cannot be kept toward servers yet; give servers a port"},
		{name: "use_service_ssl_mode", is: keptBool, refused: noTLS},
		{name: "vrf_ref", harmless: true},
	},
	"Server": {
		{name: "autoscaling_group_name", harmless: true},
		{name: "availability_zone", harmless: true},
		{name: "discovered_networks", is: keptList, harmless: true},
		{name: "external_orchestration_id", harmless: true},
		{name: "external_uuid", harmless: true},
		{name: "location", is: keptObject, harmless: true},
		{name: "mac_address", harmless: true},
		{name: "nw_ref", harmless: true},
		{name: "preference_order", is: keptNumber},
		{name: "prst_hdr_val"},
		{name: "resolve_server_by_dns", is: keptBool, refused: noNames},
		{name: "rewrite_host_header", is: keptBool},
		{name: "server_node", harmless: true},
		{name: "static", is: keptBool, harmless: true},
		{name: "verify_network", is: keptBool, harmless: true},
		{name: "vm_ref", harmless: true},
	},
	"HealthMonitor": append([]keptField{
		{name: "allow_duplicate_monitors", is: keptBool, harmless: true},
		{name: "authentication", is: keptObject},
		{name: "is_federated", is: keptBool, harmless: true},
	}, keptMonitors()...),
	"TCPMonitor": {
		{name: "tcp_half_open", is: keptBool},
	},
	"ApplicationProfile": {
		{name: "app_service_type", harmless: true},
		{name: "dns_service_profile", is: keptObject},
		{name: "dos_rl_profile", is: keptObject},
		{name: "http_profile", is: keptObject},
		{name: "l4_ssl_profile", is: keptObject},
		{name: "preserve_client_ip", is: keptBool, refused: noClient},
		{name: "preserve_client_port", is: keptBool, refused: noClient},
		{name: "preserve_dest_ip_port", is: keptBool, refused: noClient},
		{name: "tcp_app_profile", is: keptObject},
	},
	"NetworkProfile": {
		{name: "connection_mirror", is: keptBool},
	},
	"Profile": {
		{name: "sctp_fast_path_profile", is: keptObject},
		{name: "sctp_proxy_profile", is: keptObject},
		{name: "tcp_fast_path_profile", is: keptObject},
		{name: "tcp_proxy_profile", is: keptObject},
		{name: "udp_fast_path_profile", is: keptObject},
	},
}

// keptMonitors are the members of HealthMonitor for types we do not have.
func keptMonitors() []keptField {
	var out []keptField
	for _, name := range []string{"dns", "external", "ftp", "ftps", "http", "https", "imap", "imaps", "ldap", "ldaps",
		"pop3", "pop3s", "radius", "sctp", "smtp", "smtps"} {
		out = append(out, keptField{name: name + "_monitor", is: keptObject})
	}
	return out
}

// defaultJSON is the default of the field as JSON.
func (k *keptField) defaultJSON() string {
	if k.def != "" {
		return k.def
	}
	return [...]string{`""`, "false", "0", "[]", "{}"}[k.is]
}
