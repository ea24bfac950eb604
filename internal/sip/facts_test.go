package sip

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// normal is a copy of m without what its counters say is not valid, so that two of them can be compared.
func normal(m *Msg) Msg {
	n := *m
	for i := range n.Via {
		if i >= n.NVia {
			n.Via[i] = Via{}
		}
	}
	for i := range n.Route {
		if i >= n.NRoute {
			n.Route[i] = RouteVal{}
		}
	}
	if n.NRoute == 0 {
		n.LastRoute = RouteVal{}
	}
	for i := range n.ProxyRequire {
		if i >= n.NProxyRequire {
			n.ProxyRequire[i] = Span{}
		}
	}
	return n
}

// eachSpan calls f for every span in v, a struct of this package.
func eachSpan(name string, v reflect.Value, f func(name string, s Span)) {
	switch {
	case v.Type() == reflect.TypeFor[Span]():
		f(name, Span{uint32(v.Field(0).Uint()), uint32(v.Field(1).Uint())})
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			eachSpan(name+"."+v.Type().Field(i).Name, v.Field(i), f)
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			eachSpan(fmt.Sprintf("%s[%d]", name, i), v.Index(i), f)
		}
	}
}

// checkSpans fails when a span reaches out of the buffer, or out of what it is a part of.
func checkSpans(t testing.TB, m *Msg) {
	t.Helper()
	n := normal(m)
	eachSpan("Msg", reflect.ValueOf(n), func(name string, s Span) {
		if s.Off > s.End || int(s.End) > len(m.Buf) {
			t.Errorf("%s is %v, the buffer has %d octets", name, s, len(m.Buf))
		}
	})
	if t.Failed() || m.Err != NoFault {
		return
	}
	within := func(what string, in, out Span) {
		if !in.Empty() && (in.Off < out.Off || in.End > out.End) {
			t.Errorf("%s %v is not within %v", what, in, out)
		}
	}
	head := Span{m.StartEnd, m.HeadersEnd}
	for i := range min(n.NVia, len(n.Via)) {
		v := &n.Via[i]
		if i > 0 && !m.IsRequest || i == 0 {
			within("Via.Line", v.Line, head)
			within("Via.Text", v.Text, v.Line)
			for _, s := range []Span{v.Transport, v.Host, v.Branch, v.Received, v.Maddr, v.Rport} {
				within("a part of Via", s, v.Text)
			}
		}
		if i > 0 && v.Text.Off < n.Via[0].Text.End {
			t.Errorf("Via %v begins before the end of %v", v.Text, n.Via[0].Text)
		}
	}
	for i := range min(n.NRoute, len(n.Route)) {
		within("Route.Line", n.Route[i].Line, head)
		within("Route.Text", n.Route[i].Text, n.Route[i].Line)
		within("Route.URI", n.Route[i].URI.Text, n.Route[i].Text)
	}
	within("LastRoute.Line", n.LastRoute.Line, head)
	within("LastRoute.Text", n.LastRoute.Text, n.LastRoute.Line)
	within("FirstRecordRoute", n.FirstRecordRoute, head)
	for _, s := range []Span{m.CallID, m.From.Text, m.To.Text, m.cseqText, m.MaxForwardsSpan} {
		within("a header field", s, head)
	}
	within("From tag", m.From.Tag, m.From.Text)
	within("To tag", m.To.Tag, m.To.Text)
	within("Request-URI", m.URI.Text, Span{0, m.StartEnd})
}

// facts is what Parse found out about a sound message, as text: golden in testdata/torture/FACTS.txt.
func facts(m *Msg) string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, "  "+format+"\n", args...) }
	if m.IsRequest {
		line("%s %q", m.Method, m.Bytes(m.MethodText))
		line("Request-URI %s", uriFacts(m, &m.URI))
	} else {
		line("%d %q", m.Status, m.Bytes(m.ReasonText))
	}
	line("Via %d", m.NVia)
	for i := range min(m.NVia, len(m.Via)) {
		v := &m.Via[i]
		part := func(name string, sp Span) string {
			if sp.Empty() {
				return ""
			}
			return fmt.Sprintf(" %s=%s", name, m.Bytes(sp))
		}
		rport := ""
		if v.HasRport {
			rport = fmt.Sprintf(" rport(%d)", v.RportVal)
		}
		line("  %s %s port=%d%s%s%s%s", m.Bytes(v.Transport), m.Bytes(v.Host), v.Port, part("branch", v.Branch),
			part("received", v.Received), part("maddr", v.Maddr), rport)
	}
	line("From %s tag=%s", m.Bytes(m.From.URI), m.Bytes(m.From.Tag))
	line("To %s tag=%s", m.Bytes(m.To.URI), m.Bytes(m.To.Tag))
	line("Call-ID %s", m.Bytes(m.CallID))
	line("CSeq %d %s %q", m.CSeq, m.CSeqMethod, m.Bytes(m.CSeqMethodText))
	if m.IsRequest {
		line("Max-Forwards %d", m.MaxForwards)
	}
	for i := range min(m.NRoute, len(m.Route)) {
		line("Route %d of %d %s", i+1, m.NRoute, uriFacts(m, &m.Route[i].URI))
	}
	if m.NRoute > len(m.Route) {
		line("Route last %s", uriFacts(m, &m.LastRoute.URI))
	}
	for i := range min(m.NProxyRequire, len(m.ProxyRequire)) {
		line("Proxy-Require %d of %d %s", i+1, m.NProxyRequire, m.Bytes(m.ProxyRequire[i]))
	}
	if m.HasRetryAfter {
		line("Retry-After %d", m.RetryAfter)
	}
	line("Content-Length %d, body of %d octets", m.ContentLength, len(m.Body()))
	return s.String()
}

func uriFacts(m *Msg, u *URI) string {
	lr := ""
	if u.LR {
		lr = " lr"
	}
	return fmt.Sprintf("%s user=%q host=%q port=%d params=%q maddr=%q transport=%q%s",
		[]string{"other", "sip", "sips", "tel", "urn"}[u.Scheme], m.Bytes(u.User), m.Bytes(u.Host), u.Port, m.Bytes(u.Params),
		m.Bytes(u.Maddr), m.Bytes(u.Transport), lr)
}
