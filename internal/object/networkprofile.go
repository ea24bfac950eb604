package object

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
	Type               Protocol           `json:"type" default:"PROTOCOL_TYPE_TCP_PROXY" doc:"kind of transport; a virtual service takes PROTOCOL_TYPE_UDP_PROXY and PROTOCOL_TYPE_TCP_PROXY"`
	UDPProxyProfile    UDPProxyProfile    `json:"udp_proxy_profile" when:"PROTOCOL_TYPE_UDP_PROXY" doc:"settings of the UDP proxy"`
	UDPFastPathProfile UDPFastPathProfile `json:"udp_fast_path_profile" when:"PROTOCOL_TYPE_UDP_FAST_PATH" idle:"" doc:"settings of the UDP fast path"`
	TCPProxyProfile    TCPProxyProfile    `json:"tcp_proxy_profile" when:"PROTOCOL_TYPE_TCP_PROXY" doc:"settings of the TCP proxy"`
	TCPFastPathProfile TCPFastPathProfile `json:"tcp_fast_path_profile" when:"PROTOCOL_TYPE_TCP_FAST_PATH" idle:"" doc:"settings of the TCP fast path"`
	Kept               Kept               `json:"-"`
}

// UDPProxyProfile holds the settings of a NetworkProfile of type PROTOCOL_TYPE_UDP_PROXY.
type UDPProxyProfile struct {
	SessionIdleTimeoutS int  `json:"session_idle_timeout" default:"10" range:"2..3600" unit:"s" idle:"" doc:"idle time of a flow between a client and a server; nothing is remembered of a flow yet"`
	Kept                Kept `json:"-"`
}

// UDPFastPathProfile holds the settings of a NetworkProfile of type PROTOCOL_TYPE_UDP_FAST_PATH.
type UDPFastPathProfile struct {
	SessionIdleTimeoutS  int        `json:"session_idle_timeout" default:"10" range:"2..3600" unit:"s" idle:"" doc:"idle time of a flow"`
	PerPacketLoadBalance bool       `json:"per_pkt_loadbalance" default:"false" idle:"" doc:"each datagram may go to another server"`
	SNAT                 bool       `json:"snat" default:"true" idle:"" doc:"servers see the balancer's address"`
	DSRProfile           DSRProfile `json:"dsr_profile" optional:"" idle:"" doc:"servers answer clients themselves"`
	Kept                 Kept       `json:"-"`
}

// TCPFastPathProfile holds the settings of a NetworkProfile of type PROTOCOL_TYPE_TCP_FAST_PATH.
type TCPFastPathProfile struct {
	SessionIdleTimeoutS int        `json:"session_idle_timeout" default:"300" range:"5..14400,0" special:"0 is for ever" unit:"s" idle:"" doc:"idle time of a connection"`
	EnableSYNProtection bool       `json:"enable_syn_protection" default:"false" idle:"" doc:"connections are finished before a server sees them"`
	DSRProfile          DSRProfile `json:"dsr_profile" optional:"" idle:"" doc:"servers answer clients themselves"`
	Kept                Kept       `json:"-"`
}

// DSRProfile says how datagrams reach servers that answer clients themselves.
type DSRProfile struct {
	DSRType   string `json:"dsr_type" required:"" default:"DSR_TYPE_L3" words:"DSR_TYPE_ L2 L3" idle:"" doc:"layer"`
	EncapType string `json:"dsr_encap_type" default:"ENCAP_IPINIP" words:"ENCAP_ IPINIP GRE" idle:"" doc:"what datagrams are wrapped in"`
	Kept      Kept   `json:"-"`
}

// TCPProxyProfile holds the settings of a NetworkProfile of type PROTOCOL_TYPE_TCP_PROXY.
type TCPProxyProfile struct {
	Automatic                     bool   `json:"automatic" default:"true" idle:"" doc:"the system chooses all below"`
	IdleConnectionType            string `json:"idle_connection_type" default:"KEEP_ALIVE" words:"- KEEP_ALIVE CLOSE_IDLE" doc:"what becomes of a connection that is idle: CLOSE_IDLE closes it, KEEP_ALIVE leaves it to the keep-alives of TCP whether it lives"`
	IdleConnectionTimeoutS        int    `json:"idle_connection_timeout" default:"600" range:"5..14400,0" special:"0 is for ever" unit:"s" doc:"when a connection counts as idle"`
	MaxConnectionsPerSource       int    `json:"max_connections_per_source" default:"10000" range:"1..1000000" own:"" doc:"connections that one IPv4 address, or one /64 of IPv6, may have at a virtual service"`
	HandshakeTimeoutS             int    `json:"handshake_timeout" default:"10" range:"1..300" unit:"s" own:"" doc:"time for TLS to be agreed on"`
	MessageTimeoutS               int    `json:"message_timeout" default:"30" range:"1..300" unit:"s" own:"" doc:"time from the first octet of a message to its last"`
	WriteTimeoutS                 int    `json:"write_timeout" default:"10" range:"1..300" unit:"s" own:"" doc:"time for a peer to read on, once what waits for it is more than the kernel takes"`
	MaxMessageBytes               int    `json:"max_message" default:"65535" range:"1024..65535" unit:"bytes" own:"" doc:"longest message; a longer one gets 513, and the connection is closed"`
	LenientContentLength          bool   `json:"lenient_content_length" default:"false" own:"" doc:"a message without Content-Length has no body, as some phones mean it; else it gets 400 and the connection is closed (RFC 3261 sections 18.3 and 20.14)"`
	MaxRetransmissions            int    `json:"max_retransmissions" default:"8" range:"3..8" idle:"" doc:"tries before a connection is given up"`
	MaxSYNRetransmissions         int    `json:"max_syn_retransmissions" default:"8" range:"3..8" idle:"" doc:"tries before a new connection is given up"`
	ReceiveWindowKB               int    `json:"receive_window" default:"64" range:"2..65536" unit:"KB" idle:"" doc:"receive window"`
	TimeWaitDelayMS               int    `json:"time_wait_delay" default:"2000" range:"500..2000,0" special:"0 is at once" unit:"ms" idle:"" doc:"time in TIME-WAIT"`
	IPDSCP                        int    `json:"ip_dscp" default:"0" range:"0..63" idle:"" doc:"DSCP of what is sent"`
	CCAlgo                        string `json:"cc_algo" default:"CC_ALGO_NEW_RENO" words:"CC_ALGO_ NEW_RENO CUBIC HTCP" idle:"" doc:"congestion control"`
	UseInterfaceMTU               bool   `json:"use_interface_mtu" default:"true" idle:"" doc:"segments as long as the interface takes"`
	AutoWindowGrowth              bool   `json:"auto_window_growth" default:"true" idle:"" doc:"the window grows by itself"`
	KeepaliveInHalfclose          bool   `json:"keepalive_in_halfclose_state" default:"true" idle:"" doc:"keep-alives on a connection closed in one direction"`
	MaxSegmentSize                int    `json:"max_segment_size" default:"0" range:"512..9000,0" special:"0 is by the MTU" unit:"bytes" idle:"" doc:"longest segment"`
	NaglesAlgorithm               bool   `json:"nagles_algorithm" default:"false" idle:"" doc:"wait to fill segments"`
	IgnoreTimeWait                bool   `json:"ignore_time_wait" default:"false" idle:"" doc:"a new connection may end TIME-WAIT"`
	AggressiveCongestionAvoidance bool   `json:"aggressive_congestion_avoidance" default:"false" idle:"" doc:"go back faster"`
	Kept                          Kept   `json:"-"`
}

var networkProfileKept = noted(keptBool, `connection_mirror`)

var profileKept = noted(keptObject, `sctp_fast_path_profile sctp_proxy_profile`)

var tcpProxyProfileKept = quiet(keptNumber, `congestion_recovery_scaling_factor=2:0..8 min_rexmt_timeout:50..5000 reassembly_queue_size
	reorder_threshold slow_start_scaling_factor=1:0..8`)
