package proxy

import (
	"net/netip"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

// choice is a server for a request, and how it came to be.
type choice struct {
	server  *snapshot.Server
	attempt uint8
	reason  Reason
	suspect *snapshot.Server
}

// inward sends a request to a server of the pool.
func (p *Proxy) inward(r *request) Verdict {
	p.bindRequest(r)
	if r.strict && r.m.NRoute == r.ours {
		// our own URI as Request-URI, and no Route to restore it from: it is for us
		return p.refuse(r.Input, 404, "Not Found", LocalRequestRefused)
	}
	if r.uri.Scheme == sip.SchemeSIPS && !r.svc.Secure(r.Listener.Key.Transport) {
		return p.refuseSIPS(r)
	}
	c := p.place(r)
	if c.server == nil {
		return p.noServer(r)
	}
	return p.sendToServer(r, c)
}

// place finds the server of a request. A transaction that is open stays where it
// is; a new one is opened under the same hold of the lock, so two workers that get
// one request twice agree.
func (p *Proxy) place(r *request) choice {
	k := key(r.bind, r.salt)
	shard := r.State.pins.Shard(k)
	shard.Lock()
	if pn := shard.Get(k, r.Now); pn != nil {
		if c := p.known(r, pn); c.server != nil {
			shard.Unlock()
			p.knowCall(r, c.server, c.reason == FailedOverSilence)
			return c
		}
	}
	if r.m.Method == sip.Ack || r.m.Method == sip.Cancel {
		shard.Unlock()
		return p.choose(r)
	}
	c := p.choose(r)
	if c.server != nil {
		p.pin(r, shard, k, c.server)
	}
	shard.Unlock()
	return c
}

// sendToServer writes the edits of a request that goes to a server.
func (p *Proxy) sendToServer(r *request, c choice) Verdict {
	usual := r.Listener.FaceToward(c.server)
	if usual == nil {
		return p.refuse(r.Input, 500, "No Address For This Server", NoTransport)
	}
	in, face := r.Listener.FaceAt(r.Local), usual
	if !face.Transport.Stream() {
		if f := r.Listener.FaceLarge(c.server); f != nil && r.large {
			face = f
			c.server.Traffic.Large.Add(1)
		} else if len(r.m.Buf) > MaxDatagram {
			p.abandon(r)
			return p.refuse(r.Input, sip.FaultTooLong.Status(), sip.FaultTooLong.String(), BadMessage)
		}
	}
	hop := p.nextHop(r)
	if sv := p.serverNamed(r, hop); hop != r.uri && (sv == nil || sv.Addr != c.server.Addr) {
		hop = r.uri // a Route that leads elsewhere is the server's to follow, and stays as it is
	}
	p.routeEdits(r, hop)
	p.via(face, in, r, c.attempt, aliasTo(face, c.server))
	p.receivedEdit(r)
	p.recordRoute(r, usual, in, &token.Route{Server: c.server.ID, Opener: p.sealer.Hash24(r.m.Bytes(r.m.From.Tag))}, r.clientFlow())
	if r.m.Method == sip.Register && r.svc.Path {
		p.pushPath(r, usual, in)
	}
	p.hops()
	p.repeatTo(r, face, c.reason)
	if r.Again && c.reason != FailedOverSilence {
		c.reason = SentAgain
	}
	return Verdict{Action: Forward, Reason: c.reason, To: c.server.Addr, Face: face, Order: r.call, Server: c.server, Suspect: c.suspect, Pin: key(r.bind, r.salt)}
}

// known is the server of a transaction that is open: a retransmission, a CANCEL or
// an ACK goes where the request went, whatever the pool looks like now. The caller
// holds the pin's shard.
func (p *Proxy) known(r *request, pn *pin) choice {
	c := choice{server: r.Snapshot.Server(pn.server), attempt: pn.attempt, reason: KnownTransaction}
	if r.m.Method == sip.Cancel {
		pn.flags |= pinCancelled
	}
	r.large = r.large || pn.flags&pinLarge != 0
	if c.server != nil && r.m.Method == pn.method {
		if pn.again = min(pn.again+1, 254); pn.again == pn.enough() && pn.mute() {
			c.server.Traffic.Unanswered.Add(1)
		}
		if p.silent(r, pn, c.server) {
			c = p.moveSilent(r, pn, c)
		}
	}
	return c
}

// silent reports whether a retransmitted request shows that its server is lost:
// it has answered nothing, not even 100. An INVITE is answered within 200 ms by a
// server that lives (RFC 3261 17.2.1); other requests may take long
// (RFC 4320 4.1), so there a server that has been heard since gets two more.
func (p *Proxy) silent(r *request, pn *pin, sv *snapshot.Server) bool {
	limit, timeout := r.svc.FailoverRetransmissions, sv.Pool.Reselect.TimeoutMS
	if timeout > 0 {
		if sinceUS(r.NowNS, pn.sentTick) < uint64(timeout)*1000 {
			return false
		}
		limit = 1
	}
	if limit == 0 || pn.again < limit || pn.flags&(pinTrying|pinRinging|pinFinal|pinCancelled) != 0 {
		return false
	}
	if pn.flags&pinInDialog != 0 && !sv.Pool.Shared || int(pn.attempt) >= maxAttempts-1 {
		return false
	}
	heard := aged.Tick(sv.Traffic.Heard.Load())
	alive := heard != 0 && sentAt(r.Input, pn.sentTick).Before(heard)
	return pn.method == sip.Invite || !alive || timeout > 0 || pn.again >= limit+2
}

// moveSilent takes the transaction to the next choice, if the budget allows.
func (p *Proxy) moveSilent(r *request, pn *pin, c choice) choice {
	next := p.next(r, pn)
	if next == nil || !c.server.Pool.Budget.Allow(r.NowNS) {
		pn.again = 0 // ask again after as many more, not with each
		return c
	}
	suspect := c.server
	if pn.again < pn.enough() {
		suspect.Traffic.Unanswered.Add(1)
	}
	p.move(r.Input, pn, suspect, next)
	return choice{server: next, attempt: pn.attempt, reason: FailedOverSilence, suspect: suspect}
}

// next is the next choice for a transaction, or nil: of the pool of its call, then of the others of the group.
func (p *Proxy) next(r *request, pn *pin) *snapshot.Server {
	if int(pn.attempt) >= maxAttempts-1 {
		return nil
	}
	pool := r.svc.PoolOf(r.call)
	if sv := p.nextIn(pool, r, pn); sv != nil {
		return sv
	}
	for _, other := range r.svc.Spill() {
		if other == pool {
			continue
		}
		if sv := p.nextIn(other, r, pn); sv != nil {
			return sv
		}
	}
	return nil
}

func (p *Proxy) nextIn(pool *snapshot.Pool, r *request, pn *pin) *snapshot.Server {
	var tried [maxAttempts]int32
	n := 0
	for i := range pn.attempt {
		if sv := r.Snapshot.Server(pn.tried[i]); sv != nil && sv.Index >= 0 && sv.Pool == pool {
			tried[n] = sv.Index
			n++
		}
	}
	if sv := r.Snapshot.Server(pn.server); sv != nil && sv.Index >= 0 && sv.Pool == pool {
		tried[n] = sv.Index
		n++
	}
	i := pool.View.Load().Pick(p.hashKey(r, pool), tried[:n])
	if i < 0 {
		return nil
	}
	return pool.Servers[i]
}

// move makes next the server of a pin. The caller holds the pin's shard.
func (p *Proxy) move(in *Input, pn *pin, from, next *snapshot.Server) {
	if pn.open() {
		if from != nil {
			from.State.OpenTransactions.Add(-1)
		}
		next.State.OpenTransactions.Add(1)
	}
	if from != nil {
		from.Traffic.Failovers.Add(1)
	}
	pn.tried[pn.attempt] = pn.server
	pn.attempt++
	pn.server, pn.again, pn.sentTick = next.Handle, 0, tick(in.NowNS)
	pn.flags &^= pinTrying | pinBroken
}

// choose finds the server of a request that belongs to no open transaction.
func (p *Proxy) choose(r *request) choice {
	if r.sealed {
		if sv := r.svc.ServerByID(r.token.Server); sv != nil && p.keeps(r, sv) {
			p.knowCall(r, sv, false)
			return choice{server: sv, reason: RouteToken}
		}
	}
	if r.m.To.Tag.Len() > 0 {
		if sv := p.serverNamed(r, p.nextHop(r)); sv != nil && p.keeps(r, sv) {
			p.knowCall(r, sv, false)
			return choice{server: sv, reason: NamedServer}
		}
	}
	return p.chooseByCall(r)
}

// keeps reports whether a request of a dialog stays with its server. It does,
// also if the server is down: only it knows the dialog, and monitors err. Where
// servers share their dialogs another one serves better.
func (p *Proxy) keeps(r *request, sv *snapshot.Server) bool {
	return sv.Usable() || !sv.Pool.Shared
}

// serverNamed is the server of the pool that a URI names.
func (p *Proxy) serverNamed(r *request, u *sip.URI) *snapshot.Server {
	host := u.Host
	if u.Maddr.Len() > 0 {
		host = u.Maddr
	}
	if a, ok := sip.HostAddr(r.m.Bytes(host)); ok {
		return r.svc.ServerAt(netip.AddrPortFrom(a, uriPort(u)))
	}
	return nil
}

// chooseByCall takes the server of a Call-ID that is known, else the one the
// algorithm picks, and remembers it. Two requests of one Call-ID that come at once
// to two workers get one server: what is in the table first counts.
func (p *Proxy) chooseByCall(r *request) choice {
	inDialog := r.m.To.Tag.Len() > 0
	shard := r.State.calls.Shard(r.call)
	shard.Lock()
	defer shard.Unlock()
	if c, first := shard.Find(r.call); c != nil && c.isKnown(*first, r.Now) {
		sv := r.Snapshot.Server(c.server)
		switch {
		case sv == nil || !r.svc.Has(sv.Pool):
		case sv.Usable() && r.svc.Chooses(sv.Pool) || inDialog && !sv.Pool.Shared:
			if sv.Pool.Prolongs || inDialog || sv.State.Condition()&balance.Draining == 0 {
				c.used(first, r.Now+aged.Tick(r.svc.CallTimeoutMS), r.m.Method)
			}
			return choice{server: sv, reason: KnownCall}
		case (sv.Index < 0 || !r.svc.Chooses(sv.Pool)) && sv.State.Condition()&balance.Up != 0:
			// It left the pool, or its pool the service: what may be sent again of a transaction that has ended
			// must find it (16.11), but no such request keeps the call there for longer.
			return choice{server: sv, reason: KnownCall}
		}
	}
	sv := p.pick(r, inDialog || r.m.Method == sip.Ack || r.m.Method == sip.Cancel)
	if sv == nil {
		return choice{}
	}
	r.State.learn(shard, r.call, r.Input, sv, r.Now+aged.Tick(r.svc.CallTimeoutMS), r.m.Method)
	return choice{server: sv, reason: NewCall}
}

// pick finds a server for a request of which nothing is known: in the pool of its call, or where that has none, in the
// others of the group. What belongs to something older asks where that lives.
func (p *Proxy) pick(r *request, older bool) *snapshot.Server {
	pool := r.svc.PoolOf(r.call)
	if sv := p.pickIn(pool, r, older); sv != nil {
		return sv
	}
	for _, other := range r.svc.Spill() {
		if other == pool {
			continue
		}
		if sv := p.pickIn(other, r, older); sv != nil {
			return sv
		}
	}
	return nil
}

func (p *Proxy) pickIn(pool *snapshot.Pool, r *request, older bool) *snapshot.Server {
	view, i := pool.View.Load(), int32(-1)
	if older {
		i = view.Home(p.hashKey(r, pool))
	} else {
		i = view.Pick(p.hashKey(r, pool), nil)
	}
	if i < 0 {
		return nil
	}
	return pool.Servers[i]
}

// knowCall notes that a Call-ID is served by sv; a call that is known already
// stays with its server unless moved says otherwise.
func (p *Proxy) knowCall(r *request, sv *snapshot.Server, moved bool) {
	shard, until := r.State.calls.Shard(r.call), r.Now+aged.Tick(r.svc.CallTimeoutMS)
	shard.Lock()
	if c, first := shard.Find(r.call); c != nil && c.isKnown(*first, r.Now) && (c.server == sv.Handle || !moved) {
		c.used(first, until, r.m.Method)
	} else {
		r.State.learn(shard, r.call, r.Input, sv, until, r.m.Method)
	}
	shard.Unlock()
}

// pin opens a transaction at a server. The caller holds the shard.
func (p *Proxy) pin(r *request, shard *aged.Shard[pin], k uint64, sv *snapshot.Server) {
	life := aged.Tick(transactionMS)
	if r.m.Method == sip.Invite {
		life = inviteMS
	}
	pn, until, old := shard.Put(k)
	if pn == nil {
		return // the table is full, and counts it
	}
	if old { // it has expired
		r.State.settlePin(pn, r.Snapshot)
	}
	*until = r.Now + life
	*pn = pin{server: sv.Handle, sentTick: tick(r.NowNS), replay: r.State.replay.save(k, r.Input), method: r.m.Method}
	if r.m.To.Tag.Len() > 0 {
		pn.flags = pinInDialog
	}
	if r.large {
		pn.flags |= pinLarge
	}
	sv.State.OpenTransactions.Add(1)
	if sv.Pool.Rated {
		sv.State.Opened.Add(1)
	}
	sv.Pool.Budget.Requests(1)
}
