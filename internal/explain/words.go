package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

var hashWords = [...]string{snapshot.HashCallID: "the Call-ID", snapshot.HashSource: "the source address",
	snapshot.HashSourcePort: "the source address and port", snapshot.HashRequestURI: "the Request-URI", snapshot.HashHeader: "a header field"}

// noSIP tells of what is no SIP message.
func (x *explanation) noSIP(kind sip.Kind) {
	reason, what := proxy.Junk, "no SIP"
	switch kind {
	case sip.KindKeepAlive:
		reason, what = proxy.KeepAlive, "a keep-alive"
	case sip.KindSTUN:
		reason, what = proxy.STUNAnswered, "STUN"
	}
	x.out.Parse.Kind = what
	x.out.Verdict = report.Verdict{Action: "drop", Reason: reason.String(), Sentence: reason.Sentence()}
	if reason == proxy.STUNAnswered {
		x.out.Verdict.Action = "answer"
	}
	x.out.Summary = "This is " + what + ": " + reason.Sentence()
}

// parsed tells how reading went.
func (x *explanation) parsed() {
	m, o := &x.msg, &x.out.Parse
	o.OK = m.Err == sip.NoFault
	switch {
	case m.IsRequest:
		o.Kind = string(m.Bytes(m.MethodText)) + " request"
	case m.Status > 0:
		o.Kind = fmt.Sprintf("%d response to %s", m.Status, m.Bytes(m.CSeqMethodText))
	default:
		o.Kind = "message"
	}
	if o.OK {
		return
	}
	at := min(int(m.ErrPos), len(m.Buf))
	o.Fault, o.Octet, o.Line = m.Err.String(), at+1, 1+bytes.Count(m.Buf[:at], []byte("\n"))
	start := bytes.LastIndexByte(m.Buf[:at], '\n') + 1
	text, _, _ := bytes.Cut(m.Buf[start:], []byte("\r\n"))
	o.Text = strings.ToValidUTF8(string(text[:min(len(text), 200)]), "?")
}

// steps are what a request is checked for, in this order, each with the reasons by which it fails.
var steps = []struct {
	name, ref string
	fails     []proxy.Reason
}{
	{"the message can be read", "RFC 3261 16.3 (1)", []proxy.Reason{proxy.BadMessage, proxy.UnanswerableRequest, proxy.BadResponse}},
	{"the scheme of the Request-URI is one that we know", "RFC 3261 16.3 (2)", []proxy.Reason{proxy.UnsupportedScheme}},
	{"no SIPS, which only TLS may carry", "RFC 5630 5.3", []proxy.Reason{proxy.SIPSNotAllowed}},
	{"Max-Forwards is not used up", "RFC 3261 16.3 (3)", []proxy.Reason{proxy.TooManyHops}},
	{"Proxy-Require asks for nothing that we don't have", "RFC 3261 16.3 (5)", []proxy.Reason{proxy.UnknownExtension}},
	{"the virtual service takes traffic", "traffic_enabled", []proxy.Reason{proxy.TrafficOff}},
	{"it is not for the balancer itself", "RFC 3261 11.2, 16.3 (3)", []proxy.Reason{proxy.OptionsAnswered, proxy.LocalRequestRefused}},
}

// responseSteps are those of a response.
var responseSteps = []struct {
	name, ref string
	fails     []proxy.Reason
}{
	{"the message can be read", "RFC 3261 16.7", []proxy.Reason{proxy.BadResponse}},
	{"the top Via is ours, with a branch that we sealed", "RFC 3261 18.1.2", []proxy.Reason{proxy.ForeignResponse}},
	{"there is a Via below ours", "RFC 3261 16.7 (3)", []proxy.Reason{proxy.OwnResponse}},
	{"the Via below is the one that the branch was made for", "RFC 3261 16.11", []proxy.Reason{proxy.ForgedResponse}},
	{"it leads to an address that can be sent to", "RFC 3261 18.2.2", []proxy.Reason{proxy.BadNextHop}},
	{"the transaction was not taken from this server", "RFC 3261 16.7", []proxy.Reason{proxy.LateResponse}},
}

// checks tells which steps of the validation were passed.
func (x *explanation) checks() {
	list := steps
	if !x.msg.IsRequest {
		list = responseSteps
	}
	state := "passed"
	for _, s := range list {
		c := report.Check{Name: s.name, Ref: s.ref, State: state}
		for _, r := range s.fails {
			if state == "passed" && (x.verdict.Reason == r || s.fails[0] == proxy.BadMessage && x.msg.Err != sip.NoFault) {
				c.State, state = "failed", "not reached"
				c.Detail = x.verdict.Reason.Sentence()
				if x.msg.Err != sip.NoFault {
					c.Detail = fmt.Sprintf("%s at octet %d, line %d: %s", x.out.Parse.Fault, x.out.Parse.Octet, x.out.Parse.Line, x.out.Parse.Text)
				}
			}
		}
		x.out.Checks = append(x.out.Checks, c)
	}
}

// affinity tells what ties the message to a server, in the order in which it is looked for.
func (x *explanation) affinity() {
	t := x.trace
	if !x.msg.IsRequest {
		x.out.Direction = "from a server toward the client: where the Via below ours says"
		x.out.Affinity = []report.Affinity{x.transaction(), x.knownCall()}
		return
	}
	if t.ToClient {
		x.out.Direction = "from a server toward a client: by its Route and Request-URI, not balanced"
	} else {
		x.out.Direction = "to a server of the pool"
	}
	token := report.Affinity{Name: "token in Route", Found: t.Sealed, Detail: "no Route of ours with a sealed token"}
	if t.Sealed {
		token.Server, token.Detail = serverWords(t.Token), "sealed when the dialog began"
		if !t.TokenKeeps {
			token.Detail = "its server is not up, and the pool shares dialogs (dialog_state_shared), or it is known no more"
		}
	}
	named := report.Affinity{Name: "server named", Found: t.Named != nil, Server: serverWords(t.Named), Detail: "next hop " + t.NextHop}
	if x.msg.To.Tag.Empty() {
		named.Detail = "not looked for: there is no To tag, so it is no request within a dialog"
	} else if t.Named == nil {
		named.Detail += " names no server of the pool"
	}
	x.out.Affinity = []report.Affinity{x.transaction(), token, named, x.knownCall()}
	decides := map[proxy.Reason]int{proxy.KnownTransaction: 0, proxy.RouteToken: 1, proxy.NamedServer: 2, proxy.KnownCall: 3}
	if i, ok := decides[x.verdict.Reason]; ok {
		x.out.Affinity[i].Decides = true
	}
}

func (x *explanation) transaction() report.Affinity {
	a := report.Affinity{Name: "transaction", Detail: "not known: the request is none that was sent before"}
	pin := x.trace.Pin
	if pin == nil {
		if !x.msg.IsRequest {
			a.Detail = "not known any more; the response needs none"
		}
		return a
	}
	a.Found, a.Server, a.LeftS = true, serverWords(pin.Server), int(pin.LeftMS/1000)
	a.Detail = fmt.Sprintf("%s, %s", pin.Method, map[bool]string{true: "no final response yet", false: "ended"}[pin.Open])
	if pin.Again > 0 {
		a.Detail += fmt.Sprintf(", sent again %d times", pin.Again)
	}
	if pin.Attempt > 0 {
		a.Detail += fmt.Sprintf(", taken from %d servers before", pin.Attempt)
	}
	return a
}

func (x *explanation) knownCall() report.Affinity {
	a := report.Affinity{Name: "Call-ID", Detail: "not known"}
	k := x.trace.Known
	if k == nil {
		return a
	}
	a.Found, a.Server, a.LeftS = true, serverWords(k.Server), int(k.LeftMS/1000)
	a.Detail = fmt.Sprintf("at %s, for another %d s unless it is used", cmp.Or(a.Server, "a server that is forgotten"), a.LeftS)
	return a
}

// serverWords are name and address of a server; "" for none.
func serverWords(sv *snapshot.Server) string {
	switch {
	case sv == nil:
		return ""
	case sv.Name != sv.Addr.String():
		return sv.Name + " (" + sv.Addr.String() + ")"
	}
	return sv.Addr.String()
}

// key tells what the hash of a pool is taken of.
func (x *explanation) key(p *snapshot.Pool, text string) {
	k := &report.HashKey{Of: hashWords[p.Hash], Text: text, Value: fmt.Sprintf("%#016x", x.trace.Hash)}
	if p.Hash == snapshot.HashHeader {
		k.Of = "header field " + p.Header
		if text == "" {
			k.Of += ", which is missing: of the Call-ID"
		}
	}
	x.out.Key = k
}

// candidates lists the servers of the pool, and which of them it is.
func (x *explanation) candidates() {
	svc := x.listener.Service
	if !x.msg.IsRequest || x.trace.ToClient {
		return
	}
	x.key(x.trace.Pool, x.keyText(x.trace.Pool))
	pool, at := x.dry.Services[svc.Index].PoolOf(x.trace.Call), int32(-1)
	if sv := x.verdict.Server; sv != nil {
		pool, at = sv.Pool, sv.Index
	}
	x.listPool(pool, at)
	if x.verdict.Server != nil {
		x.out.Choice = serverWords(x.verdict.Server)
	}
}

func (x *explanation) keyText(p *snapshot.Pool) string {
	m := &x.msg
	switch p.Hash {
	case snapshot.HashSource:
		return x.out.Source.Addr().String()
	case snapshot.HashSourcePort:
		return x.out.Source.String()
	case snapshot.HashRequestURI:
		return string(m.Bytes(m.URI.Text))
	case snapshot.HashHeader:
		s, _ := m.HeaderValue(p.Header)
		return string(m.Bytes(s))
	}
	return string(m.Bytes(m.CallID))
}

// maxCandidates is how many servers are listed; the choice and the runner-up are always among them.
const maxCandidates = 200

// listPool lists the servers of a copied pool, choice being the one that it is; -1: none of them.
func (x *explanation) listPool(p *snapshot.Pool, choice int32) {
	live := x.world.Snapshot.Pool(p.ID)
	if live == nil {
		return // it has left the configuration
	}
	x.out.Pool = p.Name
	view := p.View.Load()
	shares := live.View.Load().Shares()
	runner := int32(-1)
	if choice >= 0 {
		runner = view.Dry().Pick(x.trace.Hash, []int32{choice})
		x.out.Choice = serverWords(p.Servers[choice])
	}
	if runner >= 0 {
		x.out.RunnerUp = serverWords(p.Servers[runner])
	}
	for i, sv := range live.Servers {
		mark := map[int32]string{runner: "runner-up", choice: "choice"}[int32(i)]
		if i >= maxCandidates && mark == "" {
			continue
		}
		h, _ := x.world.Health.ServerStatus(live.ID, sv.Addr)
		c := report.Candidate{Server: sv.Name, Addr: sv.Addr.String(), Ratio: live.Object.Servers[i].Ratio, HashShare: shares[i],
			OpenTransactions: sv.State.OpenTransactions.Load(), Calls: sv.State.Calls.Load(), Mark: mark}
		c.State, c.Reason = State(view.Condition(int32(i)), h, sv.Traffic)
		if limit := int64(live.Object.MaxConnectionsPerServer); c.State == "up" && limit > 0 && c.OpenTransactions >= limit {
			c.Reason = "max_concurrent_connections_per_server"
		}
		if r := view.Ramp(int32(i)); c.State == "up" && r < balance.RampSteps {
			c.Reason = fmt.Sprintf("slow start: %d %% of its share", 100*int(r)/balance.RampSteps)
		}
		x.out.Candidates = append(x.out.Candidates, c)
	}
}

// summary is the whole in a sentence.
func (x *explanation) summary() string {
	v := &x.out.Verdict
	var b strings.Builder
	fmt.Fprintf(&b, "The %s ", x.out.Parse.Kind)
	switch v.Action {
	case "forward":
		to := v.To.String()
		if x.verdict.Server != nil && x.msg.IsRequest {
			to = serverWords(x.verdict.Server)
		}
		fmt.Fprintf(&b, "goes to %s from %s. ", to, v.From)
	case "answer":
		fmt.Fprintf(&b, "is answered %d to %s. ", v.Status, v.To)
	default:
		b.WriteString("goes nowhere. ")
	}
	b.WriteString(v.Sentence)
	return b.String()
}

// changeWords says what was done to each header field.
func changeWords(edits []string) []string {
	removed, added := map[string]int{}, map[string]int{}
	var order []string
	for _, l := range edits {
		name, _, isField := strings.Cut(l[2:], ":")
		if !isField || strings.Contains(name, " ") {
			name = "the start line"
		}
		if removed[name]+added[name] == 0 {
			order = append(order, name)
		}
		if l[0] == '-' {
			removed[name]++
		} else {
			added[name]++
		}
	}
	var out []string
	for _, name := range order {
		switch r, a := removed[name], added[name]; {
		case r == 0:
			out = append(out, name+" added")
		case a == 0:
			out = append(out, name+" removed")
		case a > r:
			out = append(out, name+" changed, and added")
		case r > a:
			out = append(out, name+" changed, and removed")
		default:
			out = append(out, name+" changed")
		}
	}
	return out
}

// State says in words what the flags of a server mean together.
func State(c balance.Condition, h health.ServerStatus, t *snapshot.Traffic) (state, reason string) {
	reason = h.Reason.String()
	if h.State == health.Unknown {
		reason = "not probed yet"
	}
	switch {
	case c&balance.Disabled != 0:
		return "disabled", reason
	case c&balance.Up == 0:
		return "down", reason
	case c&balance.Draining != 0:
		return "draining", reason
	case c&balance.Backoff != 0:
		return "backoff", "503 with Retry-After"
	case c&balance.Ejected != 0:
		if why := t.Ejected.Load(); why != nil {
			reason = *why
		}
		return "ejected", reason
	}
	return "up", reason
}
