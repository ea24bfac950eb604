package controller

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// Preview tells what a change would do. Nothing of it is done.
type Preview struct {
	Accepted        bool             `json:"accepted"`
	Code            Code             `json:"-"`
	Error           string           `json:"error,omitempty"`    // why it would be refused
	Warnings        []string         `json:"warnings,omitempty"` // what it would leave that is likely not meant
	Revision        int64            `json:"revision"`           // of what it was held against
	Objects         []AuditObject    `json:"objects"`
	VirtualServices []PreviewService `json:"virtualservices"`
	Pools           []PreviewPool    `json:"pools"`
}

// PreviewService is what a change does to one virtual service.
type PreviewService struct {
	Name    string   `json:"name"`
	Effects []string `json:"effects"`           // in words
	Opens   []string `json:"opens,omitempty"`   // addresses that it would listen on
	Closes  []string `json:"closes,omitempty"`  // and those that it would no more; they linger for 32 s
	Calls   int      `json:"calls"`             // that it has now
	Touched int      `json:"touched,omitempty"` // of them, those that lose their way in
}

// PreviewPool is what a change does to one pool.
type PreviewPool struct {
	Name     string   `json:"name"`
	Effects  []string `json:"effects"`
	Added    []string `json:"added,omitempty"` // servers, by address
	Removed  []string `json:"removed,omitempty"`
	Changed  []string `json:"changed,omitempty"`
	KeysKept float64  `json:"keys_kept"` // share of the keys of the hash that stay where they are, 0 to 1
	Moves    []Move   `json:"moves,omitempty"`
	Calls    int64    `json:"calls"`   // up now
	Touched  int64    `json:"touched"` // of them, those whose server would take no more calls, or is gone
	// Without the largest server:
	Largest      string  `json:"largest,omitempty"`       // by its share of new calls
	LargestShare float64 `json:"largest_share,omitempty"` // that it has of them
	LeftServers  int     `json:"left_servers"`            // that would take new calls if it then failed
	LeftRatio    float64 `json:"left_ratio"`              // of the sum of ratios, what those have
	MoreLoad     float64 `json:"more_load"`               // by how much their load would grow: 0.5 is half as much again
}

// Move is a share of the keys that goes from one server to another.
type Move struct {
	From  string  `json:"from"`
	To    string  `json:"to"`
	Share float64 `json:"share"` // of all keys, 0 to 1
}

// maxMoves is how many moves are told of; the largest come first.
const maxMoves = 50

// previewKeys is how many keys are looked up to see which move.
const previewKeys = 1 << 16

// Preview works out what a change would do, against what is configured and what the engines tell.
func (c *Controller) Preview(ctx context.Context, who Who, ops ...Op) (*Preview, error) {
	out := &Preview{Objects: []AuditObject{}, VirtualServices: []PreviewService{}, Pools: []PreviewPool{}}
	v := c.View()
	out.Revision = v.Revision
	var p *plan
	err := who.may(v, ops) // first: what a plan finds wrong tells of objects
	if err == nil {
		p, err = c.plan(ctx, v, who, ops)
	}
	if err != nil {
		if CodeOf(err) == 0 {
			return nil, err
		}
		out.Error, out.Code = err.Error(), CodeOf(err)
		return out, nil
	}
	out.Accepted = true
	for _, ch := range p.changes {
		out.Objects = append(out.Objects, p.auditObject(ch))
	}
	out.Warnings = freshWarnings(p)
	reports, _ := c.Reports(ctx) // of an engine that does not answer nothing is known
	known := report.Merge(reports)
	before, after := p.before.Set(), p.after.Set()
	for _, name := range names(before.Pools, after.Pools, func(o *object.Pool) string { return o.Name }) {
		was, is := before.Pool(name), after.Pool(name)
		if !samePool(was, is) {
			out.Pools = append(out.Pools, c.previewPool(name, was, is, known))
		}
	}
	for _, name := range names(before.VirtualServices, after.VirtualServices, func(o *object.VirtualService) string { return o.Name }) {
		if s := previewService(name, p, known); s != nil {
			out.VirtualServices = append(out.VirtualServices, *s)
		}
	}
	return out, nil
}

// freshWarnings are those that the change brings.
func freshWarnings(p *plan) []string {
	var known, out []string
	for _, w := range p.before.Set().Warnings() {
		known = append(known, w.Error())
	}
	slices.Sort(known)
	for _, w := range p.after.Set().Warnings() {
		if _, found := slices.BinarySearch(known, w.Error()); !found {
			out = append(out, w.Error())
		}
	}
	return out
}

// names are those of two lists, sorted.
func names[T any](a, b []*T, of func(*T) string) []string {
	var out []string
	for _, list := range [][]*T{a, b} {
		for _, o := range list {
			out = append(out, of(o))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func samePool(a, b *object.Pool) bool {
	return a != nil && b != nil && object.Equal(object.AnyOf(a), object.AnyOf(b))
}

// previewPool compares a pool with what becomes of it. Either may be nil.
func (c *Controller) previewPool(name string, was, is *object.Pool, known *report.Engine) PreviewPool {
	out := PreviewPool{Name: name, KeysKept: 1}
	old, now := servers(was), servers(is)
	for addr, sv := range now {
		before, there := old[addr]
		switch {
		case !there:
			out.Added = append(out.Added, addr.String())
		case before.Ratio != sv.Ratio || before.Enabled != sv.Enabled:
			out.Changed = append(out.Changed, fmt.Sprintf("%s: ratio %d to %d, enabled %t to %t", addr, before.Ratio, sv.Ratio, before.Enabled, sv.Enabled))
		}
	}
	for addr := range old {
		if _, stays := now[addr]; !stays {
			out.Removed = append(out.Removed, addr.String())
		}
	}
	slices.Sort(out.Added)
	slices.Sort(out.Removed)
	slices.Sort(out.Changed)
	for _, sv := range poolReport(known, name).Servers {
		out.Calls += sv.Calls
		if s, stays := now[sv.Addr]; !stays || !s.Enabled {
			out.Touched += sv.Calls
		}
	}
	c.moves(&out, was, is)
	withoutLargest(&out, is)
	out.words(was, is)
	return out
}

// servers are those of a pool by address, as far as they are enabled with it.
func servers(p *object.Pool) map[netip.AddrPort]object.Server {
	out := map[netip.AddrPort]object.Server{}
	for i := range poolServers(p) {
		sv := p.Servers[i]
		sv.Enabled = sv.Enabled && p.Enabled
		out[p.ServerAddr(i)] = sv
	}
	return out
}

func poolServers(p *object.Pool) []object.Server {
	if p == nil {
		return nil
	}
	return p.Servers
}

// moves looks up many keys before and after.
func (c *Controller) moves(out *PreviewPool, was, is *object.Pool) {
	old, now := c.place(was), c.place(is)
	if old == nil || now == nil {
		return
	}
	count := map[Move]int{}
	kept := 0
	for i := range uint64(previewKeys) {
		key := i * (math.MaxUint64/previewKeys + 1)
		from, to := old(key), now(key)
		if from == to {
			kept++
			continue
		}
		count[Move{From: from, To: to}]++
	}
	out.KeysKept = float64(kept) / previewKeys
	for m, n := range count {
		m.Share = float64(n) / previewKeys
		out.Moves = append(out.Moves, m)
	}
	slices.SortFunc(out.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.From+a.To, b.From+b.To))
	})
	out.Moves = out.Moves[:min(maxMoves, len(out.Moves))]
}

// place gives a function that tells where a pool by consistent hash puts a key; nil for other pools. Servers that are
// disabled take none.
func (c *Controller) place(p *object.Pool) func(uint64) string {
	if p == nil || p.LBAlgorithm != object.ConsistentHash || len(p.Servers) == 0 {
		return nil
	}
	snap, err := snapshot.Compile(&object.Set{Pools: []*object.Pool{p}}, nil, snapshot.Env{Sealer: token.New(c.secret)}, 1)
	if err != nil || len(snap.Pools) != 1 {
		return nil
	}
	view := snap.Pools[0].View.Load()
	if view.Selectable() == 0 {
		return func(uint64) string { return "nobody" }
	}
	return func(key uint64) string {
		i := view.Pick(key, nil)
		if i < 0 {
			return "nobody"
		}
		return view.Server(i).Addr.String()
	}
}

// withoutLargest works out what is left when the server with the largest share fails.
func withoutLargest(out *PreviewPool, is *object.Pool) {
	total, largest, n := 0, 0, 0
	for addr, sv := range servers(is) {
		if !sv.Enabled {
			continue
		}
		n++
		total += sv.Ratio
		if sv.Ratio > largest || sv.Ratio == largest && addr.String() < out.Largest {
			largest, out.Largest = sv.Ratio, addr.String()
		}
	}
	if n == 0 {
		out.Largest = ""
		return
	}
	out.LargestShare = float64(largest) / float64(total)
	out.LeftServers, out.LeftRatio = n-1, 1-out.LargestShare
	if n > 1 {
		out.MoreLoad = float64(largest) / float64(total-largest)
	}
	if min := is.MinServersUp; min > 0 && n-1 < min {
		out.LeftServers, out.LeftRatio, out.MoreLoad = 0, 0, 0 // the pool would count as down
	}
}

// words tells the pool's change to people.
func (out *PreviewPool) words(was, is *object.Pool) {
	say := func(format string, args ...any) { out.Effects = append(out.Effects, fmt.Sprintf(format, args...)) }
	switch {
	case was == nil:
		say("is new, with %d servers", len(is.Servers))
	case is == nil:
		say("is gone; %d calls were on it", out.Calls)
		return
	default:
		if len(out.Added)+len(out.Removed)+len(out.Changed) > 0 {
			say("servers: %d added, %d removed, %d changed", len(out.Added), len(out.Removed), len(out.Changed))
		}
		if was.LBAlgorithm != is.LBAlgorithm || was.LBAlgorithmHash != is.LBAlgorithmHash {
			say("the algorithm becomes %s: new calls may go elsewhere, those that are known stay", is.LBAlgorithm)
		}
		if moved := 1 - out.KeysKept; moved > 0 {
			say("%.1f %% of the keys move", 100*moved)
		}
		say("%d of %d live calls are on servers that take no more, or are gone", out.Touched, out.Calls)
	}
	switch {
	case out.Largest == "":
		say("no server would take calls: every new one is answered 503")
	case out.LeftServers == 0:
		say("if %s then fails, nothing is left", out.Largest)
	default:
		say("if %s then fails, %d servers are left with %.0f %% more load each", out.Largest, out.LeftServers, 100*out.MoreLoad)
	}
}

// previewService compares a virtual service with what becomes of it. Nil: nothing does.
func previewService(name string, p *plan, known *report.Engine) *PreviewService {
	before, after := p.before.Set(), p.after.Set()
	was, is := before.VirtualService(name), after.VirtualService(name)
	out := &PreviewService{Name: name}
	say := func(format string, args ...any) { out.Effects = append(out.Effects, fmt.Sprintf(format, args...)) }
	old, now := listens(before, was), listens(after, is)
	for _, a := range now {
		if !slices.Contains(old, a) {
			out.Opens = append(out.Opens, a)
		}
	}
	for _, a := range old {
		if !slices.Contains(now, a) {
			out.Closes = append(out.Closes, a)
		}
	}
	if known != nil {
		for i := range known.Services {
			if known.Services[i].Name == name {
				out.Calls = known.Services[i].Calls
			}
		}
	}
	switch {
	case was == nil:
		say("is new")
	case is == nil:
		say("is gone")
	default:
		serviceWords(was, is, p, say)
	}
	if len(out.Closes) > 0 {
		say("%d sockets are closed 32 s later, %d opened", len(out.Closes), len(out.Opens))
		if len(now) == 0 {
			out.Touched = out.Calls
		}
	} else if len(out.Opens) > 0 && was != nil {
		say("%d sockets are opened", len(out.Opens))
	}
	if len(out.Effects) == 0 {
		return nil
	}
	return out
}

// serviceWords tells what of a virtual service, or of what it refers to, changes.
func serviceWords(was, is *object.VirtualService, p *plan, say func(string, ...any)) {
	if was.PoolRef != is.PoolRef {
		say("new calls go to Pool/%s instead of Pool/%s; calls that are known by Call-ID are chosen anew", is.PoolRef, was.PoolRef)
	}
	if was.Enabled != is.Enabled || was.TrafficEnabled != is.TrafficEnabled {
		say("enabled %t to %t, traffic_enabled %t to %t", was.Enabled, is.Enabled, was.TrafficEnabled, is.TrafficEnabled)
	}
	record := p.after.Named("VirtualService", catalog.AdminTenant, is.Name)
	for _, ch := range p.changes {
		if ch.Put == nil || ch.Put.Kind() == "VirtualService" || record == nil {
			continue
		}
		for _, ref := range record.Refs() {
			if ref.Value == ch.Put.UUID() {
				say("its %s changes: %s/%s", ref.Path, ch.Put.Kind(), ch.Put.Name())
			}
		}
	}
	if was.PoolRef == is.PoolRef && len(p.changes) > 0 && !object.Equal(object.AnyOf(was), object.AnyOf(is)) {
		say("its own settings change")
	}
}

// listens are the addresses of a virtual service.
func listens(s *object.Set, vs *object.VirtualService) []string {
	var out []string
	if vs == nil {
		return nil
	}
	for _, l := range s.Listens(vs) {
		out = append(out, "udp "+l.Addr.String())
	}
	return out
}

func poolReport(known *report.Engine, name string) report.Pool {
	if known != nil {
		for i := range known.Pools {
			if known.Pools[i].Name == name {
				return known.Pools[i]
			}
		}
	}
	return report.Pool{}
}
