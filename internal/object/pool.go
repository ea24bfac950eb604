package object

import (
	"net/netip"
	"slices"
	"strconv"
)

// Pool is a set of servers and how one of them is chosen.
type Pool struct {
	Name                      string         `json:"name" required:"" doc:"unique among pools"`
	UUID                      string         `json:"uuid" doc:"references may name the object by it"`
	Description               string         `json:"description" doc:"free text"`
	Enabled                   bool           `json:"enabled" default:"true" doc:"false: takes no calls, its monitors pause"`
	Servers                   []Server       `json:"servers" items:"0..10000" key:"ip,port" doc:"the servers; an item may be just address:port (Avi's limit is 5000)"`
	DefaultServerPort         uint16         `json:"default_server_port" default:"80" range:"1..65535" doc:"port of servers that give none; SIP's is 5060"`
	LBAlgorithm               LBAlgorithm    `json:"lb_algorithm" default:"LB_ALGORITHM_LEAST_CONNECTIONS" doc:"how the server of a new call is chosen"`
	LBAlgorithmHash           LBHash         `json:"lb_algorithm_hash" default:"LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS" doc:"what the consistent hash is taken of"`
	HashHeaderName            string         `json:"lb_algorithm_consistent_hash_hdr" doc:"header field to hash, for the hash of a header"`
	IgnoreServerPort          bool           `json:"ignore_server_port" default:"false" doc:"place servers on the hash by address alone"`
	HealthMonitorRefs         []string       `json:"health_monitor_refs" items:"0..50" ref:"HealthMonitor" doc:"monitors of every server; none: servers count as up"`
	InlineHealthMonitor       bool           `json:"inline_health_monitor" default:"true" doc:"passive health: a server whose requests come to nothing, or take much longer than at the others, gets no new calls for a growing while (docs/health.md)"`
	MaxEjectedPercent         int            `json:"inline_health_max_ejected" default:"50" range:"0..100" unit:"%" own:"" doc:"of the servers that are up, how many passive health may take out at a time; one is always left"`
	MinHealthMonitorsUp       int            `json:"min_health_monitors_up" default:"0" range:"0..50" special:"0 is all" doc:"monitors that must pass for a server to be up"`
	MinServersUp              int            `json:"min_servers_up" default:"0" range:"0..10000" special:"0 is as 1" doc:"servers that must be up, neither disabled nor draining, for the pool to take new calls: with fewer it counts as down, these are answered 503, and what is known stays with its server"`
	GracefulDisableTimeoutMin int            `json:"graceful_disable_timeout" default:"1" range:"1..7200,0,-1" special:"0 is at once, -1 is never" unit:"min" doc:"how long a disabled server keeps the calls it has"`
	ServerDisableType         string         `json:"server_disable_type" default:"DISALLOW_NEW_CONNECTION" words:"- DISALLOW_NEW_CONNECTION ALLOW_NEW_CONNECTION_IF_PERSISTENCE_PRESENT" doc:"what a server that drains gets beside its dialogs: nothing that is new, its Call-IDs being known for transaction_timeout after it was disabled; or requests of Call-IDs that go on being used"`
	ConnectionRampDurationMin int            `json:"connection_ramp_duration" default:"10" range:"1..300,0" special:"0 is at once" unit:"min" doc:"how long a server that comes up, is added or enabled takes to get its whole share of new calls, in ten steps; not at the start of the engine, and never for calls that are known"`
	MaxConnectionsPerServer   int            `json:"max_concurrent_connections_per_server" default:"0" range:"0..2147483647" special:"0 is no limit" doc:"requests without a final response that a server may have, give or take one a worker: with so many it gets no new calls, and when all servers have so many these are answered 503; what it has stays with it"`
	MaxConnRatePerServer      RateProfile    `json:"max_conn_rate_per_server" doc:"requests of new calls and other new transactions that a server may be chosen for in a time, counted by each engine: with so many it gets no new calls until the time has passed; what it has stays with it"`
	RetryBudgetPercent        int            `json:"retry_budget_percent" default:"20" range:"0..100" unit:"%" own:"" doc:"requests that may be tried at a second server, as a share of all requests to the pool"`
	RetryBudgetPerSecond      int            `json:"retry_budget_per_second" default:"10" range:"0..100000" unit:"per s" own:"" doc:"second tries allowed whatever the share"`
	FailAction                FailAction     `json:"fail_action" optional:"" doc:"what becomes of requests while no server may get them; that of the group counts where the pool is in one"`
	ServerReselect            ServerReselect `json:"server_reselect" doc:"final responses that make a request go to another server, within the retry budget"`
	SSLProfileRef             string         `json:"ssl_profile_ref" ref:"SSLProfile" doc:"servers are spoken to over TLS, by this profile; none: in plain"`
	SSLKeyAndCertificateRef   string         `json:"ssl_key_and_certificate_ref" ref:"SSLKeyAndCertificate" doc:"certificate that is shown to servers over TLS"`
	PKIProfileRef             string         `json:"pki_profile_ref" ref:"PKIProfile" doc:"servers must show a certificate that these authorities have signed, for their hostname or address (RFC 5922); none: any is taken"`
	ServerName                string         `json:"server_name" doc:"name that servers are asked for over TLS (SNI), and that their certificates may have; none: the hostname of each"`
	SNIEnabled                bool           `json:"sni_enabled" default:"true" doc:"false: servers are not told over TLS which name is meant"`
	DomainName                []string       `json:"domain_name" items:"0..10" doc:"further names that certificates of servers may have, such as that of their SIP domain (RFC 5922)"`
	ServerTransport           string         `json:"server_transport" default:"SERVER_TRANSPORT_SAME" words:"SERVER_TRANSPORT_ SAME UDP TCP AUTO" own:"" doc:"transport to servers of a pool without ssl_profile_ref; SAME: UDP for what came over UDP, TCP for what came over TCP or TLS; AUTO: as SAME, and connections to all servers are tried, so that requests of more than 1,300 octets go over TCP to those that take them (RFC 3261 section 18.1.1), as they do with SAME where the virtual service listens on TCP"`
	DialogStateShared         bool           `json:"dialog_state_shared" default:"false" own:"" doc:"true: servers share dialogs, so a request in a dialog of a server that is down may go to another"`
	Kept                      Kept           `json:"-"`
}

// Server is one server of a pool. Address and port are its identity.
type Server struct {
	IP          netip.Addr `json:"ip" required:"" doc:"address, as {addr, type} or just the address; no DNS names yet"`
	Port        uint16     `json:"port" default:"0" range:"0..65535" special:"0 takes default_server_port" doc:"port"`
	Hostname    string     `json:"hostname" doc:"name to show in logs and metrics"`
	Enabled     bool       `json:"enabled" default:"true" doc:"false: drains, that is no new calls, and those it has until graceful_disable_timeout"`
	Ratio       int        `json:"ratio" default:"1" range:"1..20" doc:"weight against the other servers, with every algorithm"`
	Description string     `json:"description" doc:"free text"`
	Kept        Kept       `json:"-"`
}

var poolKept = slices.Concat(
	inCloud,
	quiet(keptText, `analytics_profile_ref pool_type="POOL_TYPE_GENERIC_APP" tier1_lr vrf_ref="global"`),
	quiet(keptBool, `east_west`),
	quiet(keptList, `networks placement_networks`),
	quiet(keptObject, `analytics_policy sp_gs_info`),
	noted(keptText, `append_port="NON_DEFAULT_80_443":NON_DEFAULT_80_443|NEVER|ALWAYS application_persistence_profile_ref autoscale_launch_config_ref
		autoscale_policy_ref`),
	quiet(keptBool, `host_check_enabled`), // it is always done
	noted(keptBool, `capacity_estimation delete_server_on_dns_refresh=true enable_http2 gslb_sp_enabled
		lb_algo_rr_per_se lookup_server_by_name request_queue_enabled
		rewrite_host_header_to_server_name rewrite_host_header_to_sni routing_pool`),
	noted(keptNumber, `capacity_estimation_ttfb_thresh=0:1..5000,0 fewest_tasks_feedback_delay=10:1..300
		graceful_hm_down_disable_timeout=-1:1..432000,0,-1 lb_algorithm_core_nonaffinity=2:1..65535 request_queue_depth=128:1..2147483647
		server_timeout=0:0..21600000`),
	noted(keptList, `autoscale_networks external_autoscale_groups`),
	noted(keptObject, `conn_pool_properties horizon_profile http2_properties`),
	refuse(keptList, "NSX groups are not supported; list the servers", `nsx_securitygroup`),
	refuse(keptText, "groups of addresses are not supported yet; list the servers", `ipaddrgroup_ref`),
	refuse(keptBool, "the client's port cannot be kept toward servers yet; give servers a port", `use_service_port`),
	refuse(keptBool, noNames, `resolve_pool_by_dns`),
	refuse(keptBool, noTLS, `use_service_ssl_mode`),
)

var serverKept = slices.Concat(
	quiet(keptText, `autoscaling_group_name availability_zone external_orchestration_id external_uuid mac_address nw_ref
		server_node vm_ref`),
	quiet(keptBool, `static verify_network`),
	quiet(keptList, `discovered_networks`),
	quiet(keptObject, `location`),
	noted(keptText, `prst_hdr_val`),
	noted(keptBool, `rewrite_host_header`),
	noted(keptNumber, `preference_order:1..128`),
	refuse(keptBool, noNames, `resolve_server_by_dns`),
)

func (c *checker) pool(p *Pool) {
	root := (*path)(nil)
	c.servers(p)
	c.reselect(&p.ServerReselect)
	header := p.LBAlgorithm == ConsistentHash && p.LBAlgorithmHash == HashHeader
	switch {
	case header && p.HashHeaderName == "":
		c.fail(root.field("lb_algorithm_consistent_hash_hdr"), "missing: expected the name of the header field to hash")
	case p.HashHeaderName != "" && !isToken(p.HashHeaderName):
		c.fail(root.field("lb_algorithm_consistent_hash_hdr"), quote(p.HashHeaderName)+" is not the name of a header field")
	}
	if n := len(p.HealthMonitorRefs); p.MinHealthMonitorsUp > n {
		c.fail(root.field("min_health_monitors_up"), strconv.Itoa(p.MinHealthMonitorsUp)+" is more than the "+strconv.Itoa(n)+" in health_monitor_refs")
	}
}

// servers checks that every server has an address of its own.
func (c *checker) servers(p *Pool) {
	if len(p.Servers) > theSchema().kind("Pool").shape.byName["servers"].maxItems {
		return // told already
	}
	seen := make(map[netip.AddrPort]int, len(p.Servers))
	for i := range p.Servers {
		addr := p.ServerAddr(i)
		at := (*path)(nil).field("servers").item(i)
		if !addr.Addr().IsValid() {
			continue // told already
		}
		if addr.Addr().IsUnspecified() {
			c.fail(at.field("ip"), addr.Addr().String()+" is no server's address")
			continue
		}
		if first, twice := seen[addr]; twice {
			c.fail(at, addr.String()+" is servers["+strconv.Itoa(first)+"] already")
			continue
		}
		seen[addr] = i
		if !p.IgnoreServerPort {
			continue
		}
		alone := netip.AddrPortFrom(addr.Addr(), 0)
		if first, twice := seen[alone]; twice {
			c.fail(at, addr.Addr().String()+" is the address of servers["+strconv.Itoa(first)+"] too, and ignore_server_port makes them one")
			continue
		}
		seen[alone] = i
	}
}

// AllowIfPersistent is the server_disable_type under which Call-IDs that go on being used stay with a server that drains.
const AllowIfPersistent = "ALLOW_NEW_CONNECTION_IF_PERSISTENCE_PRESENT"
