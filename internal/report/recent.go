package report

import (
	"net/netip"
	"time"
)

// ScoreWindow is how far back a health score looks: what went wrong before it has no part in it any more.
const ScoreWindow = 5 * time.Minute

// Recent is what was counted in the last ScoreWindow, or since the engine started if that is less: what a score is
// made of.
type Recent struct {
	Seconds          int    `json:"seconds"` // how long that is
	Requests         uint64 `json:"requests"`
	Answered         uint64 `json:"answered"` // final responses
	Failed           uint64 `json:"failed"`   // of these, 408 and 5xx
	Messages         uint64 `json:"messages"`
	Bad              uint64 `json:"bad"` // of these, malformed, forged or no SIP
	TransactionsFull uint64 `json:"transactions_full"`
	CallsFull        uint64 `json:"calls_full"`
	Full             uint64 `json:"full"` // requests that found every server at its limit
	Dropped          uint64 `json:"dropped"`
	Packets          uint64 `json:"packets"`
	Failovers        uint64 `json:"failovers"`
	Timed            uint64 `json:"timed"` // response times, and their sum
	TimeUS           uint64 `json:"time_us"`
}

// each calls f with the same counter of two.
func (r *Recent) each(o *Recent, f func(a *uint64, b uint64)) {
	f(&r.Requests, o.Requests)
	f(&r.Answered, o.Answered)
	f(&r.Failed, o.Failed)
	f(&r.Messages, o.Messages)
	f(&r.Bad, o.Bad)
	f(&r.TransactionsFull, o.TransactionsFull)
	f(&r.CallsFull, o.CallsFull)
	f(&r.Full, o.Full)
	f(&r.Dropped, o.Dropped)
	f(&r.Packets, o.Packets)
	f(&r.Failovers, o.Failovers)
	f(&r.Timed, o.Timed)
	f(&r.TimeUS, o.TimeUS)
}

// add brings in what another engine counted.
func (r *Recent) add(o *Recent) {
	r.each(o, func(a *uint64, b uint64) { *a += b })
	r.Seconds = max(r.Seconds, o.Seconds)
}

// less takes away what was there before. Counters that have fallen began anew: then all is recent.
func (r *Recent) less(o *Recent) {
	fell := false
	r.each(o, func(a *uint64, b uint64) { fell = fell || *a < b })
	if !fell {
		r.each(o, func(a *uint64, b uint64) { *a -= b })
	}
}

// finals counts final responses. Codes of one digit stand for others of their class.
func (r *Recent) finals(codes Counts[int]) {
	for code, n := range codes {
		class := code
		if code >= 100 {
			class = code / 100
		}
		if class >= 2 {
			r.Answered += n
		}
		if class == 5 || code == 408 {
			r.Failed += n
		}
	}
}

// sum is what was counted since the engine started.
func (s *Service) sum() Recent {
	r := Recent{Requests: s.Requests.Total(), Messages: s.Reasons.Total(), TransactionsFull: s.TransactionsFull, CallsFull: s.CallsFull}
	r.finals(s.Responses)
	r.finals(s.Answers)
	for i := range s.Listeners {
		r.Dropped += s.Listeners[i].RxDropped
		r.Packets += s.Listeners[i].RxPackets
	}
	for _, reason := range badReasons {
		r.Bad += s.Reasons[reason]
	}
	return r
}

func (p *Pool) sum() Recent { return Recent{Full: p.Full} }

func (s *Server) sum() Recent {
	r := Recent{Requests: s.Requests.Total(), Failovers: s.Failovers, Timed: s.Latency.Count, TimeUS: s.Latency.SumUS}
	r.finals(s.Responses)
	return r
}

// recently is what counts for a score: all, if nobody has told what of it is recent.
func recently(told *Recent, sum func() Recent) Recent {
	if told != nil {
		return *told
	}
	return sum()
}

// Baseline is what an engine had counted at one time, of those that had counted anything.
type Baseline struct {
	At       time.Time
	services map[string]Recent
	pools    map[string]poolBase
}

// poolBase is a pool of a Baseline. There may be thousands of servers, so of each it has what servers count, no more.
type poolBase struct {
	full    uint64
	servers []serverBase
}

type serverBase struct {
	addr                                                  netip.AddrPort
	requests, answered, failed, failovers, timed, timedUS uint64
}

func (b *serverBase) recent() Recent {
	return Recent{Requests: b.requests, Answered: b.answered, Failed: b.failed, Failovers: b.failovers, Timed: b.timed, TimeUS: b.timedUS}
}

// NewBaseline remembers what a report says.
func NewBaseline(e *Engine, at time.Time) *Baseline {
	b := &Baseline{At: at, services: map[string]Recent{}, pools: map[string]poolBase{}}
	for i := range e.Services {
		if r := e.Services[i].sum(); r != (Recent{}) {
			b.services[e.Services[i].Name] = r
		}
	}
	for i := range e.Pools {
		if p := baseOf(&e.Pools[i]); p.full > 0 || len(p.servers) > 0 {
			b.pools[e.Pools[i].Name] = p
		}
	}
	return b
}

func baseOf(p *Pool) poolBase {
	out := poolBase{full: p.Full}
	for i := range p.Servers {
		s := &p.Servers[i]
		r := s.sum()
		if r == (Recent{}) {
			continue
		}
		if out.servers == nil {
			out.servers = make([]serverBase, 0, len(p.Servers)-i)
		}
		out.servers = append(out.servers, serverBase{s.Addr, r.Requests, r.Answered, r.Failed, r.Failovers, r.Timed, r.TimeUS})
	}
	return out
}

// server finds a server. It stands where it stood, or before that if others had counted nothing.
func (p *poolBase) server(addr netip.AddrPort, at int) Recent {
	if at < len(p.servers) && p.servers[at].addr == addr {
		return p.servers[at].recent()
	}
	for i := range p.servers {
		if p.servers[i].addr == addr {
			return p.servers[i].recent()
		}
	}
	return Recent{}
}

// Since says of everything in the report what was counted since a baseline.
func (e *Engine) Since(b *Baseline, now time.Time) {
	seconds := int(now.Sub(b.At).Seconds())
	after := func(r, before Recent) *Recent {
		r.less(&before)
		r.Seconds = seconds
		return &r
	}
	for i := range e.Services {
		s := &e.Services[i]
		s.Recent = after(s.sum(), b.services[s.Name])
	}
	for i := range e.Pools {
		p := &e.Pools[i]
		base := b.pools[p.Name]
		p.Recent = after(p.sum(), Recent{Full: base.full})
		for j := range p.Servers {
			s := &p.Servers[j]
			s.Recent = after(s.sum(), base.server(s.Addr, j))
		}
	}
}
