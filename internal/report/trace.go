package report

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TraceFilter says which messages a trace is of. What is empty does not matter; of what is given, all must fit.
type TraceFilter struct {
	CallID   string
	From     string // user or number in the From header field; a * at its end stands for anything
	To       string // likewise of To
	User     string // likewise of either
	Method   string // of a request; of a response, that of its CSeq
	Codes    Codes  // of a response: no request fits then
	Services []string
	Server   string       // name, address or address:port of the server that the message comes from or goes to
	Source   netip.Prefix // of who sent it, or where it goes
	// Only leaves out the rest of a call: without it, what fits makes all later messages of its Call-ID fit too.
	Only bool
	// Before tells also what came before, since the trace began, of the call of a message that fits. To know that, every
	// message is copied for as long as the trace lasts.
	Before  bool
	Secrets bool // credentials and keys are not blanked
}

// Codes is a range of status codes. The zero value is every message.
type Codes struct{ Least, Most int }

// ParseCodes reads 404, 4xx, 400-499 or 4xx-6xx.
func ParseCodes(text string) (Codes, error) {
	least, most, ranged := strings.Cut(strings.ToLower(text), "-")
	if !ranged {
		most = least
	}
	a, errA := strconv.Atoi(strings.ReplaceAll(least, "x", "0"))
	b, errB := strconv.Atoi(strings.ReplaceAll(most, "x", "9"))
	if errA != nil || errB != nil || a < 100 || b > 699 || b < a {
		return Codes{}, fmt.Errorf("code: %q must be a status code, a class or a range of them, such as 486, 4xx or 4xx-6xx", text)
	}
	return Codes{a, b}, nil
}

// Any reports whether every code fits, and requests too.
func (c Codes) Any() bool { return c == Codes{} }

// Has reports whether a status code fits.
func (c Codes) Has(status int) bool { return status >= c.Least && status <= c.Most }

// Limits of a filter.
const (
	maxFilterText = 512
	maxServices   = 5000
)

// Values is the filter as it goes over the wire.
func (f *TraceFilter) Values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("call_id", f.CallID)
	set("from", f.From)
	set("to", f.To)
	set("user", f.User)
	set("method", f.Method)
	set("server", f.Server)
	if !f.Codes.Any() {
		v.Set("code", fmt.Sprintf("%d-%d", f.Codes.Least, f.Codes.Most))
	}
	if f.Source.IsValid() {
		v.Set("source", f.Source.String())
	}
	if len(f.Services) > 0 {
		v["virtualservice"] = slices.Clone(f.Services)
	}
	for name, on := range map[string]bool{"only": f.Only, "before": f.Before, "secrets": f.Secrets} {
		if on {
			v.Set(name, "true")
		}
	}
	return v
}

// ParseTraceFilter reads what Values wrote, or a person.
func ParseTraceFilter(v url.Values) (TraceFilter, error) {
	f := TraceFilter{CallID: v.Get("call_id"), From: v.Get("from"), To: v.Get("to"), User: v.Get("user"), Method: strings.ToUpper(v.Get("method")),
		Server: v.Get("server"), Services: v["virtualservice"]}
	for name, text := range map[string]string{"call_id": f.CallID, "from": f.From, "to": f.To, "user": f.User, "method": f.Method, "server": f.Server} {
		if len(text) > maxFilterText {
			return f, fmt.Errorf("%s: longer than %d octets", name, maxFilterText)
		}
	}
	if len(f.Services) > maxServices {
		return f, fmt.Errorf("virtualservice: more than %d", maxServices)
	}
	var err error
	if text := v.Get("code"); text != "" {
		if f.Codes, err = ParseCodes(text); err != nil {
			return f, err
		}
	}
	if text := v.Get("source"); text != "" {
		if f.Source, err = parsePrefix(text); err != nil {
			return f, err
		}
	}
	for name, to := range map[string]*bool{"only": &f.Only, "before": &f.Before, "secrets": &f.Secrets} {
		if text := v.Get(name); text != "" {
			if *to, err = strconv.ParseBool(text); err != nil {
				return f, fmt.Errorf("%s: %q must be true or false", name, text)
			}
		}
	}
	return f, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("source: %q must be an address or a prefix, such as 192.0.2.7 or 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}

// What a traced message is.
const (
	TraceMessageCame = "message"     // it came, and what became of it is told
	TraceResent      = "resent"      // a stored request went to another server; Came is empty
	TraceAck         = "ack"         // the balancer's own ACK of a refusal, before it tries another server; likewise
	TraceUnreachable = "unreachable" // a datagram of ours did not arrive; Came is the start of it
	TraceNoSIP       = "no_sip"      // a keep-alive, STUN, or no SIP at all
)

// TraceMessage is one message that an engine saw, and what became of it.
type TraceMessage struct {
	Engine       string         `json:"engine,omitempty"`
	Seq          uint64         `json:"seq"` // of the trace: in the order that the engine decided
	At           time.Time      `json:"at"`  // when it was decided about
	What         string         `json:"what"`
	Service      string         `json:"virtual_service"`
	Transport    string         `json:"transport"`               // it came by: udp, tcp or tls
	OutTransport string         `json:"out_transport,omitempty"` // it left by; valid iff it left
	Source       TraceParty     `json:"source"`                  // who sent it
	Local        netip.AddrPort `json:"local,omitzero"`          // address of ours that it came to
	Out          netip.AddrPort `json:"out,omitzero"`            // address of ours that it left from; valid iff it left
	Target       *TraceParty    `json:"target,omitempty"`        // who got it; nil iff it did not leave
	Direction    string         `json:"direction"`               // from_client, from_server
	Start        string         `json:"start"`                   // first line, as it came
	Method       string         `json:"method,omitempty"`        // of a request; of a response, that of its CSeq
	Status       int            `json:"status,omitempty"`        // of a response
	CallID       string         `json:"call_id,omitempty"`       // the whole of it
	CSeq         uint32         `json:"cseq,omitempty"`
	From         string         `json:"from,omitempty"` // user
	To           string         `json:"to,omitempty"`   // user
	Action       string         `json:"action"`         // forward, answer, drop, resend, resolve
	Reason       string         `json:"reason"`         // as counted
	Sentence     string         `json:"sentence"`
	Answer       int            `json:"answer,omitempty"` // status of the balancer's own answer
	Server       string         `json:"server,omitempty"` // that it goes to or came from
	// Transaction is the branch by which the sender of the request knows its transaction.
	Transaction string `json:"transaction,omitempty"`
	LatencyUS   uint64 `json:"latency_us,omitempty"` // of a final response: since its request
	Came        string `json:"came,omitempty"`
	Left        string `json:"left,omitempty"` // empty: it did not leave
}

// TraceParty is one end of a way.
type TraceParty struct {
	Addr   netip.AddrPort `json:"address"`
	Server string         `json:"server,omitempty"` // name; empty: it is no server of the pool
}

// TraceLine is one line of the stream. One member is there.
type TraceLine struct {
	Message *TraceMessage `json:"message,omitempty"`
	State   *TraceState   `json:"state,omitempty"`
	Error   string        `json:"error,omitempty"` // of an engine that tells no more
}

// TraceState is told every few seconds, whatever comes.
type TraceState struct {
	Engine string    `json:"engine"`
	At     time.Time `json:"at"`
	Told   uint64    `json:"told"` // messages so far
	Lost   uint64    `json:"lost"` // messages that fitted, and that there was no room for
}

// CallsQuery asks for calls that are up.
type CallsQuery struct {
	Services []string // names; none: all
	Pool     string   // name
	Server   string   // name, address or address:port
	Up       bool     // those alone that are up
	Limit    int
	After    string // Call.Key of the last one that was seen
}

// MaxCalls is how many calls one answer holds at the most.
const MaxCalls = 1000

// Values is the query as it goes over the wire.
func (q *CallsQuery) Values() url.Values {
	return url.Values{"up": {strconv.FormatBool(q.Up)}, "virtualservice": q.Services, "pool": {q.Pool}, "server": {q.Server}, "after": {q.After}, "limit": {strconv.Itoa(q.Limit)}}
}

// ParseCallsQuery reads what Values wrote, or a person.
func ParseCallsQuery(v url.Values) (CallsQuery, error) {
	q := CallsQuery{Up: v.Has("up") && v.Get("up") != "false", Services: v["virtualservice"], Pool: v.Get("pool"), Server: v.Get("server"), After: v.Get("after"), Limit: 100}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > MaxCalls {
			return q, fmt.Errorf("limit: %q must be a number, 0 to %d", text, MaxCalls)
		}
		q.Limit = n
	}
	return q, nil
}

// Calls is what engines know of calls that are up.
type Calls struct {
	Count   int           `json:"count"` // of all that fit
	Servers []ServerCalls `json:"servers"`
	Results []Call        `json:"results"`
	Next    string        `json:"next,omitempty"` // After of the next page
	Errors  []string      `json:"errors,omitempty"`
}

// ServerCalls is the calls of one server of one virtual service.
type ServerCalls struct {
	Service string         `json:"virtual_service"`
	Pool    string         `json:"pool"`
	Server  string         `json:"server"`
	Addr    netip.AddrPort `json:"address"`
	Calls   int            `json:"calls"`       // Call-IDs that are known or up
	Up      int            `json:"up"`          // of them, those that are up, as far as they are seen (Record-Route)
	Recent  int            `json:"recent"`      // of them, those with a request within the last minute
	LeftS   int            `json:"last_s"`      // until the last of them is forgotten, if none is heard of again
	MeanS   int            `json:"mean_idle_s"` // mean time since their last request, of those that are known
}

// Call is a Call-ID that an engine remembers. It keeps a keyed hash of it and no text; that is told of calls that a trace has
// seen.
type Call struct {
	Key     string         `json:"key"` // virtual service and keyed hash
	Engine  string         `json:"engine,omitempty"`
	Service string         `json:"virtual_service"`
	Pool    string         `json:"pool"`
	Server  string         `json:"server"`
	Addr    netip.AddrPort `json:"address"`
	Up      bool           `json:"up"`               // it was answered, and its end was not seen yet
	AgeS    float64        `json:"age_s"`            // since its first request
	Method  string         `json:"method,omitempty"` // of its last request; empty: none came, or not since the engine started
	IdleS   *float64       `json:"idle_s"`           // since its last request; null: longer than transaction_timeout
	LeftS   float64        `json:"left_s"`           // until it is forgotten, unless a request comes
	Seen    *SeenCall      `json:"seen,omitempty"`
}

// SeenCall is what traces have seen of a call.
type SeenCall struct {
	CallID string    `json:"call_id"`
	From   string    `json:"from,omitempty"`
	To     string    `json:"to,omitempty"`
	Last   string    `json:"last"` // method, or status and method, of the last message
	First  time.Time `json:"first"`
	At     time.Time `json:"at"`
}

// MergeCalls makes one page of those of several engines.
func MergeCalls(each []*Calls, limit int) *Calls {
	out := &Calls{Servers: []ServerCalls{}, Results: []Call{}}
	at := map[[3]string]int{}
	for _, c := range each {
		out.Count += c.Count
		out.Results = append(out.Results, c.Results...)
		for _, s := range c.Servers {
			k := [3]string{s.Service, s.Pool, s.Addr.String()}
			i, known := at[k]
			if !known {
				at[k] = len(out.Servers)
				out.Servers = append(out.Servers, s)
				continue
			}
			o := &out.Servers[i]
			o.MeanS = (o.MeanS*o.Calls + s.MeanS*s.Calls) / max(1, o.Calls+s.Calls)
			o.Calls, o.Up, o.Recent, o.LeftS = o.Calls+s.Calls, o.Up+s.Up, o.Recent+s.Recent, max(o.LeftS, s.LeftS)
		}
	}
	slices.SortStableFunc(out.Results, func(a, b Call) int { return strings.Compare(a.Key, b.Key) })
	more := len(out.Results) > limit
	for _, c := range each {
		more = more || c.Next != ""
	}
	// engines that know the same call stay together: a page may hold a few more than the limit
	n := min(limit, len(out.Results))
	for n > 0 && n < len(out.Results) && out.Results[n].Key == out.Results[n-1].Key {
		n++
	}
	out.Results = out.Results[:n]
	if more && n > 0 {
		out.Next = out.Results[n-1].Key
	}
	return out
}
