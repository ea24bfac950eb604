package handover

import (
	"encoding/binary"
	"net/netip"
)

// Writer puts values into octets.
type Writer struct{ B []byte }

// U8 puts an octet.
func (w *Writer) U8(v uint8) { w.B = append(w.B, v) }

// U32 puts a number.
func (w *Writer) U32(v uint32) { w.B = binary.LittleEndian.AppendUint32(w.B, v) }

// U64 puts a number.
func (w *Writer) U64(v uint64) { w.B = binary.LittleEndian.AppendUint64(w.B, v) }

// Bytes puts octets with their number.
func (w *Writer) Bytes(b []byte) {
	w.U32(uint32(len(b)))
	w.B = append(w.B, b...)
}

// Addr puts an address and port; the zero value, too.
func (w *Writer) Addr(a netip.AddrPort) {
	w.Bytes(a.Addr().AsSlice())
	w.U32(uint32(a.Port()))
}

// Reader takes values out of octets. Once they are not there, all that follow are zero and Failed says so.
type Reader struct {
	B      []byte
	Failed bool
}

func (r *Reader) next(n int) []byte {
	if n > len(r.B) {
		r.Failed, r.B = true, nil
		return nil
	}
	b := r.B[:n]
	r.B = r.B[n:]
	return b
}

// U8 takes an octet.
func (r *Reader) U8() uint8 {
	if b := r.next(1); b != nil {
		return b[0]
	}
	return 0
}

// U32 takes a number.
func (r *Reader) U32() uint32 {
	if b := r.next(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// U64 takes a number.
func (r *Reader) U64() uint64 {
	if b := r.next(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Bytes takes octets, which are those of B.
func (r *Reader) Bytes() []byte { return r.next(int(r.U32())) }

// Addr takes an address and port.
func (r *Reader) Addr() netip.AddrPort {
	a, _ := netip.AddrFromSlice(r.Bytes())
	return netip.AddrPortFrom(a, uint16(r.U32()))
}
