package sip

// MaxSplices is how many changes an Edit holds: more than any walk of ours through a proxy makes.
const MaxSplices = 32

// splice replaces del octets at offset at by text of the caller, or, when that is nil, by n octets of the scratch.
type splice struct {
	at, del uint32
	text    []byte
	from, n uint16
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
	used    int // octets of scratch
	grow    int // octets of all texts
	full    bool
	routes  routeEdit
	splices [MaxSplices]splice
	scratch [256]byte
}

// Reset starts over, on m.
func (e *Edit) Reset(m *Msg) {
	e.m = m
	e.count, e.used, e.grow = 0, 0, 0
	e.full = false
	e.routes = routeEdit{}
}

// Insert puts text in before offset at.
func (e *Edit) Insert(at uint32, text []byte) { e.add(splice{at: at, text: text}) }

// Delete takes s out.
func (e *Edit) Delete(s Span) { e.add(splice{at: s.Off, del: s.End - s.Off}) }

// Replace puts text in the place of s.
func (e *Edit) Replace(s Span, text []byte) { e.add(splice{at: s.Off, del: s.End - s.Off, text: text}) }

// Overflow reports whether there were more splices than an Edit holds. Then Apply writes nothing.
func (e *Edit) Overflow() bool { return e.full }

// Scratch of the Edit: note begins a text, and done makes the splice of it.
func (e *Edit) note() []byte { return e.scratch[e.used:e.used:len(e.scratch)] }

// done replaces del octets at offset at by the text that was appended to note. A text that did not fit was appended
// elsewhere, and the edit is full.
func (e *Edit) done(at, del uint32, text []byte) {
	if len(text) > len(e.scratch)-e.used {
		e.full = true
		return
	}
	e.add(splice{at: at, del: del, from: uint16(e.used), n: uint16(len(text))})
	e.used += len(text)
}

// add puts s where it belongs. Most edits come in the order of the message, so the search begins at the end.
func (e *Edit) add(s splice) {
	i := e.count
	for i > 0 {
		before := &e.splices[i-1]
		if before.at < s.at || before.at == s.at && (before.del == 0 || s.del > 0) {
			break
		}
		i--
	}
	e.grow += len(s.text) + int(s.n)
	if i > 0 && s.del > 0 && e.splices[i-1].at == s.at && e.splices[i-1].del == s.del {
		e.splices[i-1] = s
		return
	}
	if e.count == MaxSplices {
		e.full = true
		return
	}
	copy(e.splices[i+1:e.count+1], e.splices[i:e.count])
	e.splices[i] = s
	e.count++
}

// Apply appends the edited message to dst, in one pass of copies. It allocates only when dst has no room for
// the message and all texts. After an overflow it returns dst as it is: half of an edit is none.
func (e *Edit) Apply(dst []byte) []byte {
	if e.routes.any() {
		e.spliceRoutes()
	}
	if e.full {
		return dst
	}
	return e.appendRange(dst, 0, uint32(len(e.m.Buf)))
}

// appendRange appends what the edit makes of the octets from to end of the message.
func (e *Edit) appendRange(dst []byte, pos, end uint32) []byte {
	buf := e.m.Buf
	n := len(dst)
	if room := int(end-pos) + e.grow; cap(dst)-n < room {
		grown := make([]byte, n, n+room)
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:cap(dst)]
	for i := range e.splices[:e.count] {
		s := &e.splices[i]
		if s.at < pos { // inside of what is gone already
			pos = max(pos, s.at+s.del)
			continue
		}
		if s.at > end {
			break
		}
		n += copy(dst[n:], buf[pos:s.at])
		if s.text != nil {
			n += copy(dst[n:], s.text)
		} else {
			n += copy(dst[n:], e.scratch[s.from:s.from+s.n])
		}
		pos = s.at + s.del
	}
	if pos < end {
		n += copy(dst[n:], buf[pos:end])
	}
	return dst[:n]
}
