package engine

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Limits of the resolver.
const (
	resolverQueue    = 256              // messages that wait for a name
	waitingPerName   = 64               // messages that wait for one name
	resolverParallel = 16               // look-ups under way
	resolverTimeout  = 3 * time.Second  // of one name
	nameLife         = 30 * time.Second // the system's resolver tells no TTL
	noNameLife       = 5 * time.Second
	maxNames         = 10000
)

// resolver looks up host names in Route and Request-URI, which workers must not
// wait for, and then has the messages that wait decided about anew.
type resolver struct {
	e       *Engine
	queue   chan waiting
	answers chan answer
	waiting atomic.Int32         // messages that wait
	pending map[string][]waiting // by name key; only run touches it
	worker  *worker              // decides and sends; it has no socket to read
	proxies [2]*proxy.Proxy      // of worker, by family of the listener
	lookup  func(ctx context.Context, host string, port uint16, t sip.Transport) []netip.AddrPort
}

// waiting is a message that waits for a name.
type waiting struct {
	data  []byte
	from  netip.AddrPort
	local netip.Addr
	key   snapshot.Key // of the listener it came in on
	live  *live        // as it was then
	flow  uint64
	host  string
	port  uint16 // 0: none was given
	over  sip.Transport
}

type answer struct {
	key   string
	addrs []netip.AddrPort
}

func newResolver(e *Engine) *resolver {
	w := newWorker(e, nil, new(lane))
	w.gear = new(gear)
	w.flight.calls = &w.gear.calls
	return &resolver{e: e, queue: make(chan waiting, resolverQueue), answers: make(chan answer, resolverParallel),
		pending: map[string][]waiting{}, worker: w, lookup: lookup,
		proxies: [2]*proxy.Proxy{proxy.New(e.sealer, e.names[0]), proxy.New(e.sealer, e.names[1])}}
}

// ask hands over the message that a worker has just decided about. It copies, so
// it allocates: names are for the few, and the queue is bounded.
func (r *resolver) ask(w *worker, v *proxy.Verdict) bool {
	q := waiting{data: append([]byte(nil), w.msg.Buf...), from: w.input.From, local: w.input.Local, key: w.input.Listener.Key, live: w.live, flow: w.input.Flow, over: v.Lookup,
		host: strings.ToLower(string(v.Host)), port: uint16(v.Status)}
	r.waiting.Add(1)
	select {
	case r.queue <- q:
		return true
	default:
		r.waiting.Add(-1)
		return false
	}
}

func (r *resolver) run(ctx context.Context) {
	slots := make(chan struct{}, resolverParallel)
	t := time.NewTicker(noNameLife / 5)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-r.queue:
			key := string(proxy.NameKey(nil, []byte(q.host), q.port, q.over))
			first := len(r.pending[key]) == 0
			if len(r.pending[key]) >= waitingPerName {
				r.waiting.Add(-1)
				r.serve(&q)
				r.worker.tally.reason(proxy.ResolverFull)
				continue
			}
			r.pending[key] = append(r.pending[key], q)
			if !first {
				continue
			}
			r.e.wg.Go(func() {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				addrs := r.lookup(ctx, q.host, q.port, q.over)
				<-slots
				select {
				case r.answers <- answer{key, addrs}:
				case <-ctx.Done():
				}
			})
		case now := <-t.C:
			r.forget(now)
		case a := <-r.answers:
			r.learn(a)
			for _, q := range r.pending[a.key] {
				r.again(&q)
			}
			delete(r.pending, a.key)
		}
	}
}

// learn makes an answer known to all workers, and forgets what is old.
func (r *resolver) learn(a answer) {
	now := time.Now()
	for f, known := range r.e.names {
		names := maps.Clone(known.All())
		maps.DeleteFunc(names, func(_ string, n proxy.Name) bool { return now.After(n.Expires) })
		if len(names) >= maxNames {
			clear(names)
		}
		n := proxy.Name{Expires: now.Add(noNameLife)}
		if len(a.addrs) > 0 {
			n = proxy.Name{Addr: ofFamily(a.addrs, f), Expires: now.Add(nameLife)}
		}
		names[a.key] = n
		known.Replace(names)
	}
}

// ofFamily is the first address of a family, or the first one if there is none.
func ofFamily(addrs []netip.AddrPort, f int) netip.AddrPort {
	for _, a := range addrs {
		if a.Addr().Is4() == (f == 0) {
			return a
		}
	}
	return addrs[0]
}

// forget drops names that have expired, so that they are asked for again. Only run
// calls it: names have one writer.
func (r *resolver) forget(now time.Time) {
	for _, known := range r.e.names {
		if len(known.All()) == 0 {
			continue
		}
		names := maps.Clone(known.All())
		maps.DeleteFunc(names, func(_ string, n proxy.Name) bool { return !now.Before(n.Expires) })
		known.Replace(names)
	}
}

// again has a message decided about anew, its name being known.
func (r *resolver) again(q *waiting) {
	defer r.waiting.Add(-1)
	w := r.worker
	defer r.e.desks.give(r.e.desks.take()) // who decides about messages has one
	if f := r.e.farewell.Load(); f != nil {
		f.message(q)
		return
	}
	r.serve(q)
	w.tellTime()
	w.input.From, w.input.Local, w.input.Flow = q.from, q.local, q.flow
	w.msg.Parse(q.data)
	v := w.proxy.Request(&w.input)
	w.flight.clear()
	w.act(&v, report.TraceMessageCame)
	w.flush()
	if len(w.news) > 0 {
		w.hear(true)
	}
}

// serve makes the worker one of the listener that a message came in on, as that is
// now; if it is gone, as it was.
func (r *resolver) serve(q *waiting) {
	w, l := r.worker, r.e.live.Load()
	ln := l.snap.Listener(q.key)
	if ln == nil {
		l, ln = q.live, q.live.snap.Listener(q.key)
	}
	w.serve(l, ln)
	w.proxy = r.proxies[q.key.Family()]
	b := l.books[ln.Service.Index]
	if b.names == nil {
		b.names = b.begin()
	}
	w.book, w.tally = b, b.names
}

// lookup finds the addresses of a SIP host for a transport: SRV if no port was given,
// then A and AAAA (RFC 3263 section 4.2).
func lookup(ctx context.Context, host string, port uint16, t sip.Transport) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, resolverTimeout)
	defer cancel()
	var res net.Resolver
	if port == 0 {
		if _, srvs, err := res.LookupSRV(ctx, [...]string{"sip", "sip", "sips"}[t], [...]string{"udp", "tcp", "tcp"}[t], host); err == nil {
			var out []netip.AddrPort
			for _, s := range srvs { // in the order of RFC 2782 already
				out = append(out, addrs(ctx, &res, strings.TrimSuffix(s.Target, "."), s.Port)...)
			}
			if len(out) > 0 {
				return out
			}
		}
		port = t.DefaultPort()
	}
	return addrs(ctx, &res, host, port)
}

func addrs(ctx context.Context, res *net.Resolver, host string, port uint16) []netip.AddrPort {
	ips, err := res.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	var out []netip.AddrPort
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return out
}
