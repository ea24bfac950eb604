package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// recentCall is the idle time below which a call counts as recent.
const recentCall = time.Minute

// Calls lists Call-IDs that are known or up. Of their texts the table holds keyed hashes: a trace knows those that it has seen.
// Its shards are locked one after the other, for some 10 µs at a time.
func (e *Engine) Calls(q report.CallsQuery) *report.Calls {
	l := e.live.Load()
	now := e.tick(time.Now())
	out := &report.Calls{Servers: []report.ServerCalls{}, Results: []report.Call{}}
	for i, s := range l.snap.Services {
		if len(q.Services) > 0 && !slices.Contains(q.Services, s.Name) || q.Pool != "" && q.Pool != s.Pool.Name && q.Pool != s.Pool.ID {
			continue
		}
		c := callLister{q: &q, out: out, service: s, snap: l.snap, e: e, at: map[*snapshot.Server]int{}, idle: map[*snapshot.Server]time.Duration{}, known: map[*snapshot.Server]int{}}
		l.states[i].EachCall(now, l.snap, c.add)
		c.finish()
	}
	slices.SortFunc(out.Results, func(a, b report.Call) int { return cmp.Compare(a.Key, b.Key) })
	if len(out.Results) > q.Limit {
		out.Results = out.Results[:q.Limit]
		if q.Limit > 0 {
			out.Next = out.Results[q.Limit-1].Key
		}
	}
	return out
}

// callLister collects the calls of one service.
type callLister struct {
	q       *report.CallsQuery
	out     *report.Calls
	e       *Engine
	service *snapshot.Service
	snap    *snapshot.Snapshot
	at      map[*snapshot.Server]int
	idle    map[*snapshot.Server]time.Duration
	known   map[*snapshot.Server]int // calls that idle is the sum of
}

func (c *callLister) add(k proxy.CallTrace, hash uint64) {
	sv := k.Server
	if sv == nil || !serverFits(sv, c.q.Server) || c.q.Up && k.UpMS == 0 {
		return
	}
	left := time.Duration(max(k.LeftMS, k.UpMS)) * time.Millisecond
	idle := max(time.Duration(c.service.CallTimeoutMS)*time.Millisecond-time.Duration(k.LeftMS)*time.Millisecond, 0)
	i, known := c.at[sv]
	if !known {
		i = len(c.out.Servers)
		c.at[sv] = i
		c.out.Servers = append(c.out.Servers, report.ServerCalls{Service: c.service.Name, Pool: sv.Pool.Name, Server: sv.Name, Addr: sv.Addr})
	}
	o := &c.out.Servers[i]
	o.Calls++
	if k.UpMS > 0 {
		o.Up++
	}
	if k.LeftMS > 0 {
		c.idle[sv] += idle
		c.known[sv]++
		if idle < recentCall {
			o.Recent++
		}
	}
	o.LeftS = max(o.LeftS, int(left.Seconds())+1)
	c.out.Count++
	key := c.service.Name + "/" + fmt.Sprintf("%016x", hash)
	if key <= c.q.After {
		return
	}
	call := report.Call{Key: key, Service: c.service.Name, Pool: sv.Pool.Name, Server: sv.Name, Addr: sv.Addr, Up: k.UpMS > 0,
		AgeS: float64(k.AgeMS) / 1000, LeftS: left.Seconds(), Seen: c.e.seenCalls.Get(hash)}
	if k.LeftMS > 0 {
		call.IdleS = new(idle.Seconds())
	}
	if k.Method != sip.Unknown || k.LeftMS > 0 {
		call.Method = k.Method.String()
	}
	c.out.Results = append(c.out.Results, call)
	if len(c.out.Results) > 2*c.q.Limit+1024 { // a page is wanted, and there may be a million
		slices.SortFunc(c.out.Results, func(a, b report.Call) int { return strings.Compare(a.Key, b.Key) })
		c.out.Results = c.out.Results[:c.q.Limit+1]
	}
}

func (c *callLister) finish() {
	for sv, i := range c.at {
		c.out.Servers[i].MeanS = int(c.idle[sv].Seconds()) / max(1, c.known[sv])
	}
}

// serverFits reports whether a server is the one with that name, address, or address and port; any if it is empty.
func serverFits(sv *snapshot.Server, text string) bool {
	if text == "" || sv.Name == text || sv.Addr.String() == text {
		return true
	}
	a, err := netip.ParseAddr(text)
	return err == nil && a == sv.Addr.Addr()
}
