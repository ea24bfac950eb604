package engine

import (
	"crypto/tls"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/selfsigned"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
	"github.com/carillon-sip/carillon/internal/transport"
)

const (
	// linksPerServer is how many connections a listener has to a server: messages of one Call-ID take one of them.
	linksPerServer = 2
	// maxLinks is how many connections are opened by us at the most.
	maxLinks = 20_000
	// A connection that could not be had is tried again after leastBackoff, and then ever more seldom.
	leastBackoff = 250 * time.Millisecond
	mostBackoff  = 30 * time.Second
	// linksEvery is how often connections to servers are seen to.
	linksEvery = 250 * time.Millisecond
)

// streams is all connections: by their number, and by where they lead.
type streams struct {
	e      *Engine
	mu     sync.RWMutex
	byFlow map[uint64]*stream
	byPeer map[neighbour]*stream // of several to one address the one that came last
	links  map[linkKey]*link
	alias  map[neighbour]*stream // connections of servers, by where these listen: see claim
	next   uint64
	closed bool
}

// neighbour is an address outside, as a listener knows it.
type neighbour struct {
	group *group
	addr  netip.AddrPort
}

// linkKey names a connection of ours.
type linkKey struct {
	neighbour
	slot uint8
}

// link is a connection that we open: it outlives it.
type link struct {
	key    linkKey
	wanted atomic.Bool // it leads to a server of a pool: opened early, and again

	mu     sync.Mutex // guards what follows
	stream *stream    // nil: there is none
	fails  int        // in a row
	after  time.Time  // when it may be tried again
}

func newStreams(e *Engine) *streams {
	return &streams{e: e, byFlow: map[uint64]*stream{}, byPeer: map[neighbour]*stream{}, links: map[linkKey]*link{}, alias: map[neighbour]*stream{}, next: rand.Uint64()}
}

// add gives a connection its number. It reports false when the engine has ended.
func (ss *streams) add(s *stream) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.closed {
		return false
	}
	for s.flow == 0 || ss.byFlow[s.flow] != nil {
		ss.next++
		s.flow = ss.next & token.FlowBits
	}
	ss.byFlow[s.flow] = s
	if s.link == nil {
		ss.byPeer[neighbour{s.group, s.conn.Remote}] = s
	}
	return true
}

func (ss *streams) remove(s *stream) {
	ss.mu.Lock()
	delete(ss.byFlow, s.flow)
	p := neighbour{s.group, s.conn.Remote}
	if ss.byPeer[p] == s {
		delete(ss.byPeer, p)
	}
	if s.server != nil && s.link == nil {
		if k := (neighbour{s.group, s.server.Addr}); ss.alias[k] == s {
			delete(ss.alias, k)
		}
	}
	ss.mu.Unlock()
	if s.link != nil {
		s.link.ended(s, s.conn.Closed() == transport.ConnectFailed)
	}
}

// at is the connection with a number, nil if it is no more.
func (ss *streams) at(flow uint64) *stream {
	ss.mu.RLock()
	s := ss.byFlow[flow]
	ss.mu.RUnlock()
	if s == nil || s.conn.Closed() != transport.NotClosed {
		return nil
	}
	return s
}

// toward finds or opens a connection from a face, which is of a group, to an address: one that came from there, or one of ours. nil: there is
// none, and it is too early to try again.
func (ss *streams) toward(f *snapshot.Face, g *group, to netip.AddrPort, order uint64, server *snapshot.Server) *stream {
	k := linkKey{neighbour{g, to}, 0}
	if server != nil {
		k.slot = uint8(order % linksPerServer)
	}
	ss.mu.RLock()
	s, l := ss.byPeer[k.neighbour], ss.links[k]
	ss.mu.RUnlock()
	if s != nil && server == nil && s.conn.Closed() == transport.NotClosed {
		return s
	}
	if l == nil {
		if l = ss.link(k, server != nil); l == nil {
			return nil
		}
	}
	return l.get(ss, f, server, false)
}

// link makes a link. Those to strangers, who may make us open any number, leave room for those to servers.
func (ss *streams) link(k linkKey, server bool) *link {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	l := ss.links[k]
	if l == nil && (len(ss.links) < maxLinks/2 || server && len(ss.links) < maxLinks) && !ss.closed {
		l = &link{key: k}
		ss.links[k] = l
	}
	return l
}

// get gives the connection of a link, which it opens if there is none. early says that nobody waits for it.
func (l *link) get(ss *streams, f *snapshot.Face, server *snapshot.Server, early bool) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != nil && l.stream.conn.Closed() == transport.NotClosed {
		return l.stream
	}
	if server != nil {
		if a := ss.aliasOf(l.key.neighbour); a != nil {
			return a
		}
	}
	now := time.Now()
	if now.Before(l.after) && (early || l.fails > 1) {
		return nil
	}
	g := l.key.group
	if server != nil {
		l.wanted.Store(true)
	}
	s := &stream{e: ss.e, group: g, link: l, server: server}
	s.conn = transport.NewDial(f.Addr(), l.key.addr, ss.configToward(g, server), g.stream.Options(), g.stream.Counters())
	if !ss.add(s) {
		s.conn.Close(transport.ListenerClosed)
		return nil
	}
	l.stream = s
	ss.e.wg.Go(s.run)
	return s
}

// configToward is TLS with a server; with anybody else whose address was given it is taken for what it says it is.
func (ss *streams) configToward(g *group, server *snapshot.Server) *tls.Config {
	switch {
	case g.key.Transport != sip.TLS:
		return nil
	case server != nil && server.Pool.TLS != nil:
		return server.Pool.TLS.Toward(server.Host(), server.Addr.Addr())
	}
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
}

func (l *link) opened() {
	l.mu.Lock()
	l.fails, l.after = 0, time.Time{}
	l.mu.Unlock()
}

// ended notes that a connection is no more, and how soon there may be another.
func (l *link) ended(s *stream, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == s {
		l.stream = nil
	}
	if failed || s.conn.Closed() == transport.HandshakeFailed || s.conn.Closed() == transport.BadCertificate || s.conn.Closed() == transport.NotTLS {
		l.fails++
	}
	wait := min(leastBackoff<<min(l.fails, 10), mostBackoff)
	l.after = time.Now().Add(wait/2 + rand.N(wait/2+1))
}

// serversOf are the servers, of all pools of a listener's service, that what comes there goes to by streams.
func serversOf(ln *snapshot.Listener) iter.Seq[*snapshot.Server] {
	return func(yield func(*snapshot.Server) bool) {
		for _, p := range ln.Service.Pools() {
			if !p.Auto && !p.Toward(ln.Key.Transport).Stream() {
				continue
			}
			for _, sv := range p.Servers {
				if !yield(sv) {
					return
				}
			}
		}
	}
}

// tend opens connections to servers early, and again, and forgets links that lead nowhere any more.
func (ss *streams) tend() {
	live := ss.e.live.Load()
	wanted := map[linkKey]bool{}
	for _, ln := range live.snap.Listeners {
		if ln.Egress {
			continue // what comes at an egress is no request for servers
		}
		for sv := range serversOf(ln) {
			f := ln.FaceToward(sv)
			if sv.Pool.Auto && f != nil && !f.Transport.Stream() {
				f = ln.FaceOver(sv)
			}
			if f == nil || !f.Transport.Stream() || !sv.Usable() {
				continue
			}
			g := live.groups[f.Out.Index]
			for slot := range uint8(linksPerServer) {
				k := linkKey{neighbour{g, sv.Addr}, slot}
				if wanted[k] {
					continue
				}
				wanted[k] = true
				if l := ss.link(k, true); l != nil {
					l.get(ss, f, sv, true)
				}
			}
		}
	}
	ss.forget(wanted)
}

// forget takes links out that nobody wants, once there is no connection and it is no matter when there was one.
func (ss *streams) forget(wanted map[linkKey]bool) {
	var idle []*link
	ss.mu.RLock()
	for k, l := range ss.links {
		if !wanted[k] {
			idle = append(idle, l)
		}
	}
	ss.mu.RUnlock()
	now := time.Now()
	for _, l := range idle {
		l.wanted.Store(false)
		l.mu.Lock() // before that of all: a connection is added while its link is held
		if l.stream == nil && now.After(l.after) {
			ss.mu.Lock()
			if ss.links[l.key] == l {
				delete(ss.links, l.key)
			}
			ss.mu.Unlock()
		}
		l.mu.Unlock()
	}
}

// closeGroup closes the connections of a group; nil: all there are.
func (ss *streams) closeGroup(g *group) {
	ss.mu.Lock()
	ss.closed = ss.closed || g == nil
	var all []*stream
	for _, s := range ss.byFlow {
		if g == nil || s.group == g {
			all = append(all, s)
		}
	}
	ss.mu.Unlock()
	for _, s := range all {
		s.conn.Close(transport.ListenerClosed)
	}
}

// accept serves the connections that come to a group.
func (g *group) accept(e *Engine) {
	for {
		c, err := g.stream.Accept()
		if err != nil {
			return
		}
		if l := e.listenerOf(g); l == nil || l.Egress && !l.Service.HasHost(c.Remote.Addr()) {
			c.Close(transport.NotAServer)
			continue
		}
		s := &stream{e: e, conn: c, group: g}
		if !e.streams.add(s) {
			c.Close(transport.ListenerClosed)
			return
		}
		e.wg.Go(s.run)
	}
}

// secure gives listeners of TLS what they show, and all of it the keys of tickets.
func (e *Engine) secure(l *live) {
	keys := e.ticketKeys(time.Now())
	for _, s := range l.snap.Services {
		if s.TLS != nil && s.TLS.Tickets {
			s.TLS.Config.SetSessionTicketKeys(keys)
		}
	}
	for i, ln := range l.snap.Listeners {
		g := l.groups[i]
		if g.stream == nil || ln.Key.Transport != sip.TLS {
			continue
		}
		switch t := ln.Service.TLS; {
		case t != nil:
			g.stream.SetTLS(t.Config)
		case ln.Service.TLSToServers() != nil && len(ln.Service.TLSToServers().Config.Certificates) > 0:
			g.stream.SetTLS(&tls.Config{Certificates: ln.Service.TLSToServers().Config.Certificates, MinVersion: tls.VersionTLS12})
		default:
			g.stream.SetTLS(e.anonymous(g))
		}
	}
}

// anonymous is what servers see that connect to a service without a certificate: one that we made, and make anew before it ends.
func (e *Engine) anonymous(g *group) *tls.Config {
	now := time.Now()
	if e.ownTLS != nil && selfsigned.Good(e.ownTLS.Certificates[0].Leaf, now) {
		return e.ownTLS
	}
	certPEM, keyPEM, err := selfsigned.MakeAt(now, "carillon", nil, []net.IP{g.bound.Addr().AsSlice()})
	if err != nil {
		e.log.Error("no certificate could be made", "error", err)
		return e.ownTLS
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		e.log.Error("the certificate that was made is not one", "error", err)
		return e.ownTLS
	}
	e.ownTLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return e.ownTLS
}

// ticketLife is how long a key seals session tickets; it opens them for as long again.
const ticketLife = 24 * time.Hour

// ticketKeys are those of now, of the time before, and of the time to come, in which another engine's clock may be.
func (e *Engine) ticketKeys(now time.Time) [][32]byte {
	age := uint64(now.Unix()) / uint64(ticketLife/time.Second)
	return [][32]byte{e.sealer.TicketKey(age), e.sealer.TicketKey(age - 1), e.sealer.TicketKey(age + 1)}
}
