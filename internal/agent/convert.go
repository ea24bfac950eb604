package agent

import (
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/metric"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/transport"
)

// Convert turns what an engine knows of itself into its report.
func Convert(st *engine.Status, reg report.Registration) *report.Engine {
	out := &report.Engine{Registration: reg, At: st.At, Engines: []string{reg.Name}, Transactions: st.Transactions, Calls: st.Calls,
		Services: make([]report.Service, 0, len(st.Services)), Pools: make([]report.Pool, 0, len(st.Pools))}
	pools := map[string]*engine.PoolStatus{}
	for i := range st.Pools {
		pools[st.Pools[i].Name] = &st.Pools[i]
		out.Pools = append(out.Pools, convertPool(&st.Pools[i], reg.Name))
	}
	for i := range st.Services {
		out.Services = append(out.Services, convertService(&st.Services[i], pools[st.Services[i].Pool], reg.Name))
	}
	return out
}

func convertService(s *engine.ServiceStatus, pool *engine.PoolStatus, name string) report.Service {
	out := report.Service{Name: s.Name, Oper: serviceOper(s, pool), Pool: s.Pool, Transactions: s.Transactions, Calls: s.Calls,
		TransactionsFull: s.TransactionsFull, CallsFull: s.CallsFull, Requests: s.Requests, Responses: s.Responses, Answers: s.Answers,
		Reasons: s.Reasons, Faults: s.Faults, Latency: latency(s.Latency), Engines: []string{name}, Listeners: []report.Listener{}}
	if g := s.Group; g != nil {
		out.Group = &report.Group{Name: g.Name, Priority: g.Priority, Deactivated: g.Deactivated}
		for _, m := range g.Members {
			out.Group.Members = append(out.Group.Members, report.Member(m))
		}
	}
	for _, l := range s.Listeners {
		if l.Egress {
			continue
		}
		r := report.Listener{Engine: name, Addr: l.Addr, Transport: strings.ToLower(l.Transport.String()), Workers: l.Workers, Conns: conns(l.Conns)}
		if c := l.Conns; c != nil {
			r.RxPackets, r.TxPackets, r.RxBytes, r.TxBytes = c.In, c.Out, c.InBytes, c.OutBytes
		}
		for i := range l.Sockets {
			k := &l.Sockets[i]
			r.RxPackets += k.In
			r.TxPackets += k.Out
			r.RxBytes += k.InBytes
			r.TxBytes += k.OutBytes
			r.RxDropped += k.KernelDrops
		}
		out.Listeners = append(out.Listeners, r)
	}
	return out
}

func conns(c *transport.ConnStats) *report.Conns {
	if c == nil {
		return nil
	}
	out := &report.Conns{Open: c.Open, Accepted: c.Accepted, Opened: c.Opened, Handshakes: c.Handshakes, Resumed: c.Resumed, Closed: map[string]uint64{}}
	for r, n := range c.Closed {
		if n > 0 {
			out.Closed[transport.Reason(r).String()] = n
		}
	}
	return out
}

func latency(s *metric.Snapshot) report.Latency {
	if s == nil {
		return report.Latency{}
	}
	return report.Latency{Count: s.Count, SumUS: s.SumNS / 1000, P50US: uint64(s.QuantileNS(.5) / 1000), P99US: uint64(s.QuantileNS(.99) / 1000)}
}

// serviceOper is the state of a virtual service: that of its pool, unless it has no sockets or takes no traffic.
func serviceOper(s *engine.ServiceStatus, pool *engine.PoolStatus) report.Oper {
	switch {
	case s.Error != "" && len(s.Listeners) == 0:
		return report.Oper{State: report.Down, Reason: []string{s.Error}, Code: "SYSERR_VS_LISTEN"}
	case !s.Traffic:
		return report.Oper{State: report.Disabled, Reason: []string{"traffic_enabled is false: new calls are answered 503"}}
	case pool == nil:
		return report.Oper{State: report.Down, Reason: []string{"it has no pool"}}
	}
	oper := poolOper(pool)
	if s.Group != nil && s.Group.Up {
		oper = report.Oper{State: report.Up}
	}
	if s.Group != nil && s.Group.Deactivated {
		oper.Reason = append(oper.Reason, "a priority above "+s.Group.Priority+" went down and is held back by deactivate_primary_pool_on_down")
	}
	if s.Error != "" {
		oper.Reason = append(oper.Reason, "runs as it was before the last change: "+s.Error)
	}
	return oper
}

func poolOper(p *engine.PoolStatus) report.Oper {
	switch {
	case p.State == "disabled":
		return report.Oper{State: report.Disabled, Reason: []string{"the pool is disabled"}}
	case p.State == "up":
		return report.Oper{State: report.Up}
	case p.Reason == "min_servers_up":
		return report.Oper{State: report.Down, Reason: []string{"fewer servers are up than min_servers_up asks for"}, Code: "MIN_SERVERS_UP"}
	case p.Total == 0:
		return report.Oper{State: report.Down, Reason: []string{"the pool has no servers"}}
	}
	return report.Oper{State: report.Down, Reason: []string{"no server is up"}}
}

func convertPool(p *engine.PoolStatus, name string) report.Pool {
	out := report.Pool{Name: p.Name, Oper: poolOper(p), Algorithm: p.Algorithm, Total: p.Total, Enabled: p.Enabled, Up: p.Up, MinServersUp: p.MinServersUp,
		RetriesRefused: p.RetriesRefused, Full: p.Full, Servers: make([]report.Server, 0, len(p.Servers))}
	for i := range p.Servers {
		s := &p.Servers[i]
		r := report.Server{Name: s.Name, Addr: s.Addr, Oper: serverOper(s), State: s.State, Ratio: s.Ratio, RampPercent: s.RampPercent, CallsUp: s.CallsUp, HashShare: s.HashShare, DrainUntil: s.DrainUntil,
			Requests: s.Requests, Responses: s.Responses, Failovers: s.Failovers, OpenTransactions: s.OpenTransactions, Calls: s.Calls,
			Latency: report.Latency{Count: s.Finals, SumUS: uint64(s.LatencySum.Microseconds()), P50US: uint64(s.LatencyP50.Microseconds()), P99US: uint64(s.LatencyP99.Microseconds())}}
		for j := range s.Health.Monitors {
			r.Monitors = append(r.Monitors, convertMonitor(&s.Health.Monitors[j], name))
		}
		out.Servers = append(out.Servers, r)
	}
	return out
}

func serverOper(s *engine.ServerStatus) report.Oper {
	out := report.Oper{Changed: report.At(s.Since), Code: s.Health.Reason.String()}
	switch s.State {
	case "up", "backoff":
		out.State = report.Up
	case "ejected":
		out.State, out.Code = report.Down, "INLINE_HEALTH_MONITOR"
	case "draining", "disabled":
		out.State, out.Code = report.Disabled, "SERVER_DISABLED"
	default:
		out.State = report.Down
		if s.Health.State == health.Unknown {
			out.State = report.Initializing
		}
	}
	if s.State != "up" || s.Reason != "SUCCESS" {
		out.Reason = []string{s.State + ": " + s.Reason}
	}
	return out
}

func convertMonitor(m *health.MonitorStatus, name string) report.Monitor {
	out := report.Monitor{Engine: name, Name: m.Name, Type: typeWord(m.Type), Port: m.Port, State: m.State.String(), Code: m.Reason.String(), Detail: m.Detail,
		Rise: m.Rise, Fall: m.Fall, Checks: m.Checks, FailedChecks: m.Failed, CurrFailedChecks: m.Fall,
		AvgMS: ms(m.LatencyAvg), MinMS: ms(m.LatencyMin), MaxMS: ms(m.LatencyMax), RecentMS: ms(m.LatencyLast)}
	for _, c := range m.Counts {
		out.Counts = append(out.Counts, report.CodeCount{Type: c.Code.String(), Count: c.Count})
	}
	for i, t := range m.Transitions {
		switch i {
		case 0:
			out.Changed = report.At(t.At)
		case 1:
			out.Changed2 = report.At(t.At)
		case 2:
			out.Changed3 = report.At(t.At)
		}
	}
	return out
}

func typeWord(t health.Type) string {
	b, err := t.MarshalText()
	if err != nil {
		return "HEALTH_MONITOR_UNKNOWN"
	}
	return string(b)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
