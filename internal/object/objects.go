package object

import (
	"encoding/json"
	"net/netip"
)

// Kept holds fields of Avi's that have no effect here, by name, as compact JSON: they are accepted and given back.
// A field that stands at its default is not in it. Nil when there are none.
type Kept map[string]json.RawMessage

// VirtualService is one address of the farm: it joins a VIP, ports, profiles and a pool.
type VirtualService struct {
	Name                  string    `json:"name" required:"" doc:"unique among virtual services"`
	UUID                  string    `json:"uuid" doc:"references may name the object by it"`
	Description           string    `json:"description" doc:"free text"`
	Enabled               bool      `json:"enabled" default:"true" doc:"false: the virtual service has no sockets"`
	TrafficEnabled        bool      `json:"traffic_enabled" default:"true" doc:"false: keeps its sockets, takes no traffic"`
	Type                  VSType    `json:"type" default:"VS_TYPE_NORMAL" doc:"kind of virtual service"`
	Services              []Service `json:"services" required:"" items:"1..2048" key:"port" doc:"ports to listen on; 2048 ports at most in all"`
	VsVipRef              string    `json:"vsvip_ref" required:"" ref:"VsVip" doc:"addresses to listen on"`
	PoolRef               string    `json:"pool_ref" required:"" ref:"Pool" doc:"where requests go"`
	ApplicationProfileRef string    `json:"application_profile_ref" default:"System-SIP" ref:"ApplicationProfile" doc:"how SIP is treated; Avi's default is its HTTP profile, ours is SIP with all defaults"`
	NetworkProfileRef     string    `json:"network_profile_ref" default:"System-UDP-Proxy" ref:"NetworkProfile" doc:"how datagrams are treated; Avi's default is its TCP proxy, ours is UDP proxy with all defaults"`
	FQDN                  string    `json:"fqdn" doc:"a name by which requests address the virtual service; give this or dns_info"`
	DNSInfo               []DNSInfo `json:"dns_info" items:"0..1000" key:"fqdn" doc:"names by which requests address the virtual service"`
	Kept                  Kept      `json:"-"`
}

// Service is one listening port, or a range of them.
type Service struct {
	Port         uint16 `json:"port" required:"" range:"0..65535" special:"0 takes any free port" doc:"port to listen on"`
	PortRangeEnd uint16 `json:"port_range_end" default:"0" range:"0..65535" special:"0 is a single port" doc:"last port of a range that starts at port"`
	Kept         Kept   `json:"-"`
}

// DNSInfo is one DNS name of a virtual service or VIP.
type DNSInfo struct {
	FQDN string `json:"fqdn" required:"" doc:"a name by which requests address the virtual service"`
	Kept Kept   `json:"-"`
}

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
	VipID       string     `json:"vip_id" doc:"unique in its list; left out: its place in the list, from 1 (Avi wants it given)"`
	IPAddress   netip.Addr `json:"ip_address" doc:"address to listen on; 0.0.0.0 is every IPv4 address, and an IPv6 one is taken too"`
	IP6Address  netip.Addr `json:"ip6_address" doc:"IPv6 address to listen on, beside ip_address; :: is every IPv6 address"`
	FloatingIP  netip.Addr `json:"floating_ip" doc:"address advertised in Via and Record-Route instead of ip_address (NAT in front)"`
	FloatingIP6 netip.Addr `json:"floating_ip6" doc:"address advertised in Via and Record-Route instead of ip6_address"`
	Enabled     bool       `json:"enabled" default:"true" doc:"false: not listened on"`
	Kept        Kept       `json:"-"`
}

// Pool is a set of servers and how one of them is chosen.
type Pool struct {
	Name                      string      `json:"name" required:"" doc:"unique among pools"`
	UUID                      string      `json:"uuid" doc:"references may name the object by it"`
	Description               string      `json:"description" doc:"free text"`
	Enabled                   bool        `json:"enabled" default:"true" doc:"false: takes no calls, its monitors pause"`
	Servers                   []Server    `json:"servers" items:"0..10000" key:"ip,port" doc:"the servers; an item may be just address:port (Avi's limit is 5000)"`
	DefaultServerPort         uint16      `json:"default_server_port" default:"80" range:"1..65535" doc:"port of servers that give none; SIP's is 5060"`
	LBAlgorithm               LBAlgorithm `json:"lb_algorithm" default:"LB_ALGORITHM_LEAST_CONNECTIONS" doc:"how the server of a new call is chosen"`
	LBAlgorithmHash           LBHash      `json:"lb_algorithm_hash" default:"LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS" doc:"what the consistent hash is taken of"`
	HashHeaderName            string      `json:"lb_algorithm_consistent_hash_hdr" doc:"header field to hash, for the hash of a header"`
	IgnoreServerPort          bool        `json:"ignore_server_port" default:"false" doc:"place servers on the hash by address alone"`
	HealthMonitorRefs         []string    `json:"health_monitor_refs" items:"0..50" ref:"HealthMonitor" doc:"monitors of every server; none: servers count as up"`
	MinHealthMonitorsUp       int         `json:"min_health_monitors_up" default:"0" range:"0..50" special:"0 is all" doc:"monitors that must pass for a server to be up"`
	MinServersUp              int         `json:"min_servers_up" default:"0" range:"0..10000" special:"0 is as 1" doc:"servers that must be up, neither disabled nor draining, for the pool to take new calls: with fewer it counts as down, these are answered 503, and what is known stays with its server"`
	GracefulDisableTimeoutMin int         `json:"graceful_disable_timeout" default:"1" range:"1..7200,0,-1" special:"0 is at once, -1 is never" unit:"min" doc:"how long a disabled server keeps the calls it has"`
	MaxConnectionsPerServer   int         `json:"max_concurrent_connections_per_server" default:"0" range:"0..2147483647" special:"0 is no limit" doc:"requests without a final response that a server may have, give or take one a worker: with so many it gets no new calls, and when all servers have so many these are answered 503; what it has stays with it"`
	RetryBudgetPercent        int         `json:"retry_budget_percent" default:"20" range:"0..100" unit:"%" own:"" doc:"requests that may be tried at a second server, as a share of all requests to the pool"`
	RetryBudgetPerSecond      int         `json:"retry_budget_per_second" default:"10" range:"0..100000" unit:"per s" own:"" doc:"second tries allowed whatever the share"`
	DialogStateShared         bool        `json:"dialog_state_shared" default:"false" own:"" doc:"true: servers share dialogs, so a request in a dialog of a server that is down may go to another"`
	Kept                      Kept        `json:"-"`
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

// HealthMonitor says how servers are probed.
type HealthMonitor struct {
	Name              string      `json:"name" required:"" doc:"unique among health monitors"`
	UUID              string      `json:"uuid" doc:"references may name the object by it"`
	Description       string      `json:"description" doc:"free text"`
	Type              MonitorType `json:"type" required:"" doc:"kind of probe"`
	SendIntervalS     int         `json:"send_interval" default:"10" range:"1..3600" unit:"s" doc:"time between probes"`
	ReceiveTimeoutS   int         `json:"receive_timeout" default:"4" range:"1..2400" unit:"s" doc:"time for an answer; less than send_interval"`
	SuccessfulChecks  int         `json:"successful_checks" default:"2" range:"1..50" doc:"good probes in a row that bring a server up"`
	FailedChecks      int         `json:"failed_checks" default:"2" range:"1..50" doc:"failed probes in a row that take a server down"`
	MonitorPort       uint16      `json:"monitor_port" default:"0" range:"0..65535" special:"0 is the server's port" doc:"port to probe"`
	DisableQuickstart bool        `json:"disable_quickstart" default:"false" doc:"true: no quick succession of probes after start to settle the first state"`
	JitterPercent     int         `json:"jitter_percent" default:"10" range:"0..50" unit:"%" own:"" doc:"spread of send_interval, so that probes do not march in step"`
	SIPMonitor        SIPMonitor  `json:"sip_monitor" when:"HEALTH_MONITOR_SIP" doc:"the SIP probe"`
	UDPMonitor        UDPMonitor  `json:"udp_monitor" when:"HEALTH_MONITOR_UDP" doc:"the UDP probe"`
	TCPMonitor        TCPMonitor  `json:"tcp_monitor" when:"HEALTH_MONITOR_TCP" doc:"the TCP probe"`
	Kept              Kept        `json:"-"`
}

// SIPMonitor is the probe of a HealthMonitor of type HEALTH_MONITOR_SIP.
type SIPMonitor struct {
	SIPRequestCode   SIPRequestCode `json:"sip_request_code" default:"SIP_OPTIONS" doc:"request to send"`
	SIPResponse      string         `json:"sip_response" default:"SIP/2.0" doc:"text that must stand in the first 2 KB of the response; empty: any"`
	Transport        SIPTransport   `json:"sip_monitor_transport" default:"SIP_UDP_PROTO" doc:"transport of the probe, whatever that of the calls is; TCP: a connection for each"`
	SIPRequestURI    string         `json:"sip_request_uri" own:"" doc:"Request-URI; empty: sip: and the server's address and port"`
	SIPFrom          string         `json:"sip_from" own:"" doc:"From without its tag, as a URI or name and <URI>; empty: our own"`
	SIPHeaders       []string       `json:"sip_headers" own:"" items:"0..32" doc:"more header fields, each 'Name: value'"`
	SIPResponseCodes []string       `json:"sip_response_codes" own:"" items:"0..64" doc:"status codes that count as good: 200, 200-299 or 4xx; empty: any final response but 408 and 503"`
	MaxForwards      int            `json:"max_forwards" default:"70" range:"1..255" own:"" doc:"Max-Forwards of the probe"`
	Kept             Kept           `json:"-"`
}

// UDPMonitor is the probe of a HealthMonitor of type HEALTH_MONITOR_UDP.
type UDPMonitor struct {
	UDPRequest          string `json:"udp_request" doc:"datagram to send"`
	UDPResponse         string `json:"udp_response" doc:"text that must stand in the first 2 KB of the answer; empty: any, and silence without an ICMP error is good"`
	MaintenanceResponse string `json:"maintenance_response" doc:"text in the answer that says the server is in maintenance"`
	Kept                Kept   `json:"-"`
}

// TCPMonitor is the probe of a HealthMonitor of type HEALTH_MONITOR_TCP.
type TCPMonitor struct {
	TCPRequest          string `json:"tcp_request" doc:"bytes to send; empty: the connection alone is the probe"`
	TCPResponse         string `json:"tcp_response" doc:"text that must stand in the first 2 KB of the answer; empty: any"`
	MaintenanceResponse string `json:"maintenance_response" doc:"text in the answer that says the server is in maintenance"`
	Kept                Kept   `json:"-"`
}

// ApplicationProfile says how the messages of a virtual service are treated.
type ApplicationProfile struct {
	Name              string            `json:"name" required:"" doc:"unique among application profiles"`
	UUID              string            `json:"uuid" doc:"references may name the object by it"`
	Description       string            `json:"description" doc:"free text"`
	Type              ApplicationType   `json:"type" required:"" doc:"kind of application"`
	SIPServiceProfile SIPServiceProfile `json:"sip_service_profile" when:"APPLICATION_PROFILE_TYPE_SIP" doc:"how SIP is treated"`
	Kept              Kept              `json:"-"`
}

// SIPServiceProfile says how the SIP of a virtual service is treated.
type SIPServiceProfile struct {
	TransactionTimeoutS     int  `json:"transaction_timeout" default:"32" range:"2..512" unit:"s" doc:"idle time after which the place of a Call-ID is forgotten; transactions are known as long as RFC 3261 has them, 64*T1 or Timer C"`
	RecordRoute             bool `json:"record_route" default:"false" own:"" doc:"stay on the path of dialogs: Record-Route with a sealed token that names the server"`
	FailoverRetransmissions int  `json:"failover_retransmissions" default:"2" range:"0..10" special:"0 is never" own:"" doc:"a request that has had no response goes to the next server with this retransmission of the client"`
	RetryOn503              bool `json:"retry_on_503" default:"true" own:"" doc:"a request that got 503 is tried once at another server"`
	MaxTransactions         int  `json:"max_transactions" default:"1000000" range:"1000..50000000" own:"" doc:"most transactions a virtual service remembers at a time; a change counts from the next start"`
	MaxCalls                int  `json:"max_calls" default:"1000000" range:"1000..50000000" own:"" doc:"most Call-IDs a virtual service remembers at a time; a change counts from the next start"`
	Kept                    Kept `json:"-"`
}

// NetworkProfile says how the datagrams of a virtual service are treated.
type NetworkProfile struct {
	Name        string  `json:"name" required:"" doc:"unique among network profiles"`
	UUID        string  `json:"uuid" doc:"references may name the object by it"`
	Description string  `json:"description" doc:"free text"`
	Profile     Profile `json:"profile" required:"" doc:"kind of transport and its settings"`
	Kept        Kept    `json:"-"`
}

// Profile is the body of a NetworkProfile.
type Profile struct {
	Type            Protocol        `json:"type" required:"" doc:"kind of transport; Avi's default is PROTOCOL_TYPE_TCP_PROXY, so it must be given"`
	UDPProxyProfile UDPProxyProfile `json:"udp_proxy_profile" when:"PROTOCOL_TYPE_UDP_PROXY" doc:"settings of the UDP proxy"`
	Kept            Kept            `json:"-"`
}

// UDPProxyProfile holds the settings of a NetworkProfile of type PROTOCOL_TYPE_UDP_PROXY.
type UDPProxyProfile struct {
	SessionIdleTimeoutS int  `json:"session_idle_timeout" default:"10" range:"2..3600" unit:"s" doc:"idle time of a flow between a client and a server; no effect yet, since nothing is remembered of a flow"`
	Kept                Kept `json:"-"`
}
