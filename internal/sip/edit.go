package sip

import "slices"

// MaxSplices is how many changes an Edit holds: more than any walk of ours through a proxy makes.
const MaxSplices = 32

// splice replaces del octets at offset at by text, a text of the caller, or when that is nil by n octets of the scratch.
type splice struct {
	at, del uint32
	from, n uint32
	text    []byte
}

// Edit is a list of splices over a message, in order of their offsets. The message and the texts given to it must stay
// as they are until Apply; small texts of its own (numbers, addresses) lie in its scratch. Nothing outside of the
// splices is touched, so the message keeps its bytes. An Edit is used again and again and never allocates.
//
// Splices compose. Texts inserted at one offset keep the order of the calls and come before what replaces the octets
// behind it; what lies inside a deleted span is gone; replacing one span twice keeps the second text.
type Edit struct {
	m       *Msg
	count   int
	used    uint32 // octets of scratch
	full    bool
	routes  routeEdit
	splices [MaxSplices + 1]splice // the last one takes what is too much
	scratch [256]byte
}

// Reset starts over, on m.
func (e *Edit) Reset(m *Msg) {
	e.m = m
	e.count, e.used = 0, 0
	e.full = false
	e.routes = routeEdit{}
}

// Insert puts text in before offset at.
func (e *Edit) Insert(at uint32, text []byte) { e.slot(at, 0).text = text }

// Delete takes s out.
func (e *Edit) Delete(s Span) { e.slot(s.Off, s.End-s.Off) }

// Replace puts text in the place of s.
func (e *Edit) Replace(s Span, text []byte) { e.slot(s.Off, s.End-s.Off).text = text }

// Overflow reports whether there were more splices, or more small texts, than an Edit holds. Then Apply writes nothing.
func (e *Edit) Overflow() bool { return e.full }

// slot makes an empty splice where it belongs. Most edits come in the order of the message, so the search begins at the
// end.
func (e *Edit) slot(at, del uint32) *splice {
	i := e.count
	for i > 0 {
		before := &e.splices[i-1]
		if before.at < at || before.at == at && (before.del == 0 || del > 0) {
			if del > 0 && before.at == at && before.del == del {
				before.text, before.n = nil, 0
				return before
			}
			break
		}
		i--
	}
	if e.count >= MaxSplices {
		e.full = true
		return &e.splices[MaxSplices]
	}
	if i < e.count {
		copy(e.splices[i+1:e.count+1], e.splices[i:e.count])
	}
	e.count++
	s := &e.splices[i]
	s.at, s.del, s.text, s.n = at, del, nil, 0
	return s
}

// note begins a text in the scratch, to be appended to and given to done.
func (e *Edit) note() []byte { return e.scratch[e.used:e.used:len(e.scratch)] }

// done replaces del octets at offset at by the text that was appended to note. A text that did not fit was appended
// elsewhere, and the edit is full.
func (e *Edit) done(at, del uint32, text []byte) {
	n := uint32(len(text))
	if n > uint32(len(e.scratch))-e.used {
		e.full = true
		return
	}
	s := e.slot(at, del)
	s.from, s.n = e.used, n
	e.used += n
}

// Apply appends the edited message to dst, in one pass of copies. It allocates only when dst has no room. After an
// overflow it returns dst as it is: half of an edit is none.
func (e *Edit) Apply(dst []byte) []byte {
	if e.routes.any() {
		e.spliceRoutes()
	}
	if e.full {
		return dst
	}
	if len(e.m.Buf) > cap(dst)-len(dst) {
		dst = slices.Grow(dst, len(e.m.Buf)+len(e.scratch)) // once, and not with each piece
	}
	return e.appendRange(dst, 0, uint32(len(e.m.Buf)))
}

// appendRange appends what the edit makes of the octets from pos to end of the message.
func (e *Edit) appendRange(dst []byte, pos, end uint32) []byte {
	buf := e.m.Buf
	for i := range e.splices[:e.count] {
		s := &e.splices[i]
		if s.at < pos { // inside of what is gone already
			pos = max(pos, s.at+s.del)
			continue
		}
		if s.at > end {
			break
		}
		dst = append(dst, buf[pos:s.at]...)
		if s.n > 0 {
			dst = append(dst, e.scratch[s.from:s.from+s.n]...)
		} else {
			dst = append(dst, s.text...)
		}
		pos = s.at + s.del
	}
	if pos < end {
		dst = append(dst, buf[pos:end]...)
	}
	return dst
}
