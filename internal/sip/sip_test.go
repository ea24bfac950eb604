package sip

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

// P4: long and compact names are the same header field, in any case.
func TestHeaderValueP4(t *testing.T) {
	const text = "OPTIONS sip:a SIP/2.0\r\nv: SIP/2.0/UDP h\r\nK:\r\n  path \r\n\r\n"
	var m Msg
	m.Parse([]byte(strings.Replace(text, "\r\n\r\n", "\r\nX-Key \t: one, two\r\nx-key: three\r\nEmpty:\r\nviam: no\r\n\r\n", 1)))
	for name, want := range map[string]string{
		"via": "SIP/2.0/UDP h", "v": "SIP/2.0/UDP h", "supported": "path", "k": "path", "x-key": "one, two", "empty": "",
	} {
		s, ok := m.HeaderValue(name)
		if !ok || string(m.Bytes(s)) != want {
			t.Errorf("%s: got %q %t, want %q", name, m.Bytes(s), ok, want)
		}
	}
	for _, name := range []string{"key", "subject", "s", "x", "", "vi"} {
		if s, ok := m.HeaderValue(name); ok {
			t.Errorf("%s: got %q, want none", name, m.Bytes(s))
		}
	}
	compact := map[string]string{}
	for _, c := range compactNames {
		compact[c.compact] = c.long
	}
	for letter, long := range map[string]string{ // standards P4
		"v": "via", "i": "call-id", "f": "from", "t": "to", "m": "contact", "l": "content-length", "c": "content-type",
		"k": "supported", "s": "subject", "e": "content-encoding", "x": "session-expires", "o": "event", "u": "allow-events",
		"r": "refer-to", "b": "referred-by", "d": "request-disposition", "a": "accept-contact", "j": "reject-contact", "y": "identity",
	} {
		equal(t, letter, compact[letter], long)
	}
}

// P8: 65,535 octets are a message, one more is too long.
func TestLongestMessageP8(t *testing.T) {
	body := strings.Repeat("x", MaxMessage-len(inviteHead(0)))
	text := inviteHead(len(body)) + body
	body = body[:len(body)-(len(text)-MaxMessage)]
	text = inviteHead(len(body)) + body
	equal(t, "length", len(text), MaxMessage)
	var m Msg
	equal(t, "fault", m.Parse([]byte(text)), NoFault)
	equal(t, "body", len(m.Body()), len(body))
	equal(t, "fault of one octet more", m.Parse([]byte(text+"x")), FaultTooLong)
	equal(t, "status", m.Err.Status(), 513)
	equal(t, "answerable", m.Answerable(), false)
}

func inviteHead(length int) string {
	return fmt.Sprintf("INVITE sip:b@example.net SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n"+
		"Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: %05d\r\n\r\n", length)
}

// Each limit holds exactly, and what is beyond has a fault of its own.
func TestLimits(t *testing.T) {
	const head = "OPTIONS sip:a SIP/2.0\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
	via := "Via: SIP/2.0/UDP h\r\n"
	for _, c := range []struct {
		name string
		text string
		want Fault
	}{
		{"header fields", head + via + strings.Repeat("X: y\r\n", MaxHeaderFields-6), NoFault},
		{"one header field more", head + via + strings.Repeat("X: y\r\n", MaxHeaderFields-5), FaultTooManyFields},
		{"many lines of one field", head + via + "X: y\r\n" + strings.Repeat(" z\r\n", 9*MaxHeaderFields), NoFault},
		{"Via values", head + strings.Repeat(via, MaxVias), NoFault},
		{"one Via value more", head + strings.Repeat(via, MaxVias+1), FaultTooManyVias},
		{"Via values in a list", head + via + "v: x" + strings.Repeat(",x", MaxVias-2) + "\r\n", NoFault},
		{"one more in a list", head + via + "v: x" + strings.Repeat(",x", MaxVias-1) + "\r\n", FaultTooManyVias},
		{"Route values", head + via + "Route: <sip:a>" + strings.Repeat(",<sip:a>", MaxRoutes-1) + "\r\n", NoFault},
		{"one Route value more", head + via + "Route: <sip:a>" + strings.Repeat(",<sip:a>", MaxRoutes) + "\r\n", FaultTooManyRoutes},
	} {
		var m Msg
		if f := m.Parse([]byte(c.text + "\r\n")); f != c.want {
			t.Errorf("%s: %s at byte %d, want %s", c.name, f, m.ErrPos, c.want)
		}
		checkParse(t, []byte(c.text+"\r\n"))
	}
}

// P1: each method is known by its exact name only.
func TestMethodsP1(t *testing.T) {
	for m := Invite; m < numMethods; m++ {
		equal(t, m.String(), methodOf([]byte(m.String())), m)
		equal(t, "lower case", methodOf([]byte(strings.ToLower(m.String()))), Unknown)
		equal(t, "longer", methodOf([]byte(m.String()+"X")), Unknown)
	}
	equal(t, "unknown", Unknown.String(), "OTHER")
	equal(t, "beyond", Method(200).String(), "OTHER")
}

// Every fault has a phrase of its own.
func TestFaultTexts(t *testing.T) {
	seen := map[string]bool{}
	for f := range numFaults {
		text := f.String()
		if text == "" || seen[text] || strings.ContainsAny(text, "\r\n\"") {
			t.Errorf("fault %d: %q", f, text)
		}
		seen[text] = true
	}
	equal(t, "beyond", Fault(255).String(), "Bad Request")
}

// Every header field that we read is found by the first octets of its names, in every case, whatever follows.
func TestFieldNames(t *testing.T) {
	for i := 1; fieldNames[i].n > 0; i++ {
		e := &fieldNames[i]
		name := make([]byte, 0, 16)
		for k := range e.n {
			if k < 8 {
				name = append(name, byte(e.word>>(8*k)))
			} else {
				name = append(name, byte(e.word2>>(8*(k-8))))
			}
		}
		for _, s := range []string{string(name), strings.ToUpper(string(name)), strings.ToUpper(string(name[:1])) + string(name[1:])} {
			for _, colon := range []string{":", " :", "\t \t:"} {
				line := []byte(s + colon + "x\r\n\r\n")
				if f, v := fieldAt(line, 0, word(line, 0)); f != e.f || line[v] != 'x' {
					t.Errorf("%q: field %d, value at %d; want field %d", line, f, v, e.f)
				}
			}
			for _, other := range []string{s + "x:", s + "-:", s[:len(s)-1] + "_:", "x" + s + ":", s + "\r\n :", s + ";:", s + "\x1a"} {
				line := []byte(other + "x\r\n\r\n")
				if f, _ := fieldAt(line, 0, word(line, 0)); f != fieldNone {
					t.Errorf("%q: field %d, want none", line, f)
				}
			}
		}
	}
}

// The words stop at every octet that is not theirs, and at no octet that is, wherever in the word it stands.
func TestWords(t *testing.T) {
	for c := range 256 {
		inName := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-'
		plain := c >= '-' && c < ';' || c >= '?' && c < 0x7F
		for i := range 8 {
			b := []byte("aaaaaaaa")
			b[i] = byte(c)
			wantName, wantPlain := uint32(8), uint64(0)
			if !inName {
				wantName = uint32(i)
			}
			if !plain {
				wantPlain = 0x80 << (8 * i)
			}
			equal(t, fmt.Sprintf("nameLen of %q", b), nameLen(word(b, 0)), wantName)
			if got := notPlain(word(b, 0)); got&-got != wantPlain {
				t.Errorf("notPlain of %q: %x, want its lowest bit %x", b, got, wantPlain)
			}
		}
		if plain && (classOf[c]&isValue == 0 || classOf[c]&isCallID == 0 || classOf[c]&isURI == 0) {
			t.Errorf("octet %d is plain, but not in every class", c)
		}
		if inName && classOf[c]&isToken == 0 {
			t.Errorf("octet %d is in names, but not in tokens", c)
		}
	}
	for n := range 12 {
		b := bytes.Repeat([]byte{'x'}, n)
		equal(t, "word at the end", word(b, 0), word(append(b, make([]byte, 8)...), 0))
	}
}

// X2: what counts as the source's own address.
func TestNeedsReceivedX2(t *testing.T) {
	for _, c := range []struct {
		host, from string
		want       bool
	}{
		{"192.0.2.1", "192.0.2.1", false},
		{"192.0.2.1", "192.0.2.2", true},
		{"192.0.2.1", "::ffff:192.0.2.1", false},
		{"[::ffff:192.0.2.1]", "192.0.2.1", false},
		{"[2001:DB8::0:1]", "2001:db8::1", false},
		{"[2001:db8::1]", "2001:db8::2", true},
		{"host.example.com", "192.0.2.1", true},
		{"010.0.0.1", "10.0.0.1", true},
	} {
		var m Msg
		m.Parse([]byte("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP " + c.host + ";branch=z9hG4bK1\r\n\r\n"))
		equal(t, c.host+" from "+c.from, m.NeedsReceived(netip.MustParseAddr(c.from)), c.want)
	}
	equal(t, "no Via", new(Msg).NeedsReceived(source4.Addr()), false)
}

var hostAddrs = []string{
	"192.0.2.1", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1..2.3", "1.2.3.4 ", "",
	"::", "::1", "1::", "[::1]", "[::1", "::1]", "[]", "[192.0.2.1]", "2001:db8::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7:8:9", "1::2::3", ":::", "1:", ":1", "::ffff:192.0.2.1", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
	"::1.2.3.4", "1::2:3:4:5:6:1.2.3.4", "12345::", "g::", "fe80::1%eth0", "::1.2.3.04", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
	"1:2:3:4:5:6:7:8::", "a.b.c.d", "example.com", "face.example", "FACE::", "::%", "1.2.3.4:5",
}

func TestHostAddr(t *testing.T) {
	for _, s := range hostAddrs {
		got, ok := HostAddr([]byte(s))
		bare := s
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && !strings.Contains(s, ".1]") {
			bare = strings.Trim(s, "[]")
		}
		want, err := netip.ParseAddr(bare)
		if ok != (err == nil && want.Zone() == "") || ok && got != want {
			t.Errorf("%q: got %v %t, want %v %v", s, got, ok, want, err)
		}
	}
}

// Design point 19: what a datagram seems to be.
func TestClassify(t *testing.T) {
	stun := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...)
	for _, c := range []struct {
		text string
		want Kind
	}{
		{"", KindKeepAlive}, {"\r\n", KindKeepAlive}, {"\r\n\r\n", KindKeepAlive}, {"\x00", KindKeepAlive}, {"\x00\x00\x00\x00", KindKeepAlive},
		{" ", KindKeepAlive}, {strings.Repeat("\x00", 64), KindKeepAlive}, {strings.Repeat("\x00", 65), KindJunk},
		{"INVITE sip:a SIP/2.0\r\n", KindSIP}, {"SIP/2.0 200 OK\r\n", KindSIP}, {"\r\n\r\nBYE sip:a SIP/2.0\r\n", KindSIP}, {"!x", KindSIP},
		{"\r\n", KindKeepAlive}, {"\r\n\x00x", KindJunk}, {"\r\nx", KindSIP}, {"\nx", KindJunk}, {" INVITE", KindJunk},
		{string(stun), KindSTUN}, {string(stun[:19]), KindJunk}, {"\x01\x01" + string(stun[2:]), KindSTUN},
		{"\x04\x01" + string(stun[2:]), KindJunk}, {"\x80\x60rtp", KindJunk}, {"\x16\x03\x01", KindJunk}, {"<xml>", KindJunk},
		{"\r\n" + strings.Repeat("\r\n", 40) + "BYE", KindJunk},
	} {
		equal(t, fmt.Sprintf("%.40q", c.text), Classify([]byte(c.text)), c.want)
	}
}

var uriTexts = []string{
	"sip:alice@atlanta.example.com", "sips:alice:secret@[2001:db8::1]:5061;transport=tcp?subject=x&y=z", "tel:+1-201-555-0123;x=y",
	"urn:service:sos", "sip:a;b?c@d;lr;maddr=e;transport=f;g", "sip:a@b@c", "sip:@b", "sip:", "sip:[::1", "*", "sip:a:0", "sip:h?", "sip:h;=",
	"sip:h;lr=", "http://x?y#z", "SIP:%00@h", "sip:a@h;x=@", "tel:", "x:", "1x:y", "sip:a b@c", "sip:\xff@h", "mailto:a@b",
}

func TestParseURI(t *testing.T) {
	part := func(b []byte, s Span) string { return string(b[s.Off:s.End]) }
	for _, c := range []struct {
		text                                          string
		scheme                                        Scheme
		user, host, params, headers, maddr, transport string
		port                                          uint16
		lr                                            bool
	}{
		{text: "sip:h", scheme: SchemeSIP, host: "h"},
		{text: "sIp:a@h:1", scheme: SchemeSIP, user: "a", host: "h", port: 1},
		{text: "SIPS:a:b:c@h:65535", scheme: SchemeSIPS, user: "a", host: "h", port: 65535},
		{text: "sip:a;lr?x:y@[::1]:5060;LR=x;mAddr=m;transPORT=t;z?h=1&i=?", scheme: SchemeSIP, user: "a;lr?x", host: "::1", port: 5060,
			params: "LR=x;mAddr=m;transPORT=t;z", headers: "h=1&i=?", maddr: "m", transport: "t", lr: true},
		{text: "sip:h;lrx;xlr;a=lr", scheme: SchemeSIP, host: "h", params: "lrx;xlr;a=lr"},
		{text: "sip:h?x", scheme: SchemeSIP, host: "h", headers: "x"},
		{text: "urn:service:sos", scheme: SchemeURN},
		{text: "URN:service:sos.police", scheme: SchemeURN},
		{text: "urnx:service:sos", scheme: SchemeOther},
		{text: "tel:+1(2)3-4;phone-context=x", scheme: SchemeTel, user: "+1(2)3-4", params: "phone-context=x"},
		{text: "sipx:a@b"}, {text: "soap.beep://192.0.2.103:3002"}, {text: "a+b-c.1:d"},
	} {
		b := []byte("<" + c.text + ">")
		u, f := ParseURI(b, span(1, len(b)-1))
		if f != NoFault {
			t.Errorf("%s: %s", c.text, f)
			continue
		}
		equal(t, c.text+" scheme", u.Scheme, c.scheme)
		equal(t, c.text+" user", part(b, u.User), c.user)
		equal(t, c.text+" host", part(b, u.Host), c.host)
		equal(t, c.text+" port", u.Port, c.port)
		equal(t, c.text+" params", part(b, u.Params), c.params)
		equal(t, c.text+" headers", part(b, u.Headers), c.headers)
		equal(t, c.text+" maddr", part(b, u.Maddr), c.maddr)
		equal(t, c.text+" transport", part(b, u.Transport), c.transport)
		equal(t, c.text+" lr", u.LR, c.lr)
	}
	for _, s := range []string{"", "sip", "sip:", "sip:@h", "sip:a@", "sip:a@b@c", "sip:h:", "sip:h:0", "sip:h:65536", "sip:[", "sip:[]", "sip:[::1",
		"sip:h;", "sip:h;;a", "sip:h;=a", "sip:h;a=", "sip:h;lr;maddr", "sip:h;maddr=a;maddr=a", "sip:h ", " sip:h", "sip:a b@h", "sip:a\x00b@h",
		"sip:h%41", "tel:", "x:", "1:a", ":a", "x:\"", "<sip:h>", "sip:h,i"} {
		if u, f := ParseURI([]byte(s), span(0, len(s))); f == NoFault {
			t.Errorf("%q: %+v, want a fault", s, u)
		}
	}
	if _, f := ParseURI([]byte("sip:h"), span(3, 99)); f == NoFault {
		t.Error("a span beyond the buffer is no URI")
	}
}

// An edit that is too large is not half made.
func TestEditOverflow(t *testing.T) {
	m := Msg{Buf: bytes.Repeat([]byte{'.'}, 100)}
	var e Edit
	e.Reset(&m)
	for i := range uint32(MaxSplices) {
		e.Insert(2*i, []byte("x"))
	}
	equal(t, "overflow", e.Overflow(), false)
	equal(t, "length", len(e.Apply(nil)), 100+MaxSplices)
	e.Insert(1, []byte("y"))
	equal(t, "overflow", e.Overflow(), true)
	equal(t, "applied", string(e.Apply([]byte("before"))), "before")
	e.Reset(&m)
	e.SetStatusLine(200, strings.Repeat("x", 300))
	equal(t, "a reason too long", e.Overflow(), true)
	e.Reset(&m)
	equal(t, "after Reset", len(e.Apply(nil)), 100)
}

// Texts for one place keep the order of the calls, before what replaces the octets behind it.
func TestEditOrder(t *testing.T) {
	m := Msg{Buf: []byte("abcdef")}
	for _, c := range []struct {
		want string
		ops  func(e *Edit)
	}{
		{"12Xdef", func(e *Edit) { e.Insert(0, []byte("1")); e.Replace(span(0, 3), []byte("X")); e.Insert(0, []byte("2")) }},
		{"abYf", func(e *Edit) {
			e.Replace(span(2, 5), []byte("X"))
			e.Insert(3, []byte("lost"))
			e.Replace(span(2, 5), []byte("Y"))
		}},
		{"adef34", func(e *Edit) { e.Insert(6, []byte("3")); e.Delete(span(1, 3)); e.Insert(6, []byte("4")) }},
		{"a1keptef", func(e *Edit) {
			e.Delete(span(1, 3))
			e.Delete(span(2, 4))
			e.Insert(4, []byte("kept"))
			e.Insert(1, []byte("1"))
		}},
	} {
		var e Edit
		e.Reset(&m)
		c.ops(&e)
		if got := string(e.Apply(nil)); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// Nothing on the message path allocates.
func TestAllocations(t *testing.T) {
	var m, broken Msg
	var e Edit
	dst := make([]byte, 0, 8192)
	manyRoutes := []byte("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h;rport\r\nRoute: <sip:a>,<sip:b>\r\nRoute: <sip:c>\r\n\r\n")
	reply := Reply{Status: 503, Reason: "No Server", ToTag: []byte("t"), Extra: []byte("Retry-After: 5\r\n"), Received: source6}
	for name, f := range map[string]func(){
		"Parse request":  func() { m.Parse(inviteText) },
		"Parse response": func() { m.Parse(okText) },
		"Parse junk":     func() { broken.Parse(inviteText[40:]) },
		"Parse hostile":  func() { broken.Parse(hostileText) },
		"Edit request": func() {
			m.Parse(inviteText)
			e.Reset(&m)
			e.PushVia(ourVia)
			e.SetReceived(source6.Addr(), source6.Port(), true, true)
			e.PushRecordRoute(ourRecordRoute)
			e.SetMaxForwards(69)
			dst = e.Apply(dst[:0])
		},
		"Edit response": func() {
			m.Parse(okText)
			e.Reset(&m)
			e.PopVia()
			e.SetStatusLine(500, "Server Internal Error")
			dst = e.Apply(dst[:0])
		},
		"Edit routes": func() {
			m.Parse(manyRoutes)
			e.Reset(&m)
			e.PopRoute(1)
			e.PopLastRoute()
			e.PushRoute(ourVia)
			e.SetRequestURI(m.Bytes(m.URI.Text))
			dst = e.Apply(dst[:0])
		},
		"Reply":       func() { m.Parse(inviteText); dst = m.AppendReply(dst[:0], &reply) },
		"HeaderValue": func() { m.Parse(inviteText); m.HeaderValue("user-agent"); m.ContactURI() },
		"HostAddr":    func() { HostAddr(okText[:9]); HostAddr([]byte("2001:db8::1")); HostAddr([]byte("192.0.2.1")) },
		"Classify":    func() { Classify(inviteText) },
	} {
		if n := alloctest.PerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// P15: the examples of RFC 3261 19.1.4, and some more.
func TestEqualURIP15(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", true},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
		{"sip:a@h;user=phone", "sip:a@h", false},
		{"sip:a@h;maddr=1", "sip:a@h", false},
		{"sip:a@h;lr", "sip:a@h", true},
		{"sip:a:b@h", "sip:a:b@h", true},
		{"sip:a:b@h", "sip:a:B@h", false},
		{"sip:a:b@h", "sip:a@h", false},
		{"sip:a%3Bb@h", "sip:a;b@h", false},
		{"sip:a%3Bb@h", "sip:a%3bb@h", true},
		{"sip:[2001:db8::1]", "sip:[2001:DB8:0::1]", true},
		{"sip:a@h", "sips:a@h", false},
		{"tel:+1;x=1", "tel:+1", true},
		{"urn:a", "urn:a", true},
		{"urn:a", "urn:b", false},
		{"sip:", "sip:", false},
		{"sip:h?a=1&a=1", "sip:h?a=1", false},
	} {
		equal(t, c.a+" and "+c.b, EqualURI([]byte(c.a), []byte(c.b)), c.want)
		equal(t, c.b+" and "+c.a, EqualURI([]byte(c.b), []byte(c.a)), c.want)
	}
}
