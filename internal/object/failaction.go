package object

import "slices"

// FailAction says what becomes of requests while no server may get them. Without one they are answered 503.
type FailAction struct {
	Type        string `json:"type" required:"" words:"FAIL_ACTION_ CLOSE_CONN SIP_LOCAL_RSP HTTP_REDIRECT HTTP_LOCAL_RSP BACKUP_POOL" doc:"CLOSE_CONN: 503, and the connection is closed that the request came on; SIP_LOCAL_RSP, which Avi has not: sip_status; the others are for HTTP, and as if there were none"`
	SIPStatus   int    `json:"sip_status" default:"0" range:"400..699,0" special:"0 is 503" own:"" doc:"status of the answer"`
	RetryAfterS int    `json:"retry_after" default:"0" range:"0..86400" special:"0 is none" unit:"s" own:"" doc:"Retry-After of the answer: when the client may try again (RFC 3261 section 20.33)"`
	Kept        Kept   `json:"-"`
}

// Types of FailAction that have an effect.
const (
	FailClose  = "FAIL_ACTION_CLOSE_CONN"
	FailAnswer = "FAIL_ACTION_SIP_LOCAL_RSP"
)

var failActionKept = noted(keptObject, `backup_pool local_rsp redirect`)

// failAction warns of what is for HTTP.
func (w *warner) failAction(a *FailAction) {
	if a.Type != "" && !slices.Contains([]string{FailClose, FailAnswer}, a.Type) {
		w.warn((*path)(nil).field("fail_action").field("type"), a.Type+" has no effect for SIP: requests are answered 503; "+FailAnswer+
			" answers with sip_status, and a PoolGroup has pools that stand in for others")
	}
}
