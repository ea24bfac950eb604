package object

import "slices"

// ApplicationPersistenceProfile says how clients stay with a server. Nothing acts on it: the Call-ID keeps a SIP call
// where it is.
type ApplicationPersistenceProfile struct {
	Name                 string                `json:"name" required:"" doc:"unique among persistence profiles"`
	UUID                 string                `json:"uuid" doc:"references may name the object by it"`
	Description          string                `json:"description" doc:"free text"`
	Type                 string                `json:"persistence_type" default:"PERSISTENCE_TYPE_CLIENT_IP_ADDRESS" words:"PERSISTENCE_TYPE_ CLIENT_IP_ADDRESS CLIENT_IPV6_ADDRESS HTTP_COOKIE APP_COOKIE CUSTOM_HTTP_HEADER TLS GSLB_SITE" idle:"" doc:"what a client is known by"`
	ServerHMDownRecovery string                `json:"server_hm_down_recovery" default:"HM_DOWN_PICK_NEW_SERVER" words:"HM_DOWN_ PICK_NEW_SERVER ABORT_CONNECTION CONTINUE_PERSISTENT_SERVER" idle:"" doc:"what becomes of the clients of a server that is down"`
	IPPersistence        IPPersistenceProfile  `json:"ip_persistence_profile" when:"PERSISTENCE_TYPE_CLIENT_IP_ADDRESS" idle:"" doc:"settings of persistence by address"`
	HdrPersistence       HdrPersistenceProfile `json:"hdr_persistence_profile" when:"PERSISTENCE_TYPE_CUSTOM_HTTP_HEADER" idle:"" doc:"settings of persistence by header field"`
	Kept                 Kept                  `json:"-"`
}

// IPPersistenceProfile holds the settings of persistence by the client's address.
type IPPersistenceProfile struct {
	TimeoutMin int  `json:"ip_persistent_timeout" default:"5" range:"1..720" unit:"min" idle:"" doc:"idle time after which a client is forgotten"`
	Mask       int  `json:"ip_mask" default:"0" range:"0..128" idle:"" doc:"bits of the address that are left out"`
	Kept       Kept `json:"-"`
}

// HdrPersistenceProfile holds the settings of persistence by a header field.
type HdrPersistenceProfile struct {
	HeaderName string `json:"prst_hdr_name" idle:"" doc:"name of the header field"`
	Kept       Kept   `json:"-"`
}

var persistenceProfileKept = slices.Concat(
	quiet(keptBool, `is_federated`),
	quiet(keptObject, `app_cookie_persistence_profile http_cookie_persistence_profile`),
)
