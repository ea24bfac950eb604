package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// corpus is where the messages of RFC 4475 are, if they are there: they are not part of this repository.
const corpus = "../../shared/corpora/rfc4475"

// Every message of RFC 4475 as a datagram to the running balancer: what leaves it, to the servers and to the client, is
// what EXPECT.tsv says.
func TestRFC4475(t *testing.T) {
	lab.RequireIsolation(t) // the messages name addresses of others
	table, err := os.ReadFile(filepath.Join(corpus, "EXPECT.tsv"))
	if err != nil {
		t.Skipf("the messages of RFC 4475 are not on this machine: %v", err)
	}
	if lab.StandIn() {
		t.Skip("the stand-in refuses many of them")
	}
	s := startSinks(t, lab.Setup{Workers: 1}, true)
	client := lab.Addr(t, "127.0.0.2")
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(client))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, row := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		columns := strings.Split(row, "\t")
		data, err := os.ReadFile(filepath.Join(corpus, columns[0]))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(columns[0], ".dat"), func(t *testing.T) {
			c := &tortureCase{t: t, sinks: s, conn: conn, client: client, sent: data, expect: strings.Split(columns[3], "|"), why: columns[4]}
			c.run()
		})
	}
}

// tortureCase is one message on its way through the balancer.
type tortureCase struct {
	*sinks
	t      *testing.T
	conn   *net.UDPConn
	client netip.AddrPort
	sent   []byte
	expect []string // outcomes allowed
	why    string
	got    []lab.Packet // what the balancer sent because of it
}

func (c *tortureCase) run() {
	before := len(c.wire.Packets())
	if bytes.HasPrefix(c.sent, []byte("SIP/2.0 ")) {
		c.answerWithIt()
	} else {
		c.send(c.sent)
	}
	// Twice, because the first fence and the message may leave in one batch, to two servers.
	c.fence()
	c.fence()
	for _, p := range c.wire.Packets()[before:] {
		if p.Src == c.balancer.Addr && !bytes.Contains(p.Data, []byte(fenceID)) && !isProbe(p) {
			c.got = append(c.got, p)
		}
	}
	outcome := c.outcome()
	if !slices.ContainsFunc(c.expect, func(e string) bool { return matches(e, outcome) }) {
		c.t.Errorf("outcome %s, want %s (%s)\nsent:\n%s\nthe balancer sent:\n%s", outcome, strings.Join(c.expect, " or "), c.why, c.sent, c.show())
		return
	}
	c.check(outcome)
}

const fenceID = "fence-of-the-torture-test"

// isProbe says that the datagram is one of the balancer's health probes: an OPTIONS of its own, with no Via but its own.
func isProbe(p lab.Packet) bool {
	m, ok := lab.ReadMessage(p)
	return ok && !m.IsResponse() && m.Method() == "OPTIONS" && len(m.Headers("Via", "v")) == 1
}

func (c *tortureCase) send(data []byte) {
	c.t.Helper()
	if _, err := c.conn.WriteToUDPAddrPort(data, c.balancer.Addr); err != nil {
		c.t.Fatal(err)
	}
}

var fences int

// fence sends a request that is surely forwarded and waits until it was: all before it has then been dealt with.
func (c *tortureCase) fence() {
	c.t.Helper()
	fences++
	id := fmt.Sprintf("%s-%d", fenceID, fences)
	c.send(c.request("MESSAGE", id))
	c.wire.Await(id, func(p lab.Packet) bool {
		return p.Src == c.balancer.Addr && bytes.Contains(p.Data, []byte("Call-ID: "+id+"\r\n"))
	})
}

func (c *tortureCase) request(method, id string) []byte {
	return fmt.Appendf(nil, "%[1]s sip:x@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[4]s\r\nMax-Forwards: 70\r\n"+
		"From: <sip:t@%[3]s>;tag=t\r\nTo: <sip:x@%[2]s>\r\nCall-ID: %[4]s\r\nCSeq: 1 %[1]s\r\nContent-Length: 0\r\n\r\n",
		method, c.balancer.Addr, c.client, id)
}

// answerWithIt lets a server answer a request with the response: with the Vias, and what else belongs together, of the
// request as the server got it. The rest of the response stays as it is.
func (c *tortureCase) answerWithIt() {
	c.t.Helper()
	start, _, _ := bytes.Cut(c.sent, []byte("\r\n"))
	id := "answered-" + strconv.Itoa(len(c.sent))
	c.send(c.request("INVITE", id))
	p := c.wire.Await("request at a server", func(p lab.Packet) bool {
		return slices.Contains(c.addrs, p.Dst) && bytes.Contains(p.Data, []byte("Call-ID: "+id+"\r\n"))
	})
	request, _ := lab.ReadMessage(p)
	server := c.servers[slices.Index(c.addrs, p.Dst)]
	response := append(slices.Clone(start), "\r\n"...)
	vias := request.Headers("Via", "v")
	torture, _ := lab.ReadMessage(lab.Packet{Data: c.sent})
	if second := torture.Headers("Via", "v"); len(second) > 1 && strings.Contains(second[1], "255.255.255.255") {
		vias = append(vias[:1], second[1:]...) // bcast: the next Via is a broadcast address
	}
	for _, via := range vias {
		response = fmt.Appendf(response, "Via: %s\r\n", via)
	}
	head, body, _ := bytes.Cut(c.sent, []byte("\r\n\r\n"))
	bad := bytes.Contains(c.sent, []byte("CSeq: 9292394834772304023312 ")) // scalarlg: the number is the point
	for _, line := range bytes.Split(head, []byte("\r\n"))[1:] {
		name := strings.ToLower(strings.TrimSpace(strings.Split(string(line), ":")[0]))
		switch {
		case name == "via" || name == "v" || strings.HasPrefix(string(line), " "):
		case name == "call-id" || name == "i":
			response = fmt.Appendf(response, "Call-ID: %s\r\n", id)
		case name == "cseq" && !bad:
			response = append(response, "CSeq: 1 INVITE\r\n"...)
		default:
			response = append(append(response, line...), "\r\n"...)
		}
	}
	response = append(append(response, "\r\n"...), body...)
	c.sent = response
	c.wire.Sync()
	server.Send(c.t, response, c.balancer.Addr)
}

// outcome names what the balancer did: "drop", "forward", "forward-response", or the status code it answered.
func (c *tortureCase) outcome() string {
	var out []string
	for _, p := range c.got {
		m, ok := lab.ReadMessage(p)
		switch {
		case p.Dst.Addr() == c.client.Addr() && ok && m.IsResponse() && bytes.HasPrefix(c.sent, []byte("SIP/2.0 ")):
			out = append(out, "forward-response")
		case p.Dst.Addr() == c.client.Addr() && ok && m.IsResponse():
			out = append(out, strconv.Itoa(m.Status()))
		case slices.Contains(c.addrs, p.Dst) && bytes.Contains(p.Data, []byte("Call-ID: answered-")):
		case slices.Contains(c.addrs, p.Dst):
			out = append(out, "forward")
		default:
			out = append(out, "sent to "+p.Dst.String())
		}
	}
	if len(out) == 0 {
		return "drop"
	}
	return strings.Join(out, " and ")
}

// matches compares an outcome with a word of EXPECT.tsv, which sometimes says how it forwards.
func matches(expect, outcome string) bool {
	if outcome == "forward" {
		return expect == "forward" || expect == "forward-first-only" || expect == "forward-normalised" || expect == "forward-stripped"
	}
	return expect == outcome || expect == "hold" && outcome == "drop"
}

func (c *tortureCase) show() string {
	var b strings.Builder
	for _, p := range c.got {
		fmt.Fprintf(&b, "to %s:\n%s\n", p.Dst, p.Data)
	}
	return b.String()
}

// check looks closer at an outcome that is allowed.
func (c *tortureCase) check(outcome string) {
	c.t.Helper()
	switch {
	case outcome == "forward":
		want := c.sent
		if slices.Contains(c.expect, "forward-first-only") {
			want = upToContentLength(want)
		}
		normalised := slices.ContainsFunc(c.expect, func(e string) bool { return strings.HasPrefix(e, "forward-") && e != "forward-first-only" })
		for _, fault := range changes(want, c.got[0].Data, c.balancer.Addr.String()) {
			if !normalised {
				c.t.Errorf("%s\nsent:\n%s\nforwarded:\n%s", fault, want, c.got[0].Data)
			}
		}
	case outcome == "forward-response":
		// All that may change is that the balancer's Via is gone.
		start, rest, _ := bytes.Cut(c.sent, []byte("\r\n"))
		_, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		want := slices.Concat(start, []byte("\r\n"), rest)
		if got := c.got[len(c.got)-1].Data; !bytes.Equal(got, want) {
			c.t.Errorf("forwarded:\n%s\nwant:\n%s", got, want)
		}
	case outcome == "400":
		m, _ := lab.ReadMessage(c.got[0])
		if strings.HasSuffix(m.Start, "400 Bad Request") || strings.HasSuffix(m.Start, "400 ") {
			c.t.Errorf("the reason phrase does not name the fault: %q", m.Start)
		}
		c.t.Log(m.Start)
	case outcome == "420":
		c.checkUnsupported()
	}
}

// checkUnsupported: Unsupported names the option tags of Proxy-Require that we do not know, which is all, and no other.
func (c *tortureCase) checkUnsupported() {
	c.t.Helper()
	request, _ := lab.ReadMessage(lab.Packet{Data: c.sent})
	answer, _ := lab.ReadMessage(c.got[0])
	tags := func(lines []string) []string {
		return slices.Sorted(slices.Values(strings.FieldsFunc(strings.Join(lines, ","), func(r rune) bool { return r == ',' || r == ' ' })))
	}
	if want, got := tags(request.Headers("Proxy-Require")), tags(answer.Headers("Unsupported")); !slices.Equal(want, got) {
		c.t.Errorf("Unsupported %q, want %q", got, want)
	}
}

// upToContentLength cuts a message at the end that its Content-Length gives it.
func upToContentLength(data []byte) []byte {
	m, _ := lab.ReadMessage(lab.Packet{Data: data})
	length, _ := strconv.Atoi(m.Header("Content-Length", "l"))
	head := bytes.Index(data, []byte("\r\n\r\n")) + 4
	return data[:head+length]
}

var (
	viaParameters = regexp.MustCompile(`(?i);\s*(received|rport)(=[0-9a-f.:\[\]]*)?`)
	maxForwards   = regexp.MustCompile(`(?i)^max-forwards\s*:\s*(\d+)\s*$`)
)

// changes compares what was sent with what was forwarded, line by line, and names what a proxy may not have done. It
// may have put lines of its own in (Via, Record-Route, a missing Max-Forwards), completed the topmost Via with received
// and rport, and taken one from Max-Forwards.
func changes(sent, forwarded []byte, self string) []string {
	before, after := bytes.Split(sent, []byte("\r\n")), bytes.Split(forwarded, []byte("\r\n"))
	var faults []string
	decremented, ownVia := false, false
	i := 0
	for _, line := range after {
		switch {
		case i < len(before) && bytes.Equal(line, before[i]):
			i++
		case !ownVia && strings.HasPrefix(string(line), "Via: ") && bytes.Contains(line, []byte(self)):
			ownVia = true
		case strings.HasPrefix(string(line), "Record-Route: ") && bytes.Contains(line, []byte(self)):
		case i < len(before) && sameBut(viaParameters, before[i], line):
			i++
		case i < len(before) && oneLess(before[i], line):
			decremented = true
			i++
		case string(line) == "Max-Forwards: 70" && !decremented:
			decremented = true
		case i < len(before):
			faults = append(faults, fmt.Sprintf("%q became %q", before[i], line))
			i++
		default:
			faults = append(faults, fmt.Sprintf("%q was added", line))
		}
	}
	if i != len(before) {
		faults = append(faults, fmt.Sprintf("%d lines at the end are missing", len(before)-i))
	}
	if !ownVia {
		faults = append(faults, "no Via of the balancer was added")
	}
	if !decremented {
		faults = append(faults, "Max-Forwards is not one less, nor was it added")
	}
	return faults
}

func sameBut(parameters *regexp.Regexp, a, b []byte) bool {
	return bytes.Equal(parameters.ReplaceAll(a, nil), parameters.ReplaceAll(b, nil))
}

func oneLess(before, after []byte) bool {
	a, b := maxForwards.FindSubmatch(before), maxForwards.FindSubmatch(after)
	if a == nil || b == nil {
		return false
	}
	x, _ := strconv.Atoi(string(a[1]))
	y, _ := strconv.Atoi(string(b[1]))
	return y == x-1
}
