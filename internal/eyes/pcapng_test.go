package eyes

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// invite is a request with a body so long that no packet holds it, for its number of octets.
func invite(id string, body int) string {
	return fmt.Sprintf("INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContent-Length: %d\r\n\r\n%s",
		id, id, body, strings.Repeat("x", body))
}

// tshark lists fields of a capture, a line a packet.
func tshark(t *testing.T, file string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("tshark")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("tshark is not here: apt-get install tshark")
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(out.String())
}

// What is written as a capture, tshark reads as the messages that it was made of: datagrams, and segments that it puts
// together again; of IPv4 and IPv6; two on one connection, in both directions, one too long for a packet, and one of TLS.
func TestPcap(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:40001"), netip.MustParseAddrPort("[2001:db8::7]:40002")
	our4, our6, ourTLS := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("[2001:db8::1]:5060"), netip.MustParseAddrPort("192.0.2.1:5061")
	server, server6 := netip.MustParseAddrPort("10.0.0.1:5060"), netip.MustParseAddrPort("[2001:db8::9]:5060")
	at := time.Unix(1_700_000_000, 0)
	message := func(transport string, from, to netip.AddrPort, text string) *report.TraceMessage {
		at = at.Add(time.Millisecond)
		return &report.TraceMessage{At: at, Transport: transport, Source: report.TraceParty{Addr: from}, Local: to, Came: text, Reason: "new-call", Sentence: "new call"}
	}
	var b bytes.Buffer
	c, err := newCapture(&b)
	if err != nil {
		t.Fatal(err)
	}
	through := message("udp", v4, our4, invite("udp", 3))
	through.OutTransport, through.Out, through.Target, through.Left = "tcp", our4, &report.TraceParty{Addr: server}, invite("left", 10)
	for _, m := range []*report.TraceMessage{
		through,
		message("tcp", server, our4, strings.Replace(invite("back", 5), "INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 180 Ringing", 1)),
		message("tcp", v4, our4, invite("one", 20)), message("tcp", v4, our4, invite("long", 150_000)), message("tcp", v4, our4, invite("three", 7)),
		message("tcp", v6, our6, invite("six", 90_000)), message("udp", server6, our6, invite("udpsix", 1)),
		message("tls", v4, ourTLS, invite("tls", 4)),
		message("udp", v4, our6, invite("mixed", 0)), message("udp", v4, netip.AddrPort{}, invite("nowhere", 0)), message("udp", v4, our4, invite("jumbo", 70_000)),
	} {
		if err := c.message(m); err != nil {
			t.Fatal(err)
		}
	}
	if c.unfit != 3 {
		t.Errorf("%d messages do not fit, want 3", c.unfit)
	}
	file := filepath.Join(t.TempDir(), "c.pcapng")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tshark(t, file, "-Y", "sip", "-T", "fields", "-E", "separator= ", "-e", "sip.Call-ID", "-e", "sip.Content-Length", "-e", "sip.Status-Code", "-e", "tcp.stream", "-e", "ipv6.src")
	want := "udp 3   \nleft 10  0 \nback 5 180 0 \none 20  1 \nlong 150000  1 \nthree 7  1 \nsix 90000  2 2001:db8::7\nudpsix 1   2001:db8::9\ntls 4  3 "
	if got != strings.TrimSpace(want) {
		t.Errorf("tshark reads\n%s\nwant\n%s", got, want)
	}
	if bad := tshark(t, file, "-Y", "_ws.malformed || ip.checksum.status==0 || udp.checksum.status==0 || tcp.checksum.status==0 || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || tcp.analysis.out_of_order || tcp.analysis.retransmission"); bad != "" {
		t.Errorf("tshark finds faults:\n%s", bad)
	}
}
