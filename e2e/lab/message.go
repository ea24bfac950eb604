//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"net/netip"
)

// Message is a recorded datagram that looks like SIP. The few fields the tests ask for are read here once more, on
// purpose not with the balancer's own reader: what judges it must not share its errors.
type Message struct {
	Packet
	Start  string // start line
	CallID string
	CSeq   string // e.g. "1 INVITE"
}

// ReadMessage reads the start line, Call-ID and CSeq; ok is false for a datagram that is no SIP message.
func ReadMessage(p Packet) (m Message, ok bool) {
	start, _, found := bytes.Cut(p.Data, []byte("\r\n"))
	if !found || !bytes.Contains(start, []byte("SIP/2.0")) {
		return m, false
	}
	m = Message{Packet: p, Start: string(start)}
	m.CallID = m.Header("Call-ID", "i")
	m.CSeq = m.Header("CSeq")
	return m, true
}

// IsResponse says that the message is a response.
func (m Message) IsResponse() bool { return strings.HasPrefix(m.Start, "SIP/2.0 ") }

// Status is the status code, 0 for a request.
func (m Message) Status() int {
	if !m.IsResponse() {
		return 0
	}
	code, _, _ := strings.Cut(m.Start[len("SIP/2.0 "):], " ")
	n, _ := strconv.Atoi(code)
	return n
}

// Method is the method of a request, and of a response the method of its CSeq.
func (m Message) Method() string {
	if m.IsResponse() {
		_, method, _ := strings.Cut(m.CSeq, " ")
		return strings.TrimSpace(method)
	}
	method, _, _ := strings.Cut(m.Start, " ")
	return method
}

// Word is what a ladder is written in: the method of a request, the status code of a response.
func (m Message) Word() string {
	if m.IsResponse() {
		return strconv.Itoa(m.Status())
	}
	return m.Method()
}

// Branch is the branch parameter of the topmost Via.
func (m Message) Branch() string {
	via, _, _ := strings.Cut(m.Header("Via", "v"), ",")
	_, branch, _ := strings.Cut(via, "branch=")
	branch, _, _ = strings.Cut(branch, ";")
	return strings.TrimSpace(branch)
}

// Header is the first value of a header field, without folding; empty if there is none.
func (m Message) Header(names ...string) string {
	if values := m.Headers(names...); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Headers returns the header field's lines in order, folded lines joined by a space.
func (m Message) Headers(names ...string) []string {
	head, _, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	var out []string
	inside := false
	for _, line := range strings.Split(string(head), "\r\n")[1:] {
		if line != "" && (line[0] == ' ' || line[0] == '\t') {
			if inside {
				out[len(out)-1] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		inside = false
		for _, want := range names {
			if strings.EqualFold(strings.TrimSpace(name), want) {
				inside = true
				out = append(out, strings.TrimSpace(value))
			}
		}
	}
	return out
}

// Body is what follows the empty line.
func (m Message) Body() []byte {
	_, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	return body
}

// Distinct leaves out what was sent again: a retransmission has the same bytes.
func Distinct(messages []Message) []Message {
	type sending struct {
		src, dst netip.AddrPort
		bytes    string
	}
	seen := make(map[sending]bool)
	var out []Message
	for _, m := range messages {
		s := sending{m.Src, m.Dst, string(m.Data)}
		if !seen[s] {
			out = append(out, m)
		}
		seen[s] = true
	}
	return out
}

// Calls are the recorded SIP messages by Call-ID, each call's in the order of the wire.
type Calls struct {
	ByID map[string][]Message
	IDs  []string // in order of their first message
}

// Calls sorts what was recorded so far by Call-ID.
func (c *Capture) Calls() Calls {
	c.t.Helper()
	calls := Calls{ByID: make(map[string][]Message)}
	for _, p := range c.Packets() {
		m, ok := ReadMessage(p)
		if !ok {
			continue
		}
		if _, known := calls.ByID[m.CallID]; !known {
			calls.IDs = append(calls.IDs, m.CallID)
		}
		calls.ByID[m.CallID] = append(calls.ByID[m.CallID], m)
	}
	return calls
}

// Names gives the parties of a ladder their names.
type Names map[netip.AddrPort]string

func (n Names) of(a netip.AddrPort) string {
	if name, ok := n[a]; ok {
		return name
	}
	return a.String()
}

// Step writes a message as "from -> to WORD", the form in which a test states its expectation.
func (n Names) Step(m Message) string {
	return fmt.Sprintf("%s -> %s %s", n.of(m.Src), n.of(m.Dst), m.Word())
}

// Ladder draws the messages for a reader: time since the first, from, to, start line.
func (n Names) Ladder(messages []Message) string {
	if len(messages) == 0 {
		return "(no message)"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ladder of Call-ID %s\n", messages[0].CallID)
	for _, m := range messages {
		since := m.At.Sub(messages[0].At).Round(time.Microsecond)
		start := m.Start
		if m.IsResponse() {
			start += "  (" + m.CSeq + ")"
		}
		fmt.Fprintf(&b, "%12.6f  %22s -> %-22s %s\n", since.Seconds(), n.of(m.Src), n.of(m.Dst), start)
	}
	return b.String()
}
