package proxy

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// The soft state of a service in the form in which another process takes it over: numbers, little-endian. Servers are told by
// their handle, listeners by a number; who reads has the list of both. Times need no change: both processes count from one
// moment. A change here is another handover.Version.
//
//	number of pins    each: key 8, expires 4, server 4, tried 3*4, sent 4, method 1, attempt 1, again 1, flags 1
//	number of calls   each: key 8, expires 4, server 4, other end 4, bits 4
//	requests stored   their number, and each: key of the pin 8, the request
//	requests that we send again until something is heard: their number, and each: key 8, began 8, next 8, step 1, an
//	                  INVITE 1, the request
//
// A request is listener 4, flow 8, port 2, length of the address that it came from 1, the address, the same of the address that
// it was sent to, its length 4, its octets.

const (
	pinSize  = 36
	callSize = 24
)

// Held is how many entries the tables have, for Reserve elsewhere.
func (s *State) Held() (transactions, calls int) { return s.pins.Len(), s.calls.Len() }

// Reserve makes room for so many entries, in a state that nobody uses yet.
func (s *State) Reserve(transactions, calls int) {
	s.pins.Reserve(transactions)
	s.calls.Reserve(calls)
}

// StateSize is how many octets AppendState needs about, for so many entries.
func StateSize(transactions, calls int) int {
	return transactions*(pinSize+1024) + calls*callSize + 1<<10
}

// AppendState appends the state, what has expired and is not yet forgotten, too. Nobody may change it meanwhile.
func (s *State) AppendState(b []byte, listener func(*snapshot.Listener) uint32) []byte {
	le := binary.LittleEndian
	var kept []uint64 // keys of pins whose requests are stored
	var refs []uint32
	at := len(b)
	b = le.AppendUint32(b, 0)
	s.pins.Each(func(key uint64, p pin, expires aged.Tick) {
		b = appendEntry(b, key, expires, p.server)
		for _, h := range p.tried {
			b = le.AppendUint32(b, uint32(h))
		}
		b = append(le.AppendUint32(b, p.sentTick), byte(p.method), p.attempt, p.again, byte(p.flags))
		if p.open() && p.replay != 0 {
			kept, refs = append(kept, key), append(refs, p.replay)
		}
	})
	le.PutUint32(b[at:], uint32(len(b)-at-4)/pinSize)
	at = len(b)
	b = le.AppendUint32(b, 0)
	s.calls.Each(func(key uint64, c call, first aged.Tick) {
		b = appendEntry(b, key, first, c.server)
		b = le.AppendUint32(le.AppendUint32(b, uint32(c.other)), uint32(c.bits))
	})
	le.PutUint32(b[at:], uint32(len(b)-at-4)/callSize)
	at, n := len(b), uint32(0)
	b = le.AppendUint32(b, 0)
	for i, key := range kept {
		if with := s.replay.appendStored(b, key, refs[i], listener); len(with) > len(b) {
			b, n = with, n+1
		}
	}
	le.PutUint32(b[at:], n)
	return s.repeats.append(b, listener)
}

func (q *repeats) append(b []byte, listener func(*snapshot.Listener) uint32) []byte {
	le := binary.LittleEndian
	q.mu.Lock()
	defer q.mu.Unlock()
	b = le.AppendUint32(b, uint32(len(q.byKey)))
	for _, r := range q.byKey {
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, r.key), uint64(r.began)), uint64(r.next))
		b = append(b, byte(r.step), truth(r.invite))
		b = appendRequest(b, &r.Stored, listener)
	}
	return b
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendEntry(b []byte, key uint64, expires aged.Tick, server snapshot.Handle) []byte {
	le := binary.LittleEndian
	return le.AppendUint32(le.AppendUint32(le.AppendUint64(b, key), uint32(expires)), uint32(server))
}

// appendStored appends a request that is still stored.
func (r *replay) appendStored(b []byte, key uint64, ref uint32, listener func(*snapshot.Listener) uint32) []byte {
	g := r.ring(key)
	g.Lock()
	defer g.Unlock()
	s := g.find(key, ref)
	if s == nil {
		return b
	}
	b = binary.LittleEndian.AppendUint64(b, key)
	return appendRequest(b, &Stored{Data: g.buf[s.off : s.off+s.n], From: s.from, Local: s.local, Listener: s.listener, Flow: s.flow}, listener)
}

func appendRequest(b []byte, s *Stored, listener func(*snapshot.Listener) uint32) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(le.AppendUint32(b, listener(s.Listener)), s.Flow)
	b = le.AppendUint16(b, s.From.Port())
	for _, a := range []netip.Addr{s.From.Addr(), s.Local} {
		octets := a.AsSlice()
		b = append(append(b, byte(len(octets))), octets...)
	}
	return append(le.AppendUint32(b, uint32(len(s.Data))), s.Data...)
}

// Heir says what the numbers of another process mean in this one.
type Heir struct {
	Snapshot *snapshot.Snapshot
	Servers  []snapshot.Handle    // by the other's handle; 0: there is none
	Listener []*snapshot.Listener // by the other's number; nil: there is none
	NowNS    int64
}

func (h *Heir) server(n uint32) snapshot.Handle {
	if int(n) < len(h.Servers) {
		return h.Servers[n]
	}
	return 0
}

// Taken is how much was taken over.
type Taken struct{ Transactions, Known, Up, Requests, Repeats int }

// TakeState fills the state, which is new, with what AppendState wrote elsewhere. What is of servers that are gone is left out.
// It reports false for octets that are not of this form; what came before is then there.
func (s *State) TakeState(b []byte, h *Heir) (n Taken, ok bool) {
	rows, b, ok := table(b, pinSize)
	for ; len(rows) > 0; rows = rows[pinSize:] {
		if s.takePin(rows, h) {
			n.Transactions++
		}
	}
	if !ok {
		return n, false
	}
	rows, b, ok = table(b, callSize)
	for ; len(rows) > 0; rows = rows[callSize:] {
		s.takeCall(rows, h, &n)
	}
	left, b, ok := count(b, ok)
	for ; ok && left > 0; left-- {
		var stored bool
		if b, stored, ok = s.takeStored(b, h); stored {
			n.Requests++
		}
	}
	left, b, ok = count(b, ok)
	for ; ok && left > 0; left-- {
		var kept bool
		if b, kept, ok = s.takeRepeat(b, h); kept {
			n.Repeats++
		}
	}
	return n, ok && len(b) == 0
}

func count(b []byte, before bool) (n uint32, rest []byte, ok bool) {
	if !before || len(b) < 4 {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint32(b), b[4:], true
}

// table gives the rows of a table and what stands behind it.
func table(b []byte, size int) (rows, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int(binary.LittleEndian.Uint32(b)) * size
	if b = b[4:]; n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

func entry(row []byte) (key uint64, expires aged.Tick) {
	return binary.LittleEndian.Uint64(row), aged.Tick(binary.LittleEndian.Uint32(row[8:]))
}

func (s *State) takePin(row []byte, h *Heir) bool {
	le := binary.LittleEndian
	sv := h.Snapshot.Server(h.server(le.Uint32(row[12:])))
	if sv == nil {
		return false
	}
	key, expires := entry(row)
	p := s.pins.Restore(key, expires)
	if p == nil {
		return false
	}
	*p = pin{server: sv.Handle, sentTick: le.Uint32(row[28:]), method: sip.Method(row[32]), attempt: row[33], again: row[34], flags: pinFlags(row[35])}
	for i := range p.tried {
		p.tried[i] = h.server(le.Uint32(row[16+4*i:]))
	}
	if p.open() {
		sv.State.OpenTransactions.Add(1)
	}
	return true
}

func (s *State) takeCall(row []byte, h *Heir, n *Taken) {
	le := binary.LittleEndian
	sv := h.Snapshot.Server(h.server(le.Uint32(row[12:])))
	if sv == nil {
		return
	}
	key, first := entry(row)
	c := s.calls.Restore(key, first)
	if c == nil {
		return
	}
	*c = call{server: sv.Handle, other: aged.Tick(le.Uint32(row[16:])), bits: callBits(le.Uint32(row[20:]))}
	if c.bits&callKnown != 0 {
		sv.State.Calls.Add(1)
		s.known.Add(1)
		n.Known++
	}
	if c.bits&callUp != 0 {
		sv.State.Dialogs.Add(1)
		n.Up++
	}
}

// takeStored stores a request for its pin.
func (s *State) takeStored(b []byte, h *Heir) (rest []byte, stored, ok bool) {
	if len(b) < 8 {
		return nil, false, false
	}
	key := binary.LittleEndian.Uint64(b)
	req, rest, ok := takeRequest(b[8:], h)
	if !ok || req.Listener == nil {
		return rest, false, ok
	}
	shard := s.pins.Shard(key)
	shard.Lock()
	defer shard.Unlock()
	p, _ := shard.Find(key)
	if p == nil {
		return rest, false, true
	}
	p.replay = s.replay.save(key, &Input{Msg: &sip.Msg{Buf: req.Data}, From: req.From, Local: req.Local, Listener: req.Listener, Flow: req.Flow, NowNS: h.NowNS})
	return rest, true, true
}

// takeRepeat keeps a request to be sent again when its time comes.
func (s *State) takeRepeat(b []byte, h *Heir) (rest []byte, kept, ok bool) {
	le := binary.LittleEndian
	if len(b) < 26 {
		return nil, false, false
	}
	r := &repeat{key: le.Uint64(b), began: int64(le.Uint64(b[8:])), next: int64(le.Uint64(b[16:])), step: int(b[24]), invite: b[25] != 0}
	r.Stored, rest, ok = takeRequest(b[26:], h)
	if !ok || r.Listener == nil || r.step >= repeatSteps {
		return rest, false, ok
	}
	r.Data = slices.Clone(r.Data)
	s.repeats.restore(r)
	return rest, true, true
}

// takeRequest takes a request; its listener is nil if that is no more.
func takeRequest(b []byte, h *Heir) (s Stored, rest []byte, ok bool) {
	le := binary.LittleEndian
	if len(b) < 14 {
		return s, nil, false
	}
	if n := le.Uint32(b); int(n) < len(h.Listener) {
		s.Listener = h.Listener[n]
	}
	s.Flow = le.Uint64(b[4:])
	port := le.Uint16(b[12:])
	from, b, ok1 := takeAddr(b[14:])
	local, b, ok2 := takeAddr(b)
	if !ok1 || !ok2 || len(b) < 4 || int(le.Uint32(b)) > len(b)-4 {
		return s, nil, false
	}
	n := le.Uint32(b)
	s.From, s.Local, s.Data = netip.AddrPortFrom(from, port), local, b[4:4+n]
	return s, b[4+n:], true
}

func takeAddr(b []byte) (a netip.Addr, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return a, nil, false
	}
	n := int(b[0])
	if n == 0 {
		return a, b[1:], true
	}
	a, ok = netip.AddrFromSlice(b[1 : 1+n])
	return a, b[1+n:], ok
}
