package sip

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"
)

// inviteText is what a phone sends: 17 header fields, one Via, SDP; about 1 KB.
var inviteText = []byte(strings.ReplaceAll(`INVITE sip:bob@biloxi.example.com;transport=udp SIP/2.0
Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK-524287-1---74bf9f1c2a3d5e6f;rport
Max-Forwards: 70
From: "Alice Liddell" <sip:alice@atlanta.example.com>;tag=9fxced76sl
To: <sip:bob@biloxi.example.com>
Call-ID: 3848276298220188511-4f2a91@client.atlanta.example.com
CSeq: 314159 INVITE
Contact: <sip:alice@192.0.2.101:5060;transport=udp>
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, UPDATE
Supported: replaces, timer, 100rel, outbound, path, gruu
User-Agent: Example Softphone 4.7.11 (linux x86_64)
Session-Expires: 1800;refresher=uac
Min-SE: 90
Accept: application/sdp, application/dtmf-relay
Date: Fri, 24 Jul 2026 10:21:56 GMT
P-Preferred-Identity: <sip:alice@atlanta.example.com>
Content-Type: application/sdp
Content-Length: 200

v=0
o=alice 2890844526 2890844526 IN IP4 192.0.2.101
s=-
c=IN IP4 192.0.2.101
t=0 0
m=audio 49172 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
`, "\n", "\r\n"))

var okText = []byte(strings.ReplaceAll(`SIP/2.0 200 OK
Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKd4b0a1c2e3f405162738495a6b7c8d9e
Via: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bK-524287-1---74bf9f1c2a3d5e6f;rport=5060;received=192.0.2.101
Record-Route: <sip:203.0.113.5;lr;t=0123456789abcdef0123456789abcdef>
From: "Alice Liddell" <sip:alice@atlanta.example.com>;tag=9fxced76sl
To: <sip:bob@biloxi.example.com>;tag=8321234356
Call-ID: 3848276298220188511-4f2a91@client.atlanta.example.com
CSeq: 314159 INVITE
Contact: <sip:bob@192.0.2.201:5060;transport=udp>
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, UPDATE
Server: Example PBX 18.2
Content-Type: application/sdp
Content-Length: 129

v=0
o=bob 2890844527 2890844527 IN IP4 192.0.2.201
s=-
c=IN IP4 192.0.2.201
t=0 0
m=audio 3456 RTP/AVP 0
a=rtpmap:0 PCMU/8000
`, "\n", "\r\n"))

func BenchmarkParseINVITE(b *testing.B) {
	var m Msg
	if f := m.Parse(inviteText); f != NoFault {
		b.Fatal(f, m.ErrPos, len(m.Body()))
	}
	b.SetBytes(int64(len(inviteText)))
	b.ReportAllocs()
	for b.Loop() {
		m.Parse(inviteText)
	}
}

func BenchmarkParse200(b *testing.B) {
	var m Msg
	if f := m.Parse(okText); f != NoFault {
		b.Fatal(f, m.ErrPos, len(m.Body()))
	}
	b.SetBytes(int64(len(okText)))
	b.ReportAllocs()
	for b.Loop() {
		m.Parse(okText)
	}
}

func BenchmarkEditINVITE(b *testing.B) {
	var m Msg
	var e Edit
	m.Parse(inviteText)
	via := []byte("Via: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKd4b0a1c2e3f405162738495a6b7c8d9e\r\n")
	rr := []byte("Record-Route: <sip:203.0.113.5;lr;t=0123456789abcdef0123456789abcdef>\r\n")
	ip := netip.MustParseAddr("198.51.100.23")
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(&m)
		e.PushVia(via)
		e.SetReceived(ip, 40123, true, true)
		e.PushRecordRoute(rr)
		e.SetMaxForwards(69)
		dst = e.Apply(dst[:0])
	}
}

func BenchmarkEdit200(b *testing.B) {
	var m Msg
	var e Edit
	m.Parse(okText)
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(&m)
		e.PopVia()
		dst = e.Apply(dst[:0])
	}
}

// hostileText is as large as a datagram can be and made of what costs: folds, quotes, escapes, commas, odd names, and at
// the end no empty line.
var hostileText = hostile()

func hostile() []byte {
	var b strings.Builder
	b.WriteString("INVITE sip:" + strings.Repeat(";", 2000) + "@h" + strings.Repeat(";a", 1000) + " SIP/2.0\r\n")
	b.WriteString("Via: SIP/2.0/UDP h" + strings.Repeat(";a", 1000) + strings.Repeat("\r\n ,x;y=\"\\\"\"", 1000) + "\r\n")
	b.WriteString("From: \"" + strings.Repeat("\\a", 2000) + "\" <sip:a>\r\n")
	b.WriteString("To:" + strings.Repeat("\r\n ", 2000) + "<sip:b>\r\n")
	b.WriteString("Route: <sip:a>" + strings.Repeat(",<sip:a>", 62) + "\r\n")
	b.WriteString("Call-ID: " + strings.Repeat("@", 4000) + "\r\n")
	b.WriteString("CSeq: " + strings.Repeat("0", 4000) + "1 INVITE\r\n")
	for b.Len() < MaxMessage-40 {
		b.WriteString("x:\r\n \r\n")
	}
	return []byte(b.String())
}

// BenchmarkHostileParse: the worst datagrams cost in proportion to their size.
func BenchmarkHostileParse(b *testing.B) {
	var m Msg
	b.SetBytes(int64(len(hostileText)))
	b.ReportAllocs()
	for b.Loop() {
		m.Parse(hostileText)
	}
}

// BenchmarkParseTorture parses all messages of the torture set in turn, so that no branch is foretold.
func BenchmarkParseTorture(b *testing.B) {
	var texts [][]byte
	for _, c := range tortureCases(b) {
		if !c.bad() {
			texts = append(texts, readTorture(b, c.file))
		}
	}
	var m Msg
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Parse(texts[i%len(texts)])
	}
}

// BenchmarkParseINVITEBySipgo is the yardstick beside it.
func BenchmarkParseINVITEBySipgo(b *testing.B) {
	p := sipgo.NewParser()
	b.SetBytes(int64(len(inviteText)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.ParseSIP(inviteText); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReply(b *testing.B) {
	var m Msg
	m.Parse(inviteText)
	r := Reply{Status: 503, Reason: "No Server Up", ToTag: []byte("0123456789abcdef"), Received: source4}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = m.AppendReply(dst[:0], &r)
	}
}

// BenchmarkParseMany reads INVITEs whose names, hosts, tags and Call-IDs differ in length, in no order: the branches of
// one message that is read again and again are known by heart, those of traffic are not.
func BenchmarkParseMany(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(most int) string {
		const chars = "abcdefghijklmnopqrstuvwxyz0123456789"
		s := make([]byte, 1+r.IntN(most))
		for i := range s {
			s[i] = chars[r.IntN(len(chars))]
		}
		return string(s)
	}
	var texts [1024][]byte
	for i := range texts {
		text := string(inviteText)
		for _, old := range []string{"bob", "alice", "Alice Liddell", "biloxi", "atlanta", "client", "3848276298220188511", "4f2a91", "9fxced76sl", "74bf9f1c2a3d5e6f", "Softphone"} {
			text = strings.ReplaceAll(text, old, word(2*len(old)))
		}
		texts[i] = []byte(text)
		var m Msg
		if f := m.Parse(texts[i]); f != NoFault && f != FaultContentLengthBeyond {
			b.Fatal(f)
		}
	}
	var m Msg
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		m.Parse(texts[i%len(texts)])
		i += 7
	}
}
