package engine

import (
	"cmp"

	"github.com/carillon-sip/carillon/internal/transport"
)

// limit gives listeners of streams the limits that the objects have now, and the listeners of a service one gate.
// Connections that are there go on by theirs. The caller holds e.mu.
func (e *Engine) limit(l *live) {
	gates := map[string]*transport.Gate{}
	for i, ln := range l.snap.Listeners {
		g := l.groups[i]
		if g.stream == nil {
			continue
		}
		st, s := &ln.Stream, ln.Service
		opt := e.cfg.Stream
		opt.Handshake, opt.Write = cmp.Or(opt.Handshake, st.Handshake), cmp.Or(opt.Write, st.Write)
		g.stream.SetOptions(opt)
		if ln.Egress {
			continue // what comes there comes from servers
		}
		if gates[s.ID] == nil {
			lim := transport.GateLimits{MaxConns: cmp.Or(opt.MaxConns, s.MaxConns), MaxPerSource: cmp.Or(opt.MaxPerSource, st.MaxPerSource), RatePerSource: s.ConnRatePerSource}
			if s.ConnRate.Limited() {
				lim.Rate, lim.Period = s.ConnRate.RateLimiter.Count, s.ConnRate.Period()
			}
			gates[s.ID] = e.gates[s.ID]
			if gates[s.ID] == nil {
				gates[s.ID] = transport.NewGate(lim)
			}
			gates[s.ID].SetLimits(lim)
		}
		g.stream.SetGate(gates[s.ID])
	}
	e.gates = gates
}
