package object

// Enumerations are words, in Go too: a value is Avi's long spelling. Load takes the short ones as well (enumeration.go).

// LBAlgorithm says how a pool chooses the server of a new call.
type LBAlgorithm string

// The algorithms that a virtual service can use; Avi has more.
const (
	LeastConnections LBAlgorithm = "LB_ALGORITHM_LEAST_CONNECTIONS" // fewest open transactions now, by ratio
	RoundRobin       LBAlgorithm = "LB_ALGORITHM_ROUND_ROBIN"
	Random           LBAlgorithm = "LB_ALGORITHM_RANDOM"
	FewestTasks      LBAlgorithm = "LB_ALGORITHM_FEWEST_TASKS"
	LeastLoad        LBAlgorithm = "LB_ALGORITHM_LEAST_LOAD"
	FastestResponse  LBAlgorithm = "LB_ALGORITHM_FASTEST_RESPONSE"
	ConsistentHash   LBAlgorithm = "LB_ALGORITHM_CONSISTENT_HASH" // of what LBHash says
)

// LBHash says what a pool with ConsistentHash hashes.
type LBHash string

// The hash keys that a virtual service can use; Avi has one more.
const (
	HashCallID            LBHash = "LB_ALGORITHM_CONSISTENT_HASH_CALLID"
	HashSourceAddress     LBHash = "LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS"
	HashSourceAddressPort LBHash = "LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT"
	HashURI               LBHash = "LB_ALGORITHM_CONSISTENT_HASH_URI"           // the Request-URI
	HashHeader            LBHash = "LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_HEADER" // the header field Pool.HashHeaderName
)

// ApplicationType is the kind of an application profile.
type ApplicationType string

// ApplicationSIP is the one type that a virtual service can use; profiles of the others are kept.
const ApplicationSIP ApplicationType = "APPLICATION_PROFILE_TYPE_SIP"

// Protocol is the kind of a network profile.
type Protocol string

// The protocols that a virtual service can use; profiles of the others are kept.
const (
	ProtocolUDPProxy Protocol = "PROTOCOL_TYPE_UDP_PROXY"
	ProtocolTCPProxy Protocol = "PROTOCOL_TYPE_TCP_PROXY" // TLS with Service.EnableSSL
)

// Values of SIPServiceProfile.Path.
const (
	PathNever       = "SIP_PATH_NEVER"
	PathIfSupported = "SIP_PATH_IF_SUPPORTED"
	PathAlways      = "SIP_PATH_ALWAYS"
)

// Values of Pool.ServerTransport.
const (
	ServerTransportSame = "SERVER_TRANSPORT_SAME"
	ServerTransportUDP  = "SERVER_TRANSPORT_UDP"
	ServerTransportTCP  = "SERVER_TRANSPORT_TCP"
	ServerTransportAuto = "SERVER_TRANSPORT_AUTO"
)

// MonitorType is the kind of a health monitor.
type MonitorType string

// The monitor types that can probe; monitors of the others are kept.
const (
	MonitorSIP  MonitorType = "HEALTH_MONITOR_SIP"
	MonitorPing MonitorType = "HEALTH_MONITOR_PING"
	MonitorTCP  MonitorType = "HEALTH_MONITOR_TCP"
	MonitorUDP  MonitorType = "HEALTH_MONITOR_UDP"
)

// SIPRequestCode is the request a SIP monitor sends.
type SIPRequestCode string

// SIPOptions is the only one Avi has.
const SIPOptions SIPRequestCode = "SIP_OPTIONS"

// SIPTransport is the transport of a SIP monitor.
type SIPTransport string

// The transports.
const (
	SIPOverUDP SIPTransport = "SIP_UDP_PROTO"
	SIPOverTCP SIPTransport = "SIP_TCP_PROTO" // a connection for each check
	SIPOverTLS SIPTransport = "SIP_TLS_PROTO" // likewise; ours
)

// VSType is the kind of a virtual service.
type VSType string

// VSNormal is the one kind of virtual service supported: the others share an HTTP listener by host name.
const VSNormal VSType = "VS_TYPE_NORMAL"
