package ua

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// dialog is one side of a call (RFC 3261 section 12). What identifies it and where it leads never changes after it was
// made, except the remote target, which a re-INVITE may refresh.
type dialog struct {
	callID string
	local  sip.FromHeader // our side, with our tag
	remote sip.ToHeader   // theirs, with theirs
	routes []sip.Uri      // route set, in the order of our requests

	// over is closed when the dialog ended, from whichever side.
	over chan struct{}

	mu     sync.Mutex
	target sip.Uri  // remote target
	cseq   uint32   // of our last request
	theirs uint32   // of their last request; 0: none yet
	onEnd  []func() // what to stop when it ends
	ended  bool     // over is closed
	acked  func()   // stops the retransmission of our 2xx; nil: none under way
}

var errNoContact = errors.New("no Contact")

// inbound makes the dialog of an INVITE we answer (section 12.1.1). Its To carries our tag already.
func inbound(req *sip.Request) (*dialog, error) {
	contact := req.Contact()
	if contact == nil || contact.Address.Host == "" {
		return nil, errNoContact
	}
	d := &dialog{
		callID: req.CallID().Value(),
		local:  req.To().AsFrom(),
		remote: req.From().AsTo(),
		target: *contact.Address.Clone(),
		theirs: req.CSeq().SeqNo,
		over:   make(chan struct{}),
	}
	for _, h := range req.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	return d, nil
}

// outbound makes the dialog of an INVITE of ours that res accepted (section 12.1.2).
func outbound(req *sip.Request, res *sip.Response) (*dialog, error) {
	contact := res.Contact()
	if contact == nil || contact.Address.Host == "" {
		return nil, errNoContact
	}
	to := res.To()
	d := &dialog{
		callID: req.CallID().Value(),
		local:  *req.From(),
		remote: sip.ToHeader{DisplayName: to.DisplayName, Address: to.Address, Params: to.Params.Clone()},
		target: *contact.Address.Clone(),
		cseq:   req.CSeq().SeqNo,
		over:   make(chan struct{}),
	}
	for _, h := range res.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	slices.Reverse(d.routes)
	return d, nil
}

// id is the dialog as the peer's requests name it: their From is our remote.
func (d *dialog) id() string {
	local, _ := d.local.Params.Get("tag")
	remote, _ := d.remote.Params.Get("tag")
	return sip.DialogIDMake(d.callID, local, remote)
}

// request makes the next request of ours in the dialog (section 12.2.1.1). An ACK takes the number of its INVITE.
func (d *dialog) request(a *agent, method sip.RequestMethod) *sip.Request {
	d.mu.Lock()
	if method != sip.ACK {
		d.cseq++
	}
	cseq, target := d.cseq, *d.target.Clone()
	d.mu.Unlock()

	from := sip.FromHeader{DisplayName: d.local.DisplayName, Address: d.local.Address, Params: d.local.Params.Clone()}
	to := sip.ToHeader{DisplayName: d.remote.DisplayName, Address: d.remote.Address, Params: d.remote.Params.Clone()}
	req := a.request(method, target, from, to, d.callID, cseq)
	for i := range d.routes {
		req.AppendHeader(&sip.RouteHeader{Address: *d.routes[i].Clone()})
	}
	if len(d.routes) > 0 { // every router of ours is loose, so the Request-URI stays the target
		req.SetDestination(hostPort(d.routes[0]))
	}
	return req
}

// refresh takes a request of the peer into the dialog: its number, and the target when it is a re-INVITE. It reports
// false for a number at or below the last one, which section 12.2.2 answers with 500.
func (d *dialog) refresh(req *sip.Request) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := req.CSeq().SeqNo
	if d.theirs != 0 && n <= d.theirs {
		return false
	}
	d.theirs = n
	if c := req.Contact(); req.IsInvite() && c != nil && c.Address.Host != "" {
		d.target = *c.Address.Clone()
	}
	return true
}

// whenOver has f called once when the dialog ends; at once if it has.
func (d *dialog) whenOver(f func()) {
	d.mu.Lock()
	ended := d.ended
	if !ended {
		d.onEnd = append(d.onEnd, f)
	}
	d.mu.Unlock()
	if ended {
		f()
	}
}

// setAcked enters what the next ACK stops; nil enters nothing.
func (d *dialog) setAcked(f func()) {
	d.mu.Lock()
	d.acked = f
	d.mu.Unlock()
}

// ack is called for an ACK of the peer; it reports whether one was awaited.
func (d *dialog) ack() bool {
	d.mu.Lock()
	f := d.acked
	d.acked = nil
	d.mu.Unlock()
	if f == nil {
		return false
	}
	f()
	return true
}

// end closes the dialog, once.
func (d *dialog) end() {
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return
	}
	d.ended = true
	todo := d.onEnd
	d.onEnd, d.acked = nil, nil
	close(d.over)
	d.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

// hostPort is where a URI leads, with the default port filled in (RFC 3261 section 19.1.2); the demonstration has
// addresses only, never names, so that no agent asks a name server.
func hostPort(u sip.Uri) string {
	port := u.Port
	if port == 0 {
		port = sip.DefaultUdpPort
	}
	return net.JoinHostPort(strings.Trim(u.Host, "[]"), strconv.Itoa(port))
}
