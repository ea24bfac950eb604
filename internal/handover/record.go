package handover

import "net/netip"

// LateKind is the first octet of a message that comes late: what follows it.
type LateKind uint8

// The kinds of Late.
const (
	LateStream      LateKind = iota + 1 // a connection
	LateUndelivered                     // a Message: From is where it was to go
	LateMessage                         // a Message that nobody has decided about
)

// Stream is a connection, as it is told beside its file. Groups are told by a number that both sides know.
type Stream struct {
	Own           bool // it was opened by us
	Wanted        bool // it is one that is to be there; valid iff Own
	Relay         bool // the file leads to the process that has the connection
	Slot          uint8
	Group         uint32
	Number        uint64
	Remote, Local netip.AddrPort
	Rest          []byte // what has come and is no whole message yet
	Unsent        []byte
	Underway      []uint64 // requests that went there lately
}

// Append appends it.
func (s *Stream) Append(w *Writer) {
	var flags uint8
	for i, on := range []bool{s.Own, s.Wanted, s.Relay} {
		if on {
			flags |= 1 << i
		}
	}
	w.U8(flags)
	w.U8(s.Slot)
	w.U32(s.Group)
	w.U64(s.Number)
	w.Addr(s.Remote)
	w.Addr(s.Local)
	w.Bytes(s.Rest)
	w.Bytes(s.Unsent)
	w.U32(uint32(len(s.Underway)))
	for _, k := range s.Underway {
		w.U64(k)
	}
}

// Stream takes one.
func (r *Reader) Stream() Stream {
	flags := r.U8()
	s := Stream{Own: flags&1 != 0, Wanted: flags&2 != 0, Relay: flags&4 != 0, Slot: r.U8(), Group: r.U32(), Number: r.U64(),
		Remote: r.Addr(), Local: r.Addr(), Rest: r.Bytes(), Unsent: r.Bytes()}
	for n := r.U32(); n > 0 && !r.Failed; n-- {
		s.Underway = append(s.Underway, r.U64())
	}
	return s
}

// Datagram is octets that came to, or were to go from, a group.
type Datagram struct {
	Group  uint32
	From   netip.AddrPort
	Local  netip.Addr
	Stream uint64 // number of the connection it came on; 0: none
	Data   []byte
}

// Append appends it.
func (d *Datagram) Append(w *Writer) {
	w.U32(d.Group)
	w.Addr(d.From)
	w.Addr(netip.AddrPortFrom(d.Local, 0))
	w.U64(d.Stream)
	w.Bytes(d.Data)
}

// Datagram takes one.
func (r *Reader) Datagram() Datagram {
	return Datagram{Group: r.U32(), From: r.Addr(), Local: r.Addr().Addr(), Stream: r.U64(), Data: r.Bytes()}
}
