package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/explain"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
)

// Explain tells which way a message would go now, and why. Nothing changes by it.
func (e *Engine) Explain(ctx context.Context, q report.ExplainRequest) (*report.Explanation, error) {
	l, now := e.live.Load(), time.Now()
	return explain.Message(ctx, explain.World{Snapshot: l.snap, States: l.states, Sealer: e.sealer, Names: e.names, Health: e.health,
		Now: now, Tick: e.tick(now), NowNS: int64(now.Sub(e.start)), LookUp: e.resolver.find}, q)
}

// find asks for a host name by itself: what is known of names does not change by it.
func (r *resolver) find(ctx context.Context, host string, port uint16, t sip.Transport, family int) netip.AddrPort {
	if addrs := r.lookup(ctx, host, port, t); len(addrs) > 0 {
		return ofFamily(addrs, family)
	}
	return netip.AddrPort{}
}
