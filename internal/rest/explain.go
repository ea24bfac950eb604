package rest

import (
	"net/http"
	"net/netip"

	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/report"
)

// explainRequest asks which way a message would go.
type explainRequest struct {
	Message        string `json:"message,omitempty"`        // as it is on the wire; line ends may be LF alone
	CallID         string `json:"call_id,omitempty"`        // to ask for, without a message
	Source         string `json:"source,omitempty"`         // ip:port that it comes from; left out: where its top Via says
	VirtualService string `json:"virtualservice,omitempty"` // reference or name; left out: the message tells
	Engine         string `json:"engine,omitempty"`         // name; left out: the first that answers
}

// explain tells which way a message would go, and sends nothing.
func (q *request) explain() (answer, error) {
	if !q.who.Reads("VirtualService") {
		return answer{}, q.mayNotRead("VirtualService")
	}
	body, err := q.json(maxExplain)
	if err != nil {
		return answer{}, err
	}
	var in explainRequest
	if err := into(body, &in, `{"message": "INVITE ...", "source": "192.0.2.1:5060"} or {"call_id": ...}`); err != nil {
		return answer{}, err
	}
	if (in.Message == "") == (in.CallID == "") {
		return answer{}, refuse(http.StatusBadRequest, "message: give a message or a call_id, one of them")
	}
	what := report.ExplainRequest{Message: in.Message, CallID: in.CallID}
	if in.Source != "" {
		if what.Source, err = netip.ParseAddrPort(in.Source); err != nil {
			return answer{}, refuse(http.StatusBadRequest, "source: %q must be an address with a port, such as 192.0.2.1:5060", in.Source)
		}
	}
	if in.VirtualService != "" {
		r := controller.Lookup(q.view, "VirtualService", in.VirtualService, q.who.Tenant)
		if r == nil {
			return answer{}, refuse(http.StatusNotFound, "virtualservice: no VirtualService %q", in.VirtualService)
		}
		what.Service = r.UUID()
	} else if !q.who.All() {
		return answer{}, refuse(http.StatusForbidden, "virtualservice: name one: user %s has not all tenants, and the message may be for another", q.who.User)
	}
	out, err := q.s.c.Explain(q.Context(), in.Engine, what)
	if err != nil {
		return answer{}, err
	}
	return answer{Body: out}, nil
}
