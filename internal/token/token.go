// Package token seals small facts into the few octets that a SIP message lets a
// proxy keep in it, and opens them again: the branch of our Via, and the user
// part of our Record-Route URI.
//
// A token is one AES block of 16 octets, written as 22 characters of base64url
// (all of them legal in a branch and in a user part: RFC 3261 section 25.1). The
// plaintext carries at least 56 bits that whoever presents the token must be able
// to name again (a keyed hash of the client's Via, or of the Call-ID), so a block
// that was not made with our key opens to something that does not fit: AES is the
// seal, the binding is the check. Nothing in a token depends on time, so that a
// retransmission carries the same octets (RFC 3261 section 16.11).
package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"

	"github.com/dchest/siphash"
)

// Len is the length of a token as text, in characters.
const Len = 22

// Sealer holds the keys of one installation. All engines that share a secret
// open each other's tokens. It is immutable and safe for concurrent use.
type Sealer struct {
	block          cipher.Block
	call0, call1   uint64 // Call-ID hash
	via0, via1     uint64 // binding of a branch
	place0, place1 uint64 // placement of servers, see Placement
	tickets        [32]byte
}

// New derives all keys from a secret of any length (32 octets of random are right).
func New(secret []byte) *Sealer {
	derive := func(label string) [32]byte {
		h := sha256.New()
		h.Write([]byte("carillon/1 " + label + "\x00"))
		h.Write(secret)
		return [32]byte(h.Sum(nil))
	}
	seal, call, via, place := derive("seal"), derive("call-id"), derive("via"), derive("placement")
	block, err := aes.NewCipher(seal[:16])
	if err != nil {
		panic("token: " + err.Error()) // a key of 16 octets is never refused
	}
	le := binary.LittleEndian.Uint64
	return &Sealer{block: block,
		call0: le(call[0:]), call1: le(call[8:]),
		via0: le(via[0:]), via1: le(via[8:]),
		place0: le(place[0:]), place1: le(place[8:]), tickets: derive("tickets")}
}

// Placement is the secret of consistent hashing and of server identities.
func (s *Sealer) Placement() [2]uint64 { return [2]uint64{s.place0, s.place1} }

// CallHash is the keyed 64-bit hash of a Call-ID, octets as received and
// case-sensitive (RFC 3261 section 20.8). It places calls, finds known ones and
// orders messages; being keyed, no caller can aim at a server with it.
func (s *Sealer) CallHash(callID []byte) uint64 { return siphash.Hash(s.call0, s.call1, callID) }

// Bind is the keyed hash of what identifies a transaction at the next hop.
func (s *Sealer) Bind(material []byte) Binding {
	lo, hi := siphash.Hash128(s.via0, s.via1, material)
	return Binding{Lo: lo, Hi: uint16(hi)}
}

// Hash24 is a keyed 24-bit hash, for tags and Request-URIs inside tokens.
func (s *Sealer) Hash24(text []byte) uint32 {
	return uint32(siphash.Hash(s.via1, s.call0, text)) & 0xffffff
}

const (
	kindBranch = 0xB0 // low nibble: attempt
	kindRoute  = 0xA0 // low bit: the dialog was opened from the servers' side
	kindFlow   = 0xC0 // low nibble: mark of the route token beside it
	kindPath   = 0xD0 // a flow without a dialog; low bit: a UDP address in the place of a connection, next: outbound
	kindMask   = 0xF0
)

// Binding is 80 bits of keyed hash: of the client's Via as it will come back in
// responses (RFC 3261 section 18.2.2: where the response will go is thereby sealed).
type Binding struct {
	Lo uint64
	Hi uint16
}

// MaxAttempt is the highest attempt a branch can carry.
const MaxAttempt = 15

// Branch is what our branch says of a transaction.
type Branch struct {
	Attempt  uint8  // 0 first choice, then one more for each server tried: RFC 3261 16.6 (7) wants another branch
	Listener uint16 // listener the request came in on: the response leaves from there (RFC 3581 section 4)
	Salt     uint32 // 24 bits; only of RFC 2543 clients, whose Via tells transactions apart too little
	Binding  Binding
}

// AppendBranch appends the token of b. dst needs room for 38 octets to stay
// where it is.
func (s *Sealer) AppendBranch(dst []byte, b *Branch) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, 22)...)[:n+22]
	p := dst[n : n+16 : n+16]
	p[0] = kindBranch | b.Attempt&15
	binary.BigEndian.PutUint16(p[1:], b.Listener)
	p[3], p[4], p[5] = byte(b.Salt>>16), byte(b.Salt>>8), byte(b.Salt)
	binary.BigEndian.PutUint16(p[6:], b.Binding.Hi)
	binary.BigEndian.PutUint64(p[8:], b.Binding.Lo)
	s.block.Encrypt(p, p)
	encode(dst[n:])
	return dst
}

// OpenBranch opens a token; it reports false if the text is none of ours. The
// caller compares b.Binding with that of the response it holds: until then the
// token proves nothing. scratch is overwritten.
func (s *Sealer) OpenBranch(text []byte, scratch *[16]byte) (b Branch, ok bool) {
	if !decode(text, scratch) {
		return b, false
	}
	p := scratch[:]
	s.block.Decrypt(p, p)
	if p[0]&kindMask != kindBranch {
		return b, false
	}
	b.Attempt = p[0] & 15
	b.Listener = binary.BigEndian.Uint16(p[1:])
	b.Salt = uint32(p[3])<<16 | uint32(p[4])<<8 | uint32(p[5])
	b.Binding.Hi = binary.BigEndian.Uint16(p[6:])
	b.Binding.Lo = binary.BigEndian.Uint64(p[8:])
	return b, true
}

// Route is what our Record-Route says of a dialog.
type Route struct {
	Server     uint64 // identity of the server, 40 bits
	Opener     uint32 // Hash24 of the From tag of the request that opened the dialog: tells the direction of later ones
	FromServer bool   // a server opened the dialog
}

// ServerBits is the mask of a server identity inside a token.
const ServerBits = 1<<40 - 1

// AppendRoute appends the token of r, bound to a Call-ID by its CallHash.
func (s *Sealer) AppendRoute(dst []byte, r *Route, call uint64) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, 22)...)[:n+22]
	p := dst[n : n+16 : n+16]
	binary.BigEndian.PutUint64(p[8:], call)
	p[0] = kindRoute
	if r.FromServer {
		p[0] |= 1
	}
	p[1] = byte(r.Server >> 32)
	binary.BigEndian.PutUint32(p[2:], uint32(r.Server))
	p[6], p[7], p[8] = byte(r.Opener>>16), byte(r.Opener>>8), byte(r.Opener)
	s.block.Encrypt(p, p)
	encode(dst[n:])
	return dst
}

// OpenRoute opens a token presented with the Call-ID that hashes to call. It
// reports false for a foreign, forged or borrowed token. scratch is overwritten.
func (s *Sealer) OpenRoute(text []byte, call uint64, scratch *[16]byte) (r Route, ok bool) {
	if !decode(text, scratch) {
		return r, false
	}
	p := scratch[:]
	s.block.Decrypt(p, p)
	const low56 = 1<<56 - 1
	if p[0]&^1 != kindRoute || binary.BigEndian.Uint64(p[8:])&low56 != call&low56 {
		return r, false
	}
	r.FromServer = p[0]&1 != 0
	r.Server = uint64(p[1])<<32 | uint64(binary.BigEndian.Uint32(p[2:]))
	r.Opener = uint32(p[6])<<16 | uint32(p[7])<<8 | uint32(p[8])
	return r, true
}

// Flow is the way to a client: the connection that it is on. It stands beside the Route of the same pass.
type Flow struct {
	Number   uint64 // of the connection, 48 bits
	Listener uint16 // face that the client sees
}

// FlowBits is the mask of a number of a connection inside a token.
const FlowBits = 1<<48 - 1

// mark is four bits by which a Flow is known to be of the same pass as a Route.
func (r *Route) mark() byte {
	x := r.Server&ServerBits ^ uint64(r.Opener)<<7
	if r.FromServer {
		x = ^x
	}
	x *= 0x9e3779b97f4a7c15
	return byte(x >> 60)
}

// AppendFlow appends the token of f, bound to a Call-ID by its CallHash and beside r.
func (s *Sealer) AppendFlow(dst []byte, f *Flow, r *Route, call uint64) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, 22)...)[:n+22]
	p := dst[n : n+16 : n+16]
	binary.BigEndian.PutUint64(p[8:], call)
	putFlow(p, kindFlow|r.mark(), f)
	s.block.Encrypt(p, p)
	encode(dst[n:])
	return dst
}

// putFlow writes kind and flow into the first nine octets.
func putFlow(p []byte, kind byte, f *Flow) {
	p[0] = kind
	binary.BigEndian.PutUint16(p[1:], uint16(f.Number>>32))
	binary.BigEndian.PutUint32(p[3:], uint32(f.Number))
	binary.BigEndian.PutUint16(p[7:], f.Listener)
}

func getFlow(p []byte) Flow {
	return Flow{Number: uint64(binary.BigEndian.Uint16(p[1:]))<<32 | uint64(binary.BigEndian.Uint32(p[3:])), Listener: binary.BigEndian.Uint16(p[7:])}
}

// OpenFlow opens a token of AppendFlow, presented with the Call-ID that hashes to call. scratch is overwritten. The
// caller compares beside with the Route of the pass: see Beside.
func (s *Sealer) OpenFlow(text []byte, call uint64, scratch *[16]byte) (f Flow, beside byte, ok bool) {
	if !decode(text, scratch) {
		return f, 0, false
	}
	p := scratch[:]
	s.block.Decrypt(p, p)
	const low56 = 1<<56 - 1
	if p[0]&kindMask != kindFlow || binary.BigEndian.Uint64(p[8:])&low56 != call&low56 {
		return f, 0, false
	}
	return getFlow(p), p[0] & 15, true
}

// Beside reports whether a Flow that was opened is of the same pass as r.
func (r *Route) Beside(mark byte) bool { return r.mark() == mark }

// Path is the way to a client for calls that are yet to come (RFC 3327, RFC 5626): its connection, or over UDP its IPv4
// address.
type Path struct {
	Flow
	UDP      bool // Number is an IPv4 address and a port
	Outbound bool // the client asked for RFC 5626: when the connection is gone, there is no other way
}

// AppendPath appends the token of p. Nothing but the key binds it: who has it may call that client by it.
func (s *Sealer) AppendPath(dst []byte, p *Path) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, 22)...)[:n+22]
	b := dst[n : n+16 : n+16]
	clear(b[9:])
	kind := byte(kindPath)
	if p.UDP {
		kind |= 1
	}
	if p.Outbound {
		kind |= 2
	}
	putFlow(b, kind, &p.Flow)
	s.block.Encrypt(b, b)
	encode(dst[n:])
	return dst
}

// OpenPath opens a token of AppendPath. scratch is overwritten.
func (s *Sealer) OpenPath(text []byte, scratch *[16]byte) (p Path, ok bool) {
	if !decode(text, scratch) {
		return p, false
	}
	b := scratch[:]
	s.block.Decrypt(b, b)
	if b[0]&^3 != kindPath || [7]byte(b[9:]) != [7]byte{} {
		return p, false
	}
	return Path{getFlow(b), b[0]&1 != 0, b[0]&2 != 0}, true
}

// AppendVia appends the value of our Via's parameter that says on which connection a request came: its number and a seal
// over it and the branch, so that no server can have its response sent to somebody else. It is no part of the branch,
// for a CANCEL that comes on another connection must have that of its INVITE.
func (s *Sealer) AppendVia(dst []byte, flow uint64, branch []byte) []byte {
	flow &= FlowBits
	for shift := 44; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[flow>>shift&15])
	}
	seal := s.sealVia(flow, branch)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[seal>>shift&15])
	}
	return dst
}

const hexDigits = "0123456789abcdef"

func (s *Sealer) sealVia(flow uint64, branch []byte) uint32 {
	return uint32(siphash.Hash(s.via0^flow, s.via1, branch))
}

// OpenVia reads the value of AppendVia; it reports false if it is none of ours, or of another branch.
func (s *Sealer) OpenVia(text, branch []byte) (flow uint64, ok bool) {
	if len(text) != 20 {
		return 0, false
	}
	var seal uint64
	for i, c := range text {
		d := uint64(c - '0')
		if c >= 'a' && c <= 'f' {
			d = uint64(c-'a') + 10
		} else if c < '0' || c > '9' {
			return 0, false
		}
		if i < 12 {
			flow = flow<<4 | d
		} else {
			seal = seal<<4 | d
		}
	}
	return flow, uint32(seal) == s.sealVia(flow, branch)
}

// TicketKey is the key that TLS session tickets of an age are sealed with: engines that share the secret take up each
// other's sessions.
func (s *Sealer) TicketKey(age uint64) [32]byte {
	h := sha256.New()
	h.Write([]byte("carillon/1 tickets\x00"))
	h.Write(s.tickets[:])
	h.Write(binary.BigEndian.AppendUint64(nil, age))
	return [32]byte(h.Sum(nil))
}
