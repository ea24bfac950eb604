package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/explain"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/metric"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Status is what the engine knows of itself at one moment. Counters count since
// the engine started.
type Status struct {
	At           time.Time
	Started      time.Time
	Applied      time.Time // when the configuration was last changed
	Revision     uint64
	Transactions int             // open, over all virtual services
	Calls        int             // Call-IDs known
	Services     []ServiceStatus // also those that are not served, see Error
	Pools        []PoolStatus
	Health       health.Stats
}

// ServiceStatus is one virtual service.
type ServiceStatus struct {
	UUID             string
	Name             string
	Pool             string
	Group            *GroupStatus // nil: all new calls go to Pool; else Pool is the one that gets most of them
	Error            string       // why it is not served as it is configured; "" if it is. With Listeners its last good form is served
	Traffic          bool         // traffic_enabled; without it new calls get 503
	Listeners        []ListenerStatus
	Transactions     int
	Calls            int
	TransactionsFull uint64 // not remembered, since max_transactions was reached
	CallsFull        uint64 // likewise max_calls
	Repeats          int    // requests that we send again if nothing comes
	RepeatsFull      uint64 // not kept for that

	Requests  map[string]uint64 // forwarded, by method; others are OTHER
	Responses map[int]uint64    // forwarded, by code; unregistered codes under 1 to 6, their class
	Answers   map[int]uint64    // of our own, by code
	Reasons   map[string]uint64 // every message, by what became of it
	Faults    map[string]uint64 // malformed messages, by fault
	Latency   *metric.Snapshot  // from a request to its final response
}

// ListenerStatus is one listening address.
type ListenerStatus struct {
	Addr      netip.AddrPort
	Transport sip.Transport
	Egress    bool
	Workers   int
	Sockets   []SocketStatus
	Conns     *transport.ConnStats // of streams, else nil
}

// SocketStatus is a socket and how its workers share it.
type SocketStatus struct {
	transport.Stats
	Shared uint64 // batches during which another worker read on
	Waits  uint64 // batches that waited for an earlier one with messages of the same Call-ID
}

// PoolStatus is one pool.
type PoolStatus struct {
	UUID           string
	Name           string
	Algorithm      string
	State          string // "up": takes new calls; "down"; "disabled"
	Reason         string // why it is down: "min_servers_up", or "no_server" that can be picked
	Total          int    // servers
	Enabled        int    // servers that are enabled
	Up             int    // servers that are up, neither disabled nor draining
	MinServersUp   int    // min_servers_up
	RetriesRefused uint64
	MaxConnections int    // max_concurrent_connections_per_server; 0 no limit
	Full           uint64 // requests of new calls that no server got since all had as many open
	Servers        []ServerStatus
}

// ServerStatus is one server.
type ServerStatus struct {
	Name             string
	Addr             netip.AddrPort
	State            string // "up", "down", "draining", "disabled", "backoff", "ejected"; see Reason
	Health           health.ServerStatus
	Since            time.Time // when the monitors or passive health changed their mind last; zero: never
	Reason           string    // of the monitors, or the field by which the server gets no new calls though it is up
	Ratio            int
	DrainUntil       time.Time // when it is disabled for good; zero: it is not draining, or for ever
	RampPercent      int       // of its share that it gets (slow start); 100 mostly
	HashShare        float64   // of the keys, 0 to 1; of a pool that does not hash: the share by ratio
	Requests         map[string]uint64
	Responses        map[int]uint64
	CallsUp          int64         // calls that are up on it, as far as they are seen (Record-Route)
	Drain            *DrainStatus  // nil: it does not drain
	Response         time.Duration // running mean of the times to the first response, 0: none yet
	Unanswered       uint64        // requests without any response, however often they were sent
	Ejections        uint64        // times that passive health took it out
	Failovers        uint64        // transactions taken away from it
	Large            uint64        // requests that took TCP since they were too long for datagrams
	OpenTransactions int64
	Calls            int64
	Finals           uint64 // final responses with a response time
	LatencySum       time.Duration
	LatencyP50       time.Duration
	LatencyP99       time.Duration
	Buckets          [snapshot.LatencyBuckets]uint64 // see snapshot.Traffic
}

// Status looks at everything. It takes no lock of the message path but those of
// table shards, one at a time.
func (e *Engine) Status() Status { return e.Look(Ask{}) }

// Ask says of which servers Look is to tell; the zero value: of all.
type Ask struct {
	NoServers bool
	Pool      string // name or uuid: of those of that pool only
}

// of reports whether servers of a pool are asked for.
func (a *Ask) of(p *snapshot.Pool) bool {
	return a.Pool == p.Name || a.Pool != "" && a.Pool == p.ID || a.Pool == "" && !a.NoServers
}

// Look is Status without the servers that nobody asks for: with 20,000 of them it takes a tenth of the time.
func (e *Engine) Look(ask Ask) Status {
	var known map[drainKey]*health.ServerStatus
	if ask == (Ask{}) {
		known = e.healthOf()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.live.Load()
	st := Status{At: time.Now(), Started: e.began, Applied: e.applied, Revision: l.snap.Revision, Health: e.health.Stats()}
	for i, s := range l.snap.Services {
		ss := e.serviceStatus(l, s, l.states[i])
		if f := e.faults[s.ID]; f != nil {
			ss.Error = f.text
		}
		st.Transactions += ss.Transactions
		st.Calls += ss.Calls
		st.Services = append(st.Services, ss)
	}
	st.Services = append(st.Services, e.notServed(l.snap)...)
	for _, p := range l.snap.Pools {
		st.Pools = append(st.Pools, e.poolStatus(p, known, ask.of(p)))
	}
	for i := range st.Health.Monitors {
		if p := l.snap.Pool(st.Health.Monitors[i].Pool); p != nil {
			st.Health.Monitors[i].Pool = p.Name // it knows pools by their ID
		}
	}
	return st
}

// notServed are the services that are down for a fault.
func (e *Engine) notServed(snap *snapshot.Snapshot) (out []ServiceStatus) {
	if len(e.faults) == 0 {
		return nil
	}
	for i := range e.asked.VirtualServices {
		vs := e.asked.VirtualServices[i]
		if f := e.faults[snapshot.ID(vs.UUID, vs.Name)]; f != nil && f.down {
			out = append(out, ServiceStatus{UUID: vs.UUID, Name: vs.Name, Pool: vs.PoolRef, Error: f.text, Traffic: vs.TrafficEnabled,
				Latency: new(metric.Snapshot)})
		}
	}
	return out
}

// healthOf asks for the health of all servers at once: each question waits for the loop of the monitors, and 10,000 of
// them took longer than all the rest of Status together.
func (e *Engine) healthOf() map[drainKey]*health.ServerStatus {
	all := e.health.Status()
	known := make(map[drainKey]*health.ServerStatus, len(all))
	for i := range all {
		known[drainKey{all[i].Pool, all[i].Server}] = &all[i]
	}
	return known
}

func (e *Engine) serviceStatus(l *live, s *snapshot.Service, state *proxy.State) ServiceStatus {
	b := l.books[s.Index]
	sum, latency := b.total()
	group, pool := groupStatus(s)
	st := ServiceStatus{UUID: s.UUID, Name: s.Name, Pool: pool.Name, Group: group, Traffic: s.Traffic, Transactions: state.Transactions(), Calls: state.Calls(),
		TransactionsFull: b.full[0] + state.TransactionsFull(), CallsFull: b.full[1] + state.CallsFull(),
		Requests: map[string]uint64{}, Responses: map[int]uint64{}, Answers: map[int]uint64{},
		Reasons: map[string]uint64{}, Faults: map[string]uint64{}, Latency: latency}
	st.Repeats, st.RepeatsFull = state.Repeats()
	st.RepeatsFull += b.full[2]
	for _, ln := range s.Listeners {
		g := l.groups[ln.Index]
		ls := ListenerStatus{Addr: ln.Addr, Transport: ln.Key.Transport, Egress: ln.Egress, Workers: len(g.workers)}
		if g.stream != nil {
			st := g.stream.Counters().Read()
			ls.Conns = &st
		}
		for _, l := range g.lanes {
			ls.Sockets = append(ls.Sockets, SocketStatus{l.sock.Stats(), l.shared.Load(), l.waits.Load()})
		}
		st.Listeners = append(st.Listeners, ls)
	}
	for r := range proxy.NumReasons {
		put(st.Reasons, r.String(), sum[atReasons+int(r)])
	}
	for m := range snapshot.NumMethods {
		put(st.Requests, sip.Method(m).String(), sum[atRequests+m])
	}
	for c := range snapshot.NumCodes {
		put(st.Responses, codeKey(c), sum[atResponses+c])
		put(st.Answers, codeKey(c), sum[atAnswers+c])
	}
	for f := range sip.NumFaults {
		put(st.Faults, sip.Fault(f).String(), sum[atFaults+f])
	}
	return st
}

func put[K comparable](m map[K]uint64, k K, n uint64) {
	if n > 0 {
		m[k] += n
	}
}

// codeKey is the status code at a place, or 1 to 6 for the rest of a class.
func codeKey(index int) int {
	status, class := snapshot.CodeOf(index)
	if status == 0 {
		return class
	}
	return status
}

func (e *Engine) poolStatus(p *snapshot.Pool, known map[drainKey]*health.ServerStatus, servers bool) PoolStatus {
	view := p.View.Load()
	st := PoolStatus{UUID: p.Object.UUID, Name: p.Name, Algorithm: string(p.Object.LBAlgorithm), Up: view.Up(), MinServersUp: p.Object.MinServersUp,
		RetriesRefused: p.Budget.Refused(), MaxConnections: p.Object.MaxConnectionsPerServer, Full: view.Full()}
	st.State, st.Reason = poolWords(p, view)
	for _, sv := range p.Object.Servers {
		if sv.Enabled {
			st.Enabled++
		}
	}
	st.Total = len(p.Servers)
	if !servers {
		return st
	}
	shares := view.Shares()
	st.Servers = make([]ServerStatus, 0, len(p.Servers))
	for i, sv := range p.Servers {
		t := sv.Traffic
		var h health.ServerStatus
		if k := known[drainKey{p.ID, sv.Addr}]; k != nil {
			h = *k
			h.Pool = p.Name
		} else if known == nil {
			h, _ = e.health.ServerStatus(p.ID, sv.Addr)
			h.Pool = p.Name
		}
		ss := ServerStatus{Name: sv.Name, Addr: sv.Addr, Health: h, Ratio: p.Object.Servers[i].Ratio, HashShare: shares[i], RampPercent: 100 * int(view.Ramp(sv.Index)) / balance.RampSteps,
			Requests: map[string]uint64{}, Responses: map[int]uint64{}, Failovers: t.Failovers.Load(), Large: t.Large.Load(),
			OpenTransactions: sv.State.OpenTransactions.Load(), Calls: sv.State.Calls.Load(),
			LatencySum: time.Duration(t.Answers().LatencyUS.Load()) * time.Microsecond,
			LatencyP50: time.Duration(t.Answers().LatencyQuantileUS(.5) * 1000), LatencyP99: time.Duration(t.Answers().LatencyQuantileUS(.99) * 1000)}
		ss.State, ss.Reason = explain.State(view.Condition(sv.Index), h, t)
		ss.Since = since(h, t)
		ss.CallsUp = max(0, sv.State.Dialogs.Load())
		ss.Drain = e.drainStatus(p, sv)
		if d := ss.Drain; d != nil && ss.State == "draining" {
			ss.Reason = d.String()
		}
		ss.Response = time.Duration(sv.State.ResponseUS()) * time.Microsecond
		ss.Ejections, ss.Unanswered = t.Ejections.Load(), t.Unanswered.Load()
		ss.DrainUntil = e.drains[drainKey{p.ID, sv.Addr}]
		if limit := int64(st.MaxConnections); ss.State == "up" && limit > 0 && ss.OpenTransactions >= limit {
			ss.Reason = "max_concurrent_connections_per_server"
		}
		if p.Rated && ss.State == "up" && sv.State.Opened.Load() >= int64(p.Object.MaxConnRatePerServer.RateLimiter.Count) {
			ss.Reason = "max_conn_rate_per_server"
		}
		if ss.State == "up" && ss.RampPercent < 100 {
			ss.Reason = fmt.Sprintf("slow start: %d %% of its share", ss.RampPercent)
		}
		for m := range snapshot.NumMethods {
			put(ss.Requests, sip.Method(m).String(), t.Requests[m].Load())
		}
		for c := range snapshot.NumCodes {
			put(ss.Responses, codeKey(c), t.Answers().Responses[c].Load())
		}
		for b := range ss.Buckets {
			ss.Buckets[b] = t.Answers().Latency[b].Load()
			ss.Finals += ss.Buckets[b]
		}
		st.Servers = append(st.Servers, ss)
	}
	return st
}

// poolWords says in words whether a pool takes new calls, and why not.
func poolWords(p *snapshot.Pool, view *balance.Pool) (state, reason string) {
	switch {
	case !p.Object.Enabled:
		return "disabled", ""
	case view.Selectable() > 0:
		return "up", ""
	case view.Short() && view.Up() > 0:
		return "down", "min_servers_up"
	}
	return "down", proxy.NoServer.String()
}

// since is when the monitors or passive health changed their mind last.
func since(h health.ServerStatus, t *snapshot.Traffic) time.Time {
	if at := t.EjectedAt.Load(); at > 0 && time.Unix(0, at).After(h.Since) {
		return time.Unix(0, at)
	}
	return h.Since
}
