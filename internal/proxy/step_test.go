package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/alloctest"
	"github.com/carillon-sip/carillon/internal/sip"
)

// A worker's way with one message, without the sockets: parse, decide, edit.
// Record-Route and tokens on, pins and known calls in use.

const sdp = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 49170 RTP/AVP 8 0 18 101\r\n" +
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n" +
	"a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"

// invite is an INVITE of some 1,000 octets; the number in its branch and Call-ID
// is to be set by number.
func invite() []byte {
	return fmt.Appendf(nil, "INVITE sip:+33123456789@example.com SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP 192.0.2.7:16000;branch=z9hG4bK00000000;rport\r\n"+
		"Max-Forwards: 70\r\nFrom: \"Alice Example\" <sip:alice@example.com>;tag=9fxced76sl\r\nTo: <sip:+33123456789@example.com>\r\n"+
		"Call-ID: 00000000-3848276298220188511@192.0.2.7\r\nCSeq: 1000 INVITE\r\nContact: <sip:alice@192.0.2.7:16000;transport=udp>\r\n"+
		"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, UPDATE, PRACK\r\nSupported: replaces, timer, path\r\n"+
		"Session-Expires: 1800;refresher=uac\r\nP-Asserted-Identity: <sip:+33987654321@example.com>\r\nUser-Agent: phone/1.0\r\n"+
		"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", len(sdp), sdp)
}

// step is one worker's world.
type step struct {
	l   *ladder
	in  Input
	msg sip.Msg
	out []byte
}

func newStep(t *testing.T) *step {
	l := newLadder(t)
	l.servers = []string{"10.0.0.1:5060", "10.0.0.2:5060", "10.0.0.3:5060", "10.0.0.4:5060", "10.0.0.5:5060",
		"10.0.0.6:5060", "10.0.0.7:5060", "10.0.0.8:5060", "10.0.0.9:5060", "10.0.0.10:5060"}
	l.profile["record_route"] = "true"
	l.compile()
	for _, p := range l.snap.Pools {
		p.View.Load().Fill() // as of every pool on which much comes
	}
	l.state[0] = NewState(1<<20, 1<<20, nil)
	s := &step{l: l, out: make([]byte, 0, 8192)}
	s.in = Input{Msg: &s.msg, From: netip.MustParseAddrPort("192.0.2.7:16000"), Listener: l.snap.Listeners[0], Snapshot: l.snap,
		State: l.state[0], Now: l.tick(), NowNS: l.now.Nanoseconds()}
	return s
}

// number makes a message of its own of a template.
func number(b []byte, n uint32) {
	for _, mark := range []string{"branch=z9hG4bK", "Call-ID: "} {
		if i := bytes.Index(b, []byte(mark)); i >= 0 {
			putHex(b[i+len(mark):], n)
		}
	}
}

func putHex(b []byte, n uint32) {
	const hex = "0123456789abcdef"
	for k := range 8 {
		b[k] = hex[n>>(28-4*k)&15]
	}
}

func (s *step) handle(b []byte) Verdict {
	s.msg.Parse(b)
	var v Verdict
	if s.msg.IsRequest {
		v = s.l.proxy.Request(&s.in)
	} else {
		v = s.l.proxy.Response(&s.in)
	}
	s.out = s.l.proxy.Append(s.out[:0], &v)
	return v
}

// responses makes n responses of 10.0.0.1 to n INVITEs.
func (s *step) responses(n int, head string) [][]byte {
	var out [][]byte
	req := invite()
	for i := range n {
		number(req, uint32(i))
		s.handle(req)
		var m sip.Msg
		m.Parse(bytes.Clone(s.out))
		r := m.AppendReply(nil, &sip.Reply{Status: 200, Reason: "OK", ToTag: []byte("server-tag"),
			Extra: []byte("Contact: <sip:10.0.0.1:5060>\r\nServer: server/1.0\r\n")})
		out = append(out, append([]byte(head), r[bytes.IndexByte(r, '\n')+1:]...))
	}
	return out
}

func TestStepAllocates0(t *testing.T) {
	s := newStep(t)
	answers := s.responses(300, "SIP/2.0 200 OK\r\n")
	ringing := s.responses(300, "SIP/2.0 180 Ringing\r\n")
	req, n := invite(), uint32(1<<20)
	bye := bytes.ReplaceAll(invite(), []byte("INVITE"), []byte("BYE"))
	check := func(name string, f func()) {
		t.Helper()
		if a := alloctest.PerRun(200, f); a != 0 {
			t.Errorf("%s: %v allocations", name, a)
		}
	}
	check("INVITE", func() {
		n++
		number(req, n)
		if v := s.handle(req); v.Action != Forward {
			t.Fatal(v.Reason)
		}
	})
	check("retransmission", func() { s.handle(req) })
	check("BYE", func() { n++; number(bye, n); s.handle(bye) })
	i := 0
	s.in.From = netip.MustParseAddrPort("10.0.0.1:5060")
	check("180", func() {
		if v := s.handle(ringing[i%300]); v.Action != Forward {
			t.Fatal(v.Reason)
		}
		i++
	})
	check("200", func() {
		if v := s.handle(answers[i%300]); v.Action != Forward {
			t.Fatal(v.Reason)
		}
		i++
	})
	garbage := []byte("INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\n\r\n")
	check("garbage", func() { s.handle(garbage) })
	refused := []byte("INVITE x:y SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n" +
		"To: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n")
	check("refusal", func() { s.handle(refused) })
}

// BenchmarkInviteStep is the way of an INVITE that opens a call, into tables that
// hold what others left: 32,768 known calls and transactions. Time passes at 8 ms a
// call, so that what a number left has expired when it comes again.
func BenchmarkInviteStep(b *testing.B) { benchmarkInvites(b, 1<<15) }

// BenchmarkInviteStepCached is the same with tables of 64 calls, which stay in the
// first cache: what memory adds is the difference.
func BenchmarkInviteStepCached(b *testing.B) { benchmarkInvites(b, 1<<6) }

func benchmarkInvites(b *testing.B, calls uint32) {
	s := newStep(&testing.T{})
	s.in.Msg.Parse(invite())
	req, n := invite(), uint32(0)
	branchAt, callAt := bytes.Index(req, []byte("z9hG4bK"))+7, bytes.Index(req, []byte("Call-ID: "))+9
	one := func() {
		n++
		putHex(req[branchAt:], n%calls)
		putHex(req[callAt:], n%calls)
		s.in.Now += 8
		s.in.NowNS += int64(8 * time.Millisecond)
		s.handle(req)
	}
	for range 2 * calls { // the tables grow to their size
		one()
		if n%64 == 0 && n <= calls {
			s.l.state[0].Tend(s.in.Now, 0, s.l.snap)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
}

// BenchmarkInviteAgainStep is the way of a retransmission.
func BenchmarkInviteAgainStep(b *testing.B) {
	s := newStep(&testing.T{})
	req := invite()
	b.ReportAllocs()
	for b.Loop() {
		s.handle(req)
	}
}

func BenchmarkResponseStep(b *testing.B) {
	s := newStep(&testing.T{})
	rs := s.responses(1<<10, "SIP/2.0 180 Ringing\r\n")
	s.in.From = netip.MustParseAddrPort("10.0.0.1:5060")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.handle(rs[i&(len(rs)-1)])
		i++
	}
}

// The parts of a step, to see where its time goes.
func BenchmarkDecideInvite(b *testing.B) {
	s := newStep(&testing.T{})
	req := invite()
	s.msg.Parse(req)
	b.ReportAllocs()
	for b.Loop() {
		s.l.proxy.Request(&s.in)
	}
}
