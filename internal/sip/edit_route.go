package sip

// routeEdit is what is to happen to the Route values. It becomes splices only in Apply, since which header fields stay
// and where a value ends depends on all of it together.
type routeEdit struct {
	first int    // values to take from the front
	last  int    // values to take from the end
	push  []byte // value to put at the end
}

func (r *routeEdit) any() bool { return r.first > 0 || r.last > 0 || r.push != nil }

// PopRoute takes out the first n Route values, with the header fields that have no other (RFC 3261 16.4).
func (e *Edit) PopRoute(n int) { e.routes.first += n }

// PopLastRoute takes out the last Route value (RFC 3261 16.4, when a strict router sent the request).
func (e *Edit) PopLastRoute() { e.routes.last++ }

// PushRoute puts a value, such as "<sip:bob@b.example>", behind the last Route value (RFC 3261 16.6, item 6). There is
// one such value: the second call replaces the text of the first.
func (e *Edit) PushRoute(value []byte) { e.routes.push = value }

var (
	routeName = []byte("Route: ")
	listComma = []byte(", ")
	crlf      = []byte("\r\n")
)

// spliceRoutes makes splices of the routeEdit. Of all values, numbered from 0, those from first to last-1 stay.
func (e *Edit) spliceRoutes() {
	r, m := e.routes, e.m
	e.routes = routeEdit{}
	first, last := min(r.first, m.NRoute), m.NRoute-min(r.last, m.NRoute)
	if first >= last {
		e.newRoute(r.push)
		r.push = nil
	}
	if m.NRoute == 0 {
		return
	}
	b := m.Buf
	index := 0
	for p := m.Route[0].Line.Off; index < first || last < m.NRoute || r.push != nil; {
		end := fieldEnd(b, p)
		if end == bad {
			return
		}
		if f, v := fieldAt(b, p, word(b, p)); f == fieldRoute {
			keep := e.spliceRouteField(Span{p, end}, v, keepRange{index, first, last})
			index += keep.seen
			if r.push != nil && keep.seen > 0 && index >= last {
				e.Insert(keep.end, listComma)
				e.Insert(keep.end, r.push)
				r.push = nil
			}
		}
		p = end
	}
}

// newRoute puts a whole Route header field where none will be left.
func (e *Edit) newRoute(value []byte) {
	if value == nil {
		return
	}
	at := e.m.viaEnd
	if e.m.NRoute > 0 {
		at = e.m.Route[0].Line.Off
	}
	e.Insert(at, routeName)
	e.Insert(at, value)
	e.Insert(at, crlf)
}

// keepRange numbers the Route values: the next one, and the first and the one behind the last of those that stay.
type keepRange struct{ next, first, last int }

// kept is what a Route header field held: how many values, and where the last one that stays ends.
type kept struct {
	seen int
	end  uint32
}

// spliceRouteField takes out of one Route header field, whose value begins at v, what does not stay.
func (e *Edit) spliceRouteField(line Span, v uint32, k keepRange) (out kept) {
	b := e.m.Buf
	var begin, last uint32 // of the first value that stays; end of the last of all
	for p := v; ; {
		var uri Span
		text, next := readRoute(b, p, &uri)
		if next == bad {
			return out
		}
		last = text.End
		if n := k.next + out.seen; n >= k.first && n < k.last {
			if begin == 0 {
				begin = text.Off
			}
			out.end = text.End
		}
		out.seen++
		if at(b, next) != ',' {
			break
		}
		p = skipLWS(b, next+1)
	}
	if begin == 0 {
		e.Delete(line)
		return out
	}
	if begin > v {
		e.Delete(Span{v, begin})
	}
	if out.end < last {
		e.Delete(Span{out.end, last})
	}
	return out
}
