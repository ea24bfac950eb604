package engine

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// watched is what the monitors were told of one pool.
type watched struct {
	pool     *snapshot.Pool
	monitors []health.Monitor
	from     []netip.AddrPort // by server; one for all where they are the same
}

// watch tells the monitors of those of some pools that are not as they were told before, and gives these.
func (e *Engine) watch(snap *snapshot.Snapshot, pools []*snapshot.Pool, set *object.Set) ([]*snapshot.Pool, error) {
	users := usersOf(snap, pools)
	update := map[string][]health.Target{}
	var changed []*snapshot.Pool
	known := map[string][]health.Monitor{}
	for _, p := range pools {
		w := &watched{p, e.monitors(p, snap, set, known), probesFrom(users[p], p)}
		if old := e.watched[p.ID]; old != nil && old.pool == p && slices.Equal(old.monitors, w.monitors) && slices.Equal(old.from, w.from) {
			continue
		}
		update[p.ID] = w.targets()
		e.watched[p.ID] = w
		changed = append(changed, p)
	}
	for id := range e.watched {
		if len(e.watched) > len(snap.Pools) && snap.Pool(id) == nil {
			update[id] = nil
			delete(e.watched, id)
		}
	}
	if len(update) == 0 {
		return nil, nil
	}
	return changed, e.health.Update(update)
}

// usersOf finds for each of some pools the first service that chooses of it.
func usersOf(snap *snapshot.Snapshot, pools []*snapshot.Pool) map[*snapshot.Pool]*snapshot.Service {
	users := make(map[*snapshot.Pool]*snapshot.Service, len(pools))
	for _, p := range pools {
		users[p] = nil
	}
	use := func(p *snapshot.Pool, s *snapshot.Service) {
		if user, asked := users[p]; asked && user == nil {
			users[p] = s
		}
	}
	for _, s := range snap.Services {
		use(s.Pool, s)
		if s.Group != nil {
			for i := range s.Group.Members {
				use(s.Group.Members[i].Pool, s)
			}
		}
	}
	return users
}

// monitors are those of a pool; known is what pools with the same ones have, where no TLS of the pool comes into it.
func (e *Engine) monitors(p *snapshot.Pool, snap *snapshot.Snapshot, set *object.Set, known map[string][]health.Monitor) []health.Monitor {
	key := strings.Join(p.Object.HealthMonitorRefs, "\x00")
	out, ok := known[key]
	if ok {
		return out
	}
	shared := true
	for _, ref := range p.Object.HealthMonitorRefs {
		hm := set.HealthMonitor(ref)
		if hm == nil {
			continue
		}
		m, err := health.MonitorFrom(hm, snap.ProbeTLS(hm, p))
		if err != nil {
			e.log.Error("health monitor left out", "monitor", ref, "error", err)
			continue
		}
		shared = shared && m.TLS == nil
		out = append(out, m)
	}
	if shared {
		known[key] = out
	}
	return out
}

// targets are the servers of the pool, for the monitors.
func (w *watched) targets() []health.Target {
	p := w.pool
	out := make([]health.Target, len(p.Servers))
	for i, sv := range p.Servers {
		out[i] = health.Target{Pool: p.ID, Server: sv.Addr, Name: sv.Host(), Monitors: w.monitors, MinUp: p.Object.MinHealthMonitorsUp,
			Paused: !p.Object.Enabled || !p.Object.Servers[i].Enabled && p.Object.GracefulDisableTimeoutMin == 0}
		switch len(w.from) {
		case 0:
		case 1:
			out[i].Local = w.from[0]
		default:
			out[i].Local = w.from[i]
		}
	}
	return out
}

// probesFrom are the addresses from which the servers of a pool are probed: those that
// the requests of a service which uses it come from, on a port of the monitor's own.
func probesFrom(s *snapshot.Service, p *snapshot.Pool) []netip.AddrPort {
	if s == nil || len(s.Listeners) == 0 || len(p.Servers) == 0 {
		return nil
	}
	if l := s.Listeners[0]; len(s.Listeners) == 1 && !l.Wildcard() {
		return []netip.AddrPort{netip.AddrPortFrom(l.Addr.Addr(), 0)} // all servers are of its family
	}
	out := make([]netip.AddrPort, len(p.Servers))
	for i, sv := range p.Servers {
		out[i] = probeFrom(s, sv)
	}
	return out
}

func probeFrom(s *snapshot.Service, sv *snapshot.Server) netip.AddrPort {
	for _, l := range s.Listeners {
		if f := l.FaceToward(sv); f != nil {
			return netip.AddrPortFrom(f.Addr(), 0)
		}
	}
	return netip.AddrPort{}
}
