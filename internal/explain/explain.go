// Package explain tells which way a message would go now, and why. The message path itself decides, in a copy of as much of the
// world as it looks at: nothing that is counted, known or chosen changes by it.
package explain

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// maxMessage is the longest message that is explained, in octets: the longest datagram, over IPv6.
const maxMessage = 65527

// World is what the message path looks at.
type World struct {
	Snapshot *snapshot.Snapshot
	States   []*proxy.State // by Service.Index
	Sealer   *token.Sealer
	Names    [2]*proxy.Names // by Key.Family
	Health   *health.Manager
	Now      time.Time
	Tick     aged.Tick // Now on the clock of soft state
	NowNS    int64     // the same in ns
	// LookUp finds the address of a host name for a listener; invalid: it has none.
	LookUp func(ctx context.Context, host string, port uint16, t sip.Transport, family int) netip.AddrPort
}

// Message explains the message of a question, or where its Call-ID lives.
func Message(ctx context.Context, world World, q report.ExplainRequest) (*report.Explanation, error) {
	if len(q.Message) > maxMessage {
		return nil, fmt.Errorf("the message has %d octets, more than a datagram can have", len(q.Message))
	}
	x := &explanation{world: world}
	x.out.At = world.Now
	if q.Message == "" {
		if q.CallID == "" {
			return nil, errors.New("give a message or a Call-ID")
		}
		return x.callID(&q)
	}
	return x.message(ctx, &q)
}

// explanation is one in the making.
type explanation struct {
	world    World
	data     []byte
	msg      sip.Msg
	listener *snapshot.Listener
	trace    *proxy.Trace
	verdict  proxy.Verdict
	dry      *snapshot.Snapshot
	out      report.Explanation
}

func (x *explanation) message(ctx context.Context, q *report.ExplainRequest) (*report.Explanation, error) {
	x.data = x.wire(q.Message)
	kind := sip.Classify(x.data)
	if kind == sip.KindSIP {
		x.msg.Parse(x.data)
	}
	if err := x.choose(q); err != nil {
		return nil, err
	}
	x.sourceOf(q)
	x.out.Service, x.out.UUID, x.out.Listener = x.listener.Service.Name, x.listener.Service.UUID, strings.ToLower(x.listener.Key.Transport.String())+" "+x.listener.Addr.String()
	if kind != sip.KindSIP {
		x.noSIP(kind)
		return &x.out, nil
	}
	if len(x.data) > proxy.MaxDatagram && x.msg.Err == sip.NoFault && proxy.TooLong(&proxy.Input{Msg: &x.msg, Listener: x.listener}) {
		x.msg.Err = sip.FaultTooLong
	}
	x.parsed()
	x.decide(ctx)
	x.checks()
	if x.trace != nil {
		x.affinity()
		x.candidates()
	}
	x.out.Summary = x.summary()
	return &x.out, nil
}

// wire is a pasted message as it was on the wire: editors and terminals lose the CR of line ends, and add an empty line
// before or take the one at the end.
func (x *explanation) wire(text string) []byte {
	if strings.Contains(text, "\r\n") || !strings.Contains(text, "\n") {
		return []byte(text)
	}
	text = strings.TrimLeft(text, "\n")
	x.out.Parse.Remark = "line ends were LF alone, and were made CRLF"
	if !strings.Contains(text, "\n\n") {
		text = strings.TrimRight(text, "\n") + "\n\n"
		x.out.Parse.Remark += "; the empty line at the end was added"
	}
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

// choose finds the virtual service and the listener.
func (x *explanation) choose(q *report.ExplainRequest) error {
	snap := x.world.Snapshot
	if q.Service != "" {
		return x.chooseNamed(q.Service)
	}
	if len(snap.Services) == 1 && len(snap.Listeners) > 0 {
		x.listener, x.out.ChosenBy = snap.Services[0].Listeners[0], "it is the only virtual service"
		return nil
	}
	if a, where, ok := x.addressed(); ok {
		if l := x.listenerAt(a); l != nil {
			x.listener, x.out.ChosenBy = l, "its address stands in the "+where
			return nil
		}
	}
	var names []string
	for _, s := range snap.Services {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return errors.New("the engine has no virtual service")
	}
	slices.Sort(names)
	return fmt.Errorf("the message does not tell which virtual service it is for: name one, or its address (%s)",
		strings.Join(names[:min(len(names), 10)], ", "))
}

// addressed is the address that a message was sent to by its own words: that of a Route, or of the Request-URI; of a
// response that of the top Via.
func (x *explanation) addressed() (netip.AddrPort, string, bool) {
	m := &x.msg
	host, port, where := m.URI.Host, m.URI.Port, "Request-URI"
	switch {
	case !m.IsRequest && m.NVia > 0:
		host, port, where = m.Via[0].Host, m.Via[0].Port, "top Via"
	case m.IsRequest && m.NRoute > 0:
		host, port, where = m.Route[0].URI.Host, m.Route[0].URI.Port, "first Route"
	}
	a, ok := sip.HostAddr(m.Bytes(host))
	return netip.AddrPortFrom(a, cmp.Or(port, 5060)), where, ok
}

func (x *explanation) chooseNamed(name string) error {
	for _, s := range x.world.Snapshot.Services {
		if (s.Name == name || s.UUID == name) && len(s.Listeners) > 0 {
			x.listener, x.out.ChosenBy = s.Listeners[0], "it was named"
			return nil
		}
	}
	if a, err := netip.ParseAddrPort(strings.TrimPrefix(strings.TrimPrefix(name, "udp://"), "udp ")); err == nil {
		if l := x.listenerAt(a); l != nil {
			x.listener, x.out.ChosenBy = l, "it listens on the address that was named"
			return nil
		}
	}
	return fmt.Errorf("the engine runs no virtual service %q, and none listens there", name)
}

// listenerAt is the listener that gets what is sent to an address, or nil.
func (x *explanation) listenerAt(a netip.AddrPort) *snapshot.Listener {
	var any *snapshot.Listener
	for _, l := range x.world.Snapshot.Listeners {
		switch {
		case l.Addr == a:
			return l
		case l.Wildcard() && l.Addr.Port() == a.Port() && l.Addr.Addr().Is4() == a.Addr().Is4() && !l.Egress:
			any = l
		}
	}
	return any
}

// sourceOf is where the message comes from.
func (x *explanation) sourceOf(q *report.ExplainRequest) {
	x.out.Source, x.out.SourceBy = q.Source, "it was given"
	if q.Source.IsValid() {
		return
	}
	m := &x.msg
	if !m.IsRequest && m.NVia > 0 {
		if h := x.trustedServer(); h != nil {
			x.out.Source, x.out.SourceBy = h.Addr, "it is taken for an answer of the server that the transaction is at"
			return
		}
	}
	x.out.Source, x.out.SourceBy = netip.AddrPortFrom(netip.IPv4Unspecified(), 5060), "unknown: it was not given, and no Via tells"
	if m.NVia < 1 {
		return
	}
	via := &m.Via[0]
	host, port := via.Host, via.Port
	if via.Received.Len() > 0 {
		host = via.Received
	}
	if via.RportVal > 0 {
		port = via.RportVal
	}
	if a, ok := sip.HostAddr(m.Bytes(host)); ok {
		x.out.Source, x.out.SourceBy = netip.AddrPortFrom(a, cmp.Or(port, 5060)), "the top Via says so"
	}
}

// trustedServer is the server at which the transaction of a response is, or nil.
func (x *explanation) trustedServer() *snapshot.Server {
	in := x.input(netip.AddrPort{})
	if x.msg.Err != sip.NoFault {
		return nil
	}
	if t := x.proxy(nil).Trace(in); t.Pin != nil {
		return t.Pin.Server
	} else if t.Known != nil {
		return t.Known.Server
	}
	return nil
}

// proxy is one that decides for this explanation alone.
func (x *explanation) proxy(names *proxy.Names) *proxy.Proxy { return proxy.New(x.world.Sealer, names) }

// input is the message as a worker would have it, in the world as it is.
func (x *explanation) input(from netip.AddrPort) *proxy.Input {
	in := &proxy.Input{Msg: &x.msg, From: from, Listener: x.listener, Snapshot: x.world.Snapshot, State: x.world.States[x.listener.Service.Index],
		Now: x.world.Tick, NowNS: x.world.NowNS}
	if x.listener.Wildcard() {
		in.Local = x.local()
	}
	return in
}

// local is the address that the message was sent to, on a listener for all.
func (x *explanation) local() netip.Addr {
	if a, _, ok := x.addressed(); ok && x.world.Snapshot.Own(x.listener.Service, a) {
		return a.Addr()
	}
	return x.listener.FaceAt(netip.Addr{}).Source
}

// decide has the message path decide, in a copy of what it looks at.
func (x *explanation) decide(ctx context.Context) {
	in := x.input(x.out.Source)
	x.dry = x.world.Snapshot.Dry(x.listener.Service)
	state := proxy.NewState(1000, 1000, nil)
	if x.msg.Err == sip.NoFault {
		x.trace = x.proxy(nil).Trace(in)
		x.dry = x.world.Snapshot.Dry(x.listener.Service, x.trace.Handles()...)
		state = x.trace.Scratch(in, x.dry)
	}
	names := proxy.NewNames()
	names.Replace(x.world.Names[x.listener.Key.Family()].All())
	p := x.proxy(names)
	run := *in
	run.Snapshot, run.Listener, run.State = x.dry, x.dry.Listener(x.listener.Key), state
	x.run(p, &run)
	if x.verdict.Action == proxy.Resolve {
		x.lookUp(ctx, names)
		x.run(p, &run)
	}
	x.verdictOf(p, &run)
}

func (x *explanation) run(p *proxy.Proxy, in *proxy.Input) {
	if x.msg.IsRequest {
		x.verdict = p.Request(in)
	} else {
		x.verdict = p.Response(in)
	}
}

// lookUp asks for the host name that the verdict waits for, for this explanation alone.
func (x *explanation) lookUp(ctx context.Context, names *proxy.Names) {
	host, port := strings.ToLower(string(x.verdict.Host)), uint16(x.verdict.Status)
	known := map[string]proxy.Name{}
	for k, n := range names.All() {
		known[k] = n
	}
	n := proxy.Name{Addr: x.world.LookUp(ctx, host, port, x.verdict.Lookup, x.listener.Key.Family())}
	known[string(proxy.NameKey(nil, []byte(host), port, x.verdict.Lookup))] = n
	names.Replace(known)
}

// verdictOf tells what was decided, and makes the message that leaves.
func (x *explanation) verdictOf(p *proxy.Proxy, in *proxy.Input) {
	v := &x.verdict
	if v.Action == proxy.Resend {
		if ack, to, _, ok := p.AppendAck(nil, in, v); ok {
			x.out.Ack, x.out.Changes = string(ack), append(x.out.Changes, "the server "+to.String()+" gets the ACK of its refusal")
		}
		next := p.Again(in, v)
		next.Reason = v.Reason
		if *v = next; v.Action == proxy.Forward {
			x.out.Changes = append(x.out.Changes, "the stored request goes to another server: the message is that request")
		}
	}
	o := &x.out.Verdict
	*o = report.Verdict{Action: v.Action.String(), Reason: v.Reason.String(), Sentence: v.Reason.Sentence(), Status: v.Status}
	if v.Action != proxy.Forward && v.Action != proxy.Answer {
		return
	}
	o.To = v.To
	if v.Face != nil {
		o.From = netip.AddrPortFrom(v.Face.Addr(), v.Face.Out.Addr.Port()).String()
	}
	out := p.Append(nil, v)
	x.out.Message = string(out)
	if v.Action == proxy.Forward && len(x.out.Changes) == 0 {
		x.out.Edits = lineDiff(x.msg.Buf, out)
		x.out.Changes = append(x.out.Changes, changeWords(x.out.Edits)...)
	}
}

// callID explains where a Call-ID lives.
func (x *explanation) callID(q *report.ExplainRequest) (*report.Explanation, error) {
	call := x.world.Sealer.CallHash([]byte(q.CallID))
	x.out.Parse = report.Parse{OK: true, Kind: "Call-ID " + q.CallID}
	for i, s := range x.world.Snapshot.Services {
		if q.Service != "" && s.Name != q.Service && s.UUID != q.Service {
			continue
		}
		if k := x.world.States[i].Known(call, x.world.Tick, x.world.Snapshot); k != nil {
			x.out.Service, x.out.UUID, x.out.ChosenBy = s.Name, s.UUID, "it knows the Call-ID"
			x.trace = &proxy.Trace{Call: call, Hash: call, Known: k}
			x.out.Affinity = []report.Affinity{x.knownCall()}
			x.out.Affinity[0].Decides = true
			x.dry = x.world.Snapshot.Dry(s)
			x.listPool(x.dry.Services[i].PoolOf(call), -1)
			x.out.Summary = fmt.Sprintf("The Call-ID is known by virtual service %s: %s", s.Name, x.out.Affinity[0].Detail)
			return &x.out, nil
		}
	}
	if q.Service == "" && len(x.world.Snapshot.Services) != 1 {
		x.out.Summary = "No virtual service of this engine knows the Call-ID: a request of it would be placed anew. Name a virtual service to see where."
		return &x.out, nil
	}
	if err := x.choose(q); err != nil {
		return nil, err
	}
	s := x.listener.Service
	x.out.Service, x.out.UUID = s.Name, s.UUID
	x.dry = x.world.Snapshot.Dry(s)
	pool := x.dry.Services[s.Index].PoolOf(call)
	x.trace = &proxy.Trace{Call: call, Hash: call, Pool: pool}
	if pool.Hash != snapshot.HashCallID {
		x.out.Summary = fmt.Sprintf("The Call-ID is not known, and the pool's hash is taken of %s: paste a message to see where it would go.", hashWords[pool.Hash])
		x.listPool(pool, -1)
		return &x.out, nil
	}
	x.key(pool, q.CallID)
	x.listPool(pool, pool.View.Load().Pick(call, nil))
	x.out.Summary = "The Call-ID is not known. A request of it would go to " + cmp.Or(x.out.Choice, "no server: none can be selected") + "."
	return &x.out, nil
}

// lineDiff lists the lines of a header that are not the same in both messages, in their order.
func lineDiff(a, b []byte) []string {
	from, to := headerLines(a), headerLines(b)
	// the longest common subsequence: a header has 256 lines at the most
	common := make([][]int16, len(from)+1)
	for i := range common {
		common[i] = make([]int16, len(to)+1)
	}
	for i := len(from) - 1; i >= 0; i-- {
		for j := len(to) - 1; j >= 0; j-- {
			if from[i] == to[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(from) || j < len(to); {
		switch {
		case i < len(from) && j < len(to) && from[i] == to[j]:
			i, j = i+1, j+1
		case i < len(from) && (j == len(to) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "- "+from[i])
			i++
		default:
			out = append(out, "+ "+to[j])
			j++
		}
	}
	return out
}

func headerLines(b []byte) []string {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		b = b[:i]
	}
	return strings.Split(string(b), "\r\n")
}
