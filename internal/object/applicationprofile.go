package object

import (
	"slices"
)

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
	TransactionTimeoutS     int    `json:"transaction_timeout" default:"32" range:"2..512" unit:"s" doc:"idle time after which the place of a Call-ID is forgotten; transactions are known as long as RFC 3261 has them, 64*T1 or Timer C"`
	RecordRoute             bool   `json:"record_route" default:"false" own:"" doc:"stay on the path of dialogs: Record-Route with a sealed token that names the server"`
	FailoverRetransmissions int    `json:"failover_retransmissions" default:"2" range:"0..10" special:"0 is never" own:"" doc:"a request that has had no response goes to the next server with this retransmission of the client"`
	RetryOn503              bool   `json:"retry_on_503" default:"true" own:"" doc:"a request that got 503 is tried once at another server"`
	Path                    string `json:"path" default:"SIP_PATH_NEVER" words:"SIP_PATH_ NEVER IF_SUPPORTED ALWAYS" own:"" doc:"Path in a REGISTER (RFC 3327), by which calls to a phone come back through its own connection or, over UDP and IPv4, to the address that it registered from: for phones that support it, or for all, and then Supported: path is added"`
	MaxTransactions         int    `json:"max_transactions" default:"1000000" range:"1000..50000000" own:"" doc:"most transactions a virtual service remembers at a time; with a lower one than before, what is remembered stays until it expires"`
	MaxCalls                int    `json:"max_calls" default:"1000000" range:"1000..50000000" own:"" doc:"most Call-IDs a virtual service remembers at a time; with a lower one than before, what is remembered stays until it expires"`
	Kept                    Kept   `json:"-"`
}

var applicationProfileKept = slices.Concat(
	quiet(keptText, `app_service_type`),
	noted(keptObject, `dns_service_profile dos_rl_profile http_profile l4_ssl_profile tcp_app_profile`),
	refuse(keptBool, noClient, `preserve_client_ip preserve_client_port preserve_dest_ip_port`),
)
