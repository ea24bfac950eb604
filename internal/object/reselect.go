package object

import (
	"strconv"
)

// ServerReselect says which final responses of a server make a request go to another one. Avi has it for HTTP.
type ServerReselect struct {
	Enabled            bool          `json:"enabled" default:"false" doc:"true: has an effect"`
	NumRetries         int           `json:"num_retries" default:"4" range:"0..4" doc:"other servers a request may be sent to, one after the other; no request is sent to more than four servers in all"`
	RetryTimeoutMS     int           `json:"retry_timeout" default:"0" range:"0..3600000" special:"0 counts by failover_retransmissions" unit:"ms" doc:"a request that has had no response for so long goes to the next server with the client's next retransmission"`
	RetryNonidempotent bool          `json:"retry_nonidempotent" default:"false" idle:"" doc:"SIP requests are told apart by their transaction: all may be sent again"`
	SvrRespCode        ResponseCodes `json:"svr_resp_code" doc:"the responses; none: 503"`
	Kept               Kept          `json:"-"`
}

// ResponseCodes is a set of status codes. Challenges and answers to this very request (401, 407, 487, 491) are never in it.
type ResponseCodes struct {
	Codes  []int               `json:"codes" items:"0..64" range:"400..599" doc:"single codes"`
	Ranges []ResponseCodeRange `json:"ranges" items:"0..64" doc:"ranges of codes"`
	Blocks []string            `json:"resp_code_block" items:"0..64" doc:"HTTP_RSP_4XX or HTTP_RSP_5XX"`
	Kept   Kept                `json:"-"`
}

// ResponseCodeRange is status codes from begin to end.
type ResponseCodeRange struct {
	Begin int  `json:"begin" required:"" range:"400..599" doc:"first code"`
	End   int  `json:"end" required:"" range:"400..599" doc:"last code"`
	Kept  Kept `json:"-"`
}

// answersToOne are codes that any server would give to this request of this client.
var answersToOne = []int{401, 407, 487, 491}

// Statuses are the codes as a set; valid iff r.Enabled.
func (r *ServerReselect) Statuses() (set [600]bool) {
	c := &r.SvrRespCode
	if len(c.Codes)+len(c.Ranges)+len(c.Blocks) == 0 {
		set[503] = true
	}
	add := func(from, to int) {
		for s := max(400, from); s <= min(599, to); s++ {
			set[s] = true
		}
	}
	for _, s := range c.Codes {
		add(s, s)
	}
	for _, r := range c.Ranges {
		add(r.Begin, r.End)
	}
	for _, b := range c.Blocks {
		if b == "HTTP_RSP_4XX" {
			add(400, 499)
		} else {
			add(500, 599)
		}
	}
	for _, s := range answersToOne {
		set[s] = false
	}
	return set
}

func (c *checker) reselect(r *ServerReselect) {
	at := (*path)(nil).field("server_reselect").field("svr_resp_code")
	for i, one := range r.SvrRespCode.Ranges {
		if one.End < one.Begin {
			c.fail(at.field("ranges").item(i).field("end"), strconv.Itoa(one.End)+" is below begin, "+strconv.Itoa(one.Begin))
		}
	}
	for i, b := range r.SvrRespCode.Blocks {
		if b != "HTTP_RSP_4XX" && b != "HTTP_RSP_5XX" {
			c.fail(at.field("resp_code_block").item(i), quote(b)+" is not a known word: must be HTTP_RSP_4XX or HTTP_RSP_5XX")
		}
	}
}
