package sip

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The properties that hold for every input. The torture test asserts them for its messages, the fuzz targets for what
// they come up with.

// checkParse: parsing does not panic, depends on nothing but the octets, finds nothing outside of them, and an edit
// that changes nothing gives them back.
func checkParse(t testing.TB, b []byte) {
	t.Helper()
	before := bytes.Clone(b)
	var m Msg
	f := m.Parse(b)
	if f != m.Err {
		t.Errorf("Parse returned %s, Err is %s", f, m.Err)
	}
	if f == NoFault != (f.Status() == 0) || f.String() == "" {
		t.Errorf("fault %d has status %d and text %q", f, f.Status(), f)
	}
	checkSpans(t, &m)
	if t.Failed() {
		return
	}
	used := usedMsg()
	used.Parse(b)
	if a, b := normal(&m), normal(used); !reflect.DeepEqual(a, b) {
		t.Errorf("a message parsed into a used Msg differs from one parsed into a new Msg (-new +used):\n%s",
			cmp.Diff(a, b, cmp.AllowUnexported(Msg{})))
	}
	if !bytes.HasSuffix(b[:len(b)-(len(b)-len(m.Buf)-leadingCRLF(b))], m.Buf) {
		t.Errorf("Buf is no part of the input")
	}
	var e Edit
	e.Reset(&m)
	if out := e.Apply(nil); !bytes.Equal(out, m.Buf) {
		t.Errorf("an edit without a splice changed the message:\n%q\n%q", m.Buf, out)
	}
	m.HeaderValue("call-id")
	m.ContactURI()
	Classify(b)
	if !bytes.Equal(b, before) {
		t.Errorf("the input was written to")
	}
}

// usedMsg is a Msg that still holds a message that has everything.
func usedMsg() *Msg {
	var m Msg
	m.Parse([]byte("INVITE sip:a:b@c:1;lr;maddr=d;transport=e SIP/2.0\r\nVia: SIP/2.0/UDP f:2;branch=g;received=h;rport=3;maddr=i," +
		" SIP/2.0/UDP j:4;branch=k;received=l;rport=5;maddr=m\r\nRoute: <sip:n;lr>,<sip:o;lr>,<sip:p;lr>,<sip:q;lr>\r\n" +
		"Record-Route: <sip:r>\r\nProxy-Require: 1,2,3,4,5,6,7,8,9\r\nMax-Forwards: 6\r\nFrom: <sip:s>;tag=t\r\n" +
		"To: <sip:u>;tag=v\r\nCall-ID: w\r\nCSeq: 7 INVITE\r\nContent-Length: 8\r\n\r\n12345678"))
	m.HasRetryAfter, m.RetryAfter, m.Status, m.ReasonText = true, 9, 10, Span{11, 12}
	return &m
}

func leadingCRLF(b []byte) (n int) {
	for bytes.HasPrefix(b[n:], []byte("\r\n")) {
		n += 2
	}
	return n
}

// checkEdits: what we emit we read again, and it says what we wrote; what is pushed and popped again leaves no trace;
// all that was not edited is what came.
func checkEdits(t testing.TB, b []byte) {
	t.Helper()
	var m, out Msg
	if m.Parse(b) != NoFault {
		return
	}
	var e Edit
	apply := func(edits func()) []byte {
		e.Reset(&m)
		edits()
		return e.Apply(nil)
	}
	if !m.IsRequest {
		popped := apply(func() { e.PopVia() })
		f := out.Parse(popped)
		if m.NVia == 1 && f == FaultNoVia {
			return
		}
		if f == FaultSecondVia && m.NVia > 2 {
			f = NoFault // it was the third, which nobody looked at
		}
		if f != NoFault || out.NVia != m.NVia-1 || !sameText(&out, out.Via[0].Text, &m, m.Via[1].Text) {
			t.Errorf("after PopVia: fault %s, %d Via values, top %q", f, out.NVia, out.Bytes(out.Via[0].Text))
		}
		sameMessage(t, &m, &out)
		return
	}
	if len(b)+400 > MaxMessage || m.NVia == MaxVias || bytes.Count(m.Buf, []byte("\n")) > MaxHeaderFields-4 {
		return
	}
	pushed := apply(func() { e.PushVia(ourVia) })
	if f := out.Parse(pushed); f != NoFault || out.NVia != m.NVia+1 {
		t.Errorf("after PushVia: fault %s, %d Via values, there were %d", f, out.NVia, m.NVia)
	}
	var back Edit
	back.Reset(&out)
	back.PopVia()
	if popped := back.Apply(nil); !bytes.Equal(popped, m.Buf) {
		t.Errorf("PushVia and PopVia do not give the message back:\n%q\n%q", m.Buf, popped)
	}
	checkForwarded(t, &m, apply(func() {
		e.SetMaxForwards(17) // the order of calls does not matter
		e.PushRecordRoute(ourRecordRoute)
		e.SetReceived(source4.Addr(), source4.Port(), true, true)
		e.PushVia(ourVia)
	}))
	checkRoutes(t, &m)
}

// checkForwarded looks at a request with all edits of a proxy.
func checkForwarded(t testing.TB, m *Msg, text []byte) {
	t.Helper()
	var out Msg
	if f := out.Parse(text); f != NoFault {
		t.Fatalf("the edited message has the fault %s at byte %d:\n%q", f, out.ErrPos, text)
	}
	if got := string(out.Bytes(out.Via[0].Line)); got != string(ourVia) {
		t.Errorf("the top Via is %q", got)
	}
	was, v := &m.Via[0], &out.Via[1]
	if string(out.Bytes(v.Received)) != "198.51.100.23" || was.HasRport != v.HasRport || v.HasRport && v.RportVal != 40123 {
		t.Errorf("the second Via is %q", out.Bytes(v.Text))
	}
	if !sameText(m, was.Branch, &out, v.Branch) || !sameText(m, was.Host, &out, v.Host) || was.Port != v.Port {
		t.Errorf("the second Via is %q, was %q", out.Bytes(v.Text), m.Bytes(was.Text))
	}
	if out.MaxForwards != 17 || out.NVia != m.NVia+1 {
		t.Errorf("Max-Forwards %d, %d Via values", out.MaxForwards, out.NVia)
	}
	if got := string(out.Bytes(out.FirstRecordRoute)); got != string(ourRecordRoute) {
		t.Errorf("the first Record-Route is %q", got)
	}
	sameMessage(t, m, &out)
	// Everything else is what came: take our octets out again, and nothing differs.
	var e Edit
	e.Reset(&out)
	e.PopVia()
	e.Delete(out.FirstRecordRoute)
	if was.Received.Empty() {
		e.Delete(Span{v.Received.Off - uint32(len(";received=")), v.Received.End})
	} else {
		e.Replace(v.Received, m.Bytes(was.Received))
	}
	switch {
	case was.HasRport && was.Rport.Empty():
		e.Delete(Span{v.Rport.Off - 1, v.Rport.End})
	case was.HasRport:
		e.Replace(v.Rport, m.Bytes(was.Rport))
	}
	if m.MaxForwards < 0 {
		e.Delete(Span{out.MaxForwardsSpan.Off - uint32(len("Max-Forwards: ")), out.MaxForwardsSpan.End + 2})
	} else {
		e.Replace(out.MaxForwardsSpan, m.Bytes(m.MaxForwardsSpan))
	}
	if undone := e.Apply(nil); !bytes.Equal(undone, m.Buf) {
		t.Errorf("octets outside of the edits changed:\n%q\n%q", m.Buf, undone)
	}
}

// checkRoutes takes Route values out at both ends and puts one in.
func checkRoutes(t testing.TB, m *Msg) {
	t.Helper()
	want := routeTexts(t, m)
	for first := range 3 {
		for last := range 2 {
			for _, push := range []string{"", "<sip:pushed.example.com;lr>"} {
				var e Edit
				e.Reset(m)
				e.PopRoute(first)
				left := want[min(first, len(want)):]
				if last > 0 {
					e.PopLastRoute()
					left = left[:max(len(left)-1, 0)]
				}
				if push != "" {
					e.PushRoute([]byte(push))
					left = append(left[:len(left):len(left)], push)
				}
				text := e.Apply(nil)
				if e.Overflow() {
					continue
				}
				var out Msg
				if f := out.Parse(text); f != NoFault && m.NRoute < MaxRoutes {
					t.Fatalf("pop %d, pop last %d, push %q: fault %s at byte %d:\n%q", first, last, push, f, out.ErrPos, text)
				}
				if got := routeTexts(t, &out); !reflect.DeepEqual(append([]string{}, got...), append([]string{}, left...)) {
					t.Errorf("pop %d, pop last %d, push %q: Route is %q, want %q", first, last, push, got, left)
				}
				sameMessage(t, m, &out)
			}
		}
	}
}

// routeTexts lists the Route values, found by another way than that of Edit.
func routeTexts(t testing.TB, m *Msg) (texts []string) {
	t.Helper()
	for p := m.StartEnd; p < m.HeadersEnd; {
		end := fieldEnd(m.Buf, p)
		if end == bad {
			break
		}
		if f, v := fieldAt(m.Buf, p, word(m.Buf, p)); f == fieldRoute {
			for at(m.Buf, v) != '\r' {
				var uri Span
				text, next := readRoute(m.Buf, v, &uri)
				if next == bad {
					break
				}
				texts = append(texts, string(m.Bytes(text)))
				if v = next; at(m.Buf, v) == ',' {
					v = skipLWS(m.Buf, v+1)
				}
			}
		}
		p = end
	}
	if m.Err == NoFault && len(texts) != m.NRoute {
		t.Errorf("%d Route values, NRoute is %d", len(texts), m.NRoute)
	}
	return texts
}

// sameMessage: what identifies a message, and its body, is the same in both.
func sameMessage(t testing.TB, a, b *Msg) {
	t.Helper()
	if !sameText(a, a.CallID, b, b.CallID) || !sameText(a, a.From.Text, b, b.From.Text) ||
		!sameText(a, a.To.Text, b, b.To.Text) || !sameText(a, a.cseqText, b, b.cseqText) || a.CSeq != b.CSeq ||
		!sameText(a, a.MethodText, b, b.MethodText) || !bytes.Equal(a.Body(), b.Body()) {
		t.Errorf("not the same message:\n%q\n%q", a.Buf, b.Buf)
	}
}

func sameText(a *Msg, s Span, b *Msg, u Span) bool { return bytes.Equal(a.Bytes(s), b.Bytes(u)) }

// checkReply: an answer can be read, and has all Via values, From, Call-ID and CSeq of the request; of a broken request
// at least nothing ambiguous leaves.
func checkReply(t testing.TB, b []byte) {
	t.Helper()
	var m, out Msg
	m.Parse(b)
	if !m.IsRequest {
		return
	}
	for _, from := range []netip.AddrPort{{}, source4, source6} {
		r := Reply{Status: 480, Reason: "Not Now", ToTag: []byte("ours"), Extra: []byte("Retry-After: 5\r\n"), Received: from}
		text := m.AppendReply(nil, &r)
		switch f := out.Parse(text); f {
		case NoFault:
		case FaultSecondVia: // in a request nobody looked at it
		case FaultLineEnd, FaultNUL, FaultNoColon, FaultHeaderName, FaultNoEmptyLine, FaultFirstLineFolded, FaultStartLine,
			FaultContentLength, FaultContentLengthBeyond, FaultDuplicateCallID, FaultDuplicateCSeq, FaultDuplicateFrom,
			FaultDuplicateTo:
			t.Fatalf("the answer has the fault %s:\n%q", f, text)
		default:
			if m.Err == NoFault && len(text) <= MaxMessage {
				t.Fatalf("the answer has the fault %s at byte %d:\n%q", f, out.ErrPos, text)
			}
		}
		if m.Err != NoFault || len(text) > MaxMessage {
			continue
		}
		if out.Status != 480 || out.NVia != m.NVia || !out.HasRetryAfter || out.ContentLength != 0 {
			t.Errorf("the answer is wrong:\n%q", text)
		}
		if !sameText(&m, m.CallID, &out, out.CallID) || !sameText(&m, m.From.Text, &out, out.From.Text) ||
			!sameText(&m, m.cseqText, &out, out.cseqText) || !sameText(&m, m.Via[0].Branch, &out, out.Via[0].Branch) {
			t.Errorf("the answer is to another request:\n%q\n%q", m.Buf, text)
		}
		if want := m.Bytes(m.To.Tag); len(want) == 0 && string(out.Bytes(out.To.Tag)) != "ours" ||
			len(want) > 0 && !bytes.Equal(out.Bytes(out.To.Tag), want) {
			t.Errorf("the tag of To is %q", out.Bytes(out.To.Tag))
		}
		if from.IsValid() && m.NeedsReceived(from.Addr()) && string(out.Bytes(out.Via[0].Received)) != from.Addr().String() {
			t.Errorf("the top Via of the answer is %q", out.Bytes(out.Via[0].Text))
		}
	}
}
