package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// request is what is found out about one request, step by step.
type request struct {
	*Input
	m      *sip.Msg
	svc    *snapshot.Service
	server *snapshot.Server // that sent it; nil for a client
	call   uint64           // hash of the Call-ID

	ours   int         // Route values at the top that are ours: at most two
	strict bool        // the Request-URI is ours, put there by a strict router (16.4)
	uri    *sip.URI    // the Request-URI as 16.4 leaves it: of the message, or of its last Route value
	bare   []byte      // uri without the maddr that was ours; nil mostly
	token  token.Route // valid iff sealed
	sealed bool
	named  *sip.URI   // of ours that the last token stood in; valid iff sealed
	flow   token.Flow // of the client's side; valid iff flowed
	mark   byte       // of flow: beside which token it stands
	flowed bool
	path   token.Path // valid iff onPath
	onPath bool
	forged bool // a Route of ours for Outbound, with a token that is none

	bind  token.Binding
	salt  uint32
	large bool // it, or what it belongs to, is too long for a datagram (18.1.1)
}

// Request decides about a request. in.Msg has been parsed; its fault, if any, is
// in Msg.Err.
func (p *Proxy) Request(in *Input) Verdict {
	m := in.Msg
	p.begin(m)
	r := request{Input: in, m: m, svc: in.Listener.Service}
	if in.Listener.Egress && !r.svc.HasHost(in.From.Addr()) {
		return Verdict{Reason: NotListening}
	}
	if m.Err == sip.NoFault && TooLong(in) {
		m.Err = sip.FaultTooLong
	}
	if m.Err != sip.NoFault {
		return p.refuseFault(in)
	}
	if m.Method == sip.Ack && string(m.Bytes(m.To.Tag)) == string(p.statelessTag(m)) {
		return Verdict{Reason: AckOfRefusal}
	}
	r.server = r.svc.ServerAt(in.From)
	if r.server == nil {
		r.server = p.serverBehindVia(&r)
	}
	r.call = p.sealer.CallHash(m.Bytes(m.CallID))
	p.readRoutes(&r)
	if r.forged {
		return p.refuse(in, 403, "Forbidden", FlowForged)
	}
	if v, refused := p.validate(&r); refused {
		return v
	}
	if v, local := p.localRequest(&r); local {
		return v
	}
	if p.towardClient(&r) {
		return p.outward(&r)
	}
	return p.inward(&r)
}

// serverBehindVia recognises a server that sends from another port than it
// listens on: its address, and a Via that names the server itself.
func (p *Proxy) serverBehindVia(r *request) *snapshot.Server {
	if !r.svc.HasHost(r.From.Addr()) {
		return nil
	}
	via := &r.m.Via[0]
	host, ok := sip.HostAddr(r.m.Bytes(via.Host))
	if !ok || host != r.From.Addr() {
		return nil
	}
	port := via.Port
	if port == 0 {
		port = r.Listener.Key.Transport.DefaultPort()
	}
	return r.svc.ServerAt(netip.AddrPortFrom(host, port))
}

// uriPort is the port of a URI.
func uriPort(u *sip.URI) uint16 {
	if u.Port == 0 && u.Scheme == sip.SchemeSIPS {
		return sip.TLS.DefaultPort()
	}
	return orDefault(u.Port)
}

func orDefault(port uint16) uint16 {
	if port == 0 {
		return 5060
	}
	return port
}

// validate is RFC 3261 section 16.3, in its order.
func (p *Proxy) validate(r *request) (Verdict, bool) {
	m := r.m
	switch r.uri.Scheme { // tel, and urn with its emergency calls (RFC 5031), are for a server to resolve
	case sip.SchemeOther:
		return p.refuse(r.Input, 416, "Unsupported URI Scheme", UnsupportedScheme), true
	case sip.SchemeSIPS:
		if r.svc.TLS == nil && r.svc.TLSToServers() == nil {
			return p.refuseSIPS(r), true
		}
	}
	if m.MaxForwards == 0 && m.Method != sip.Options {
		return p.refuse(r.Input, 483, "Too Many Hops", TooManyHops), true
	}
	if m.NProxyRequire > 0 {
		// we support no extension that a proxy could be required to
		p.refusal.unsupported(m)
		return p.refuse(r.Input, 420, "Bad Extension", UnknownExtension), true
	}
	if !r.svc.Traffic && p.opens(r) {
		return p.refuse(r.Input, 503, "Service Unavailable", TrafficOff), true
	}
	return Verdict{}, false
}

// refuseSIPS refuses what would have to go on over TLS, and cannot: RFC 5630 section 5.3.
func (p *Proxy) refuseSIPS(r *request) Verdict {
	p.refusal.extra("Warning: 380 carillon \"SIPS Not Allowed\"\r\n")
	return p.refuse(r.Input, 480, "Temporarily Unavailable", SIPSNotAllowed)
}

// opens reports whether a request is of a new call: of no dialog, no open transaction and no Call-ID that is known.
func (p *Proxy) opens(r *request) bool {
	m := r.m
	return m.To.Tag.Len() == 0 && m.Method != sip.Ack && m.Method != sip.Cancel && r.State.Known(r.call, r.Now, r.Snapshot) == nil
}

// localRequest answers what is addressed to the balancer itself: OPTIONS, and
// OPTIONS that may go no further (RFC 3261 sections 11.2 and 16.3 (3)).
func (p *Proxy) localRequest(r *request) (Verdict, bool) {
	m := r.m
	last := m.MaxForwards == 0
	if m.Method != sip.Options && !last {
		return Verdict{}, false
	}
	self := r.uri.User.Empty() && m.NRoute == r.ours && p.ownURI(r, r.uri)
	if !self && !last {
		return Verdict{}, false
	}
	if r.svc.Selectable() == 0 {
		return p.noServer(r), true
	}
	p.refusal.extra("Accept: application/sdp\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: \r\n")
	return p.refuse(r.Input, 200, "OK", OptionsAnswered), true
}

// towardClient says in which direction a request goes. The From tag tells who
// of the two sent it, against the one that is sealed in the token; that holds
// even where both ends are servers of the pool. Only what comes from a server's
// address may leave the pool: a client's token opens the way to its server
// and nowhere else.
func (p *Proxy) towardClient(r *request) bool {
	if r.server == nil && !((r.sealed || r.onPath) && r.svc.HasHost(r.From.Addr())) {
		return false
	}
	if r.onPath && !r.sealed {
		return true
	}
	if r.sealed {
		opener := p.sealer.Hash24(r.m.Bytes(r.m.From.Tag)) == r.token.Opener
		return opener == r.token.FromServer
	}
	// a server's request that is addressed to us alone is a new one for the pool (hairpin)
	if r.m.NRoute > r.ours {
		return true
	}
	return !p.ownURI(r, r.uri)
}

// receivedEdit writes where the request came from into its top Via (RFC 3261 18.2.1,
// RFC 3581 section 4).
func (p *Proxy) receivedEdit(r *request) {
	via := &r.m.Via[0]
	ip := r.From.Addr()
	received := via.HasRport || via.Received.Len() > 0 || r.m.NeedsReceived(ip)
	if via.HasRport || received {
		p.edit.SetReceived(ip, r.From.Port(), via.HasRport, received)
	}
}

// bindRequest makes the key of the transaction: the same for retransmissions,
// CANCEL, and ACK to a non-2xx, and what responses will be checked against.
func (p *Proxy) bindRequest(r *request) {
	via := &r.m.Via[0]
	var rport uint16                 // as it will stand there
	if via.HasRport && !r.stream() { // over a stream the response goes where the request came from, whatever the port
		rport = r.From.Port()
	}
	r.bind = p.binding(r.m, via, r.From.Addr(), rport)
	r.salt = p.salt(r.m, via)
	r.large = len(r.m.Buf) > largeFrom
}

// stream reports whether the message came over one.
func (in *Input) stream() bool { return in.Listener.Key.Transport.Stream() }

// hops takes one from Max-Forwards; a request without one gets it (16.6 (3)).
func (p *Proxy) hops() {
	n := p.m.MaxForwards
	if n < 0 {
		n = 71 // RFC 2543 elements send none; 70 is to leave
	}
	p.edit.SetMaxForwards(n - 1)
}

// via pushes our own Via: the face's text, the sealed branch.
func (p *Proxy) via(face *snapshot.Face, in *snapshot.Face, r *request, attempt uint8, alias bool) {
	start := len(p.text)
	p.text = append(p.text, face.Via...)
	b := token.Branch{Attempt: attempt, Listener: in.ID, Salt: r.salt, Binding: r.bind}
	p.text = p.sealer.AppendBranch(p.text, &b)
	if r.Flow != 0 {
		branch := p.text[len(p.text)-token.Len:]
		p.text = append(p.text, ";i="...)
		p.text = p.sealer.AppendVia(p.text, r.Flow, branch)
	}
	if alias {
		p.text = append(p.text, ";alias"...)
	}
	p.text = append(p.text, '\r', '\n')
	p.edit.PushVia(p.text[start:])
	if face.Transport.Stream() {
		p.edit.AddContentLength() // 16.6 (9)
	}
}

// recordRoute keeps us on the path of the dialog that the request opens or
// refreshes (16.6 (4)); never on REGISTER. Where the two sides see us at different
// addresses or by different transports there are two, so that each side finds its own (RFC 5658). A client's connection
// stands in that of its own side: client is its number, 0 for none.
func (p *Proxy) recordRoute(r *request, face, in *snapshot.Face, t *token.Route, client uint64) {
	switch r.m.Method {
	case sip.Invite, sip.Subscribe, sip.Refer, sip.Notify:
	default:
		return
	}
	if !r.svc.RecordRoute {
		return
	}
	start := len(p.text)
	switch {
	case client != 0 && t.FromServer:
		p.flowLine(face, client, t, r.call)
		p.recordRouteLine(in, t, r.call)
	case client != 0:
		p.recordRouteLine(face, t, r.call)
		p.flowLine(in, client, t, r.call)
	default:
		p.recordRouteLine(face, t, r.call)
		if in != face && (in.SentBy != face.SentBy || in.Transport != face.Transport) {
			p.recordRouteLine(in, t, r.call)
		}
	}
	p.edit.PushRecordRoute(p.text[start:])
}

// flowLine is a Record-Route line whose token says on which connection the client is. It stands beside one with t.
func (p *Proxy) flowLine(f *snapshot.Face, flow uint64, t *token.Route, call uint64) {
	before, behind := p.routeText(f)
	p.text = append(p.text, before...)
	p.text = p.sealer.AppendFlow(p.text, &token.Flow{Number: flow, Listener: f.ID}, t, call)
	p.text = append(p.text, behind...)
}

func (p *Proxy) recordRouteLine(f *snapshot.Face, t *token.Route, call uint64) {
	before, behind := p.routeText(f)
	p.text = append(p.text, before...)
	p.text = p.sealer.AppendRoute(p.text, t, call)
	p.text = append(p.text, behind...)
}

// routeText is what stands round the token of a Record-Route: a SIPS URI iff that of the request is one (16.6 (4)).
func (p *Proxy) routeText(f *snapshot.Face) (before, behind []byte) {
	if p.m.URI.Scheme == sip.SchemeSIPS && f.Transport == sip.TLS {
		return f.Secure[0], f.Secure[1]
	}
	return f.Route, f.Behind
}

// hashKey is what the pool's consistent hash is taken of.
func (p *Proxy) hashKey(r *request, pool *snapshot.Pool) uint64 {
	m := r.m
	switch pool.Hash {
	case snapshot.HashSource:
		a := r.From.Addr().As16()
		return p.sealer.CallHash(append(p.material[:0], a[:]...))
	case snapshot.HashSourcePort:
		a := r.From.Addr().As16()
		return p.sealer.CallHash(append(append(p.material[:0], a[:]...), byte(r.From.Port()>>8), byte(r.From.Port())))
	case snapshot.HashRequestURI:
		return p.sealer.CallHash(m.Bytes(m.URI.Text))
	case snapshot.HashHeader:
		if s, ok := m.HeaderValue(pool.Header); ok {
			return p.sealer.CallHash(m.Bytes(s))
		}
	}
	return r.call // also for a request without the header field
}

// selectable is the condition of a server that may get new calls.
const selectable = balance.Up
