package proxy

import "github.com/carillon-sip/carillon/internal/sip"

// A request that is too long for a datagram goes to a server over TCP, if it takes connections (RFC 3261 18.1.1). It
// is sent so only while one is open: where there is none nobody waits for it to be tried, and it leaves in fragments.

const (
	// mtu is how long a request may leave in a datagram where nobody knows what the path takes.
	mtu = 1300
	// grown is what we put in mostly: a Via, received and rport, one Record-Route.
	grown = 220
	// largeFrom is how long a request is that comes and is too long as it leaves.
	largeFrom = mtu - grown
	// MaxDatagram is the longest request that surely fits into a datagram of IPv4 with what we put in.
	MaxDatagram = 65507 - Growth
)

// TooLong reports whether a request could go nowhere, since all that the service speaks is datagrams.
func TooLong(in *Input) bool {
	speaks := &in.Listener.Service.Speaks
	return len(in.Msg.Buf) > MaxDatagram && in.Msg.IsRequest && !speaks[sip.TCP] && !speaks[sip.TLS]
}

// abandon ends the transaction of a request that goes nowhere.
func (p *Proxy) abandon(r *request) {
	k := key(r.bind, r.salt)
	shard := r.State.pins.Shard(k)
	shard.Lock()
	if pn := shard.Get(k, r.Now); pn != nil && pn.open() {
		if sv := r.Snapshot.Server(pn.server); sv != nil {
			p.giveUp(r.Input, shard, k, pn, sv)
		}
	}
	shard.Unlock()
}
