package engine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/metric"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Sample is the few figures of services, pools and servers that are worth a history. Counters count since the engine
// started. It costs a part of what Status does, and no lock of the message path but those of table shards.
type Sample struct {
	At       time.Time
	Services []ServiceSample
	Pools    []PoolSample
}

// ServiceSample is one virtual service.
type ServiceSample struct {
	ID, Name            string
	RxPackets, RxOctets uint64
	TxPackets, TxOctets uint64
	KernelDrops         uint64
	Requests            MethodClasses
	Responses           Classes // forwarded
	Answers             Classes // of our own
	NewCalls            uint64
	Dropped             uint64 // messages that came to nothing
	Faults              uint64
	Transactions, Calls int
	Latency             *metric.Snapshot // nil: no response yet
}

// Classes counts responses by class: 1xx at 0 to 6xx at 5.
type Classes [6]uint64

// MethodClasses counts requests: INVITE, REGISTER, OPTIONS and all others.
type MethodClasses [4]uint64

// PoolSample is one pool.
type PoolSample struct {
	ID, Name string
	Enabled  bool
	Up       int
	Servers  []ServerSample
}

// ServerSample is one server.
type ServerSample struct {
	Addr         netip.AddrPort
	Up           bool
	Transactions int64
	Calls        int64
	Counts       *ServerCounts // nil: nothing went there yet, as to most of many
}

// ServerCounts are the counters of a server.
type ServerCounts struct {
	Requests  MethodClasses
	Responses Classes
	Failovers uint64
	Latency   [snapshot.LatencyBuckets]uint64 // as in snapshot.Answers
}

// methodClass is the place of each method in MethodClasses.
var methodClass = func() (t [snapshot.NumMethods]uint8) {
	for m := range t {
		t[m] = 3
	}
	t[sip.Invite], t[sip.Register], t[sip.Options] = 0, 1, 2
	return t
}()

// codeClass is the place of each code in Classes.
var codeClass = func() (t [snapshot.NumCodes]uint8) {
	for c := range t {
		_, class := snapshot.CodeOf(c)
		t[c] = uint8(class - 1)
	}
	return t
}()

// Sample looks at the figures. Its memory is that of spare, an earlier one that nobody looks at any more; nil: there is none.
func (e *Engine) Sample(spare *Sample) *Sample {
	l := e.live.Load()
	s := spare
	if s == nil {
		s = &Sample{}
	}
	s.At, s.Services, s.Pools = time.Now(), sized(s.Services, len(l.snap.Services)), sized(s.Pools, len(l.snap.Pools))
	for i, v := range l.snap.Services {
		sampleService(&s.Services[i], l, v)
	}
	for i, p := range l.snap.Pools {
		samplePool(&s.Pools[i], p)
	}
	return s
}

// sized is a list of n with the memory of another, and with what it held.
func sized[T any](list []T, n int) []T { return slices.Grow(list[:0], n)[:n] }

func sampleService(s *ServiceSample, l *live, v *snapshot.Service) {
	*s = ServiceSample{}
	state := l.states[v.Index]
	s.ID, s.Name, s.Transactions, s.Calls = v.ID, v.Name, state.Transactions(), state.Calls()
	sampleListeners(s, l, v)
	if l.books[v.Index].blank() {
		return // nothing was ever counted, so there is nothing to add up
	}
	var sum []uint64
	sum, s.Latency = l.books[v.Index].total()
	s.NewCalls = sum[atReasons+int(proxy.NewCall)]
	for r := range proxy.NumReasons {
		if r.Dropped() {
			s.Dropped += sum[atReasons+int(r)]
		}
	}
	for m := range snapshot.NumMethods {
		s.Requests[methodClass[m]] += sum[atRequests+m]
	}
	for c := range snapshot.NumCodes {
		s.Responses[codeClass[c]] += sum[atResponses+c]
		s.Answers[codeClass[c]] += sum[atAnswers+c]
	}
	for f := range sip.NumFaults {
		s.Faults += sum[atFaults+f]
	}
}

func sampleListeners(s *ServiceSample, l *live, v *snapshot.Service) {
	for _, ln := range v.Listeners {
		for _, lane := range l.groups[ln.Index].lanes {
			k := lane.sock.Stats()
			s.RxPackets, s.RxOctets = s.RxPackets+k.In, s.RxOctets+k.InBytes
			s.TxPackets, s.TxOctets = s.TxPackets+k.Out, s.TxOctets+k.OutBytes
			s.KernelDrops += k.KernelDrops
		}
	}
}

func samplePool(s *PoolSample, p *snapshot.Pool) {
	view := p.View.Load()
	s.ID, s.Name, s.Enabled, s.Up, s.Servers = p.ID, p.Name, p.Object.Enabled, view.Up(), sized(s.Servers, len(p.Servers))
	for i, sv := range p.Servers {
		o, t := &s.Servers[i], sv.Traffic
		*o = ServerSample{}
		o.Addr, o.Up = sv.Addr, view.Condition(sv.Index)&balance.Up != 0
		o.Transactions, o.Calls = sv.State.OpenTransactions.Load(), sv.State.Calls.Load()
		var requests MethodClasses
		for m := range t.Requests {
			requests[methodClass[m]] += t.Requests[m].Load()
		}
		if requests == (MethodClasses{}) {
			continue // nothing went there, so nothing has come
		}
		o.Counts = &ServerCounts{Requests: requests, Failovers: t.Failovers.Load()}
		a := t.Answers()
		for c := range a.Responses {
			o.Counts.Responses[codeClass[c]] += a.Responses[c].Load()
		}
		for b := range a.Latency {
			o.Counts.Latency[b] = a.Latency[b].Load()
		}
	}
}
