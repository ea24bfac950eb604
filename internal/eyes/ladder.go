package eyes

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/view"
)

// Sizes of a ladder.
const (
	timeWidth    = 19 // of the two times in front
	leastGap     = 15 // between two lanes
	mostGap      = 26
	leastWords   = 22   // of a decision beside an arrow; with less room it goes below
	maxLadders   = 1000 // calls whose lanes are remembered
	plainGap     = 24   // where the width is not known
	balancerName = "carillon"
)

// ladder draws messages as arrows between lanes: those who call on the left, the balancer, its servers on the right. It
// is drawn as messages come, so lanes that show up later begin a new head.
type ladder struct {
	scr   *view.Screen
	full  bool
	calls map[string]*lanes
	last  *lanes // of the message drawn last
}

// lanes are the parties of a call.
type lanes struct {
	id      string
	service string
	left    []netip.AddrPort
	right   []netip.AddrPort
	names   map[netip.AddrPort]string // of servers
	local   netip.AddrPort
	first   time.Time
	before  time.Time // when the last message was
	grown   bool      // a lane has been added since the head was drawn
}

func newLadder(scr *view.Screen, full bool) *ladder {
	return &ladder{scr: scr, full: full, calls: map[string]*lanes{}}
}

// draw draws a message.
func (l *ladder) draw(m *report.TraceMessage) {
	c := l.lanesOf(m)
	if c != l.last || c.grown {
		l.head(c, m)
	}
	l.last = c
	from, to := c.lane(m.Source), -1
	if m.Target != nil {
		to = c.lane(*m.Target)
	}
	times := fmt.Sprintf("%8.3f %+9.3f ", m.At.Sub(c.first).Seconds(), m.At.Sub(c.before).Seconds())
	c.before = m.At
	mid := len(c.left)
	switch {
	case m.What == report.TraceResent || m.What == report.TraceAck:
		l.line(c, times, arrow{mid, to, label(m.Left), false, -1}, decision(m), m)
	case m.What == report.TraceUnreachable:
		l.line(c, times, arrow{from, mid, "unreachable", false, -1}, decision(m), m)
	case m.Target == nil:
		l.line(c, times, arrow{from, mid, label(m.Came), m.Action == "drop", -1}, decision(m), m)
	case m.Action == "answer":
		l.line(c, times, arrow{from, mid, label(m.Came), false, -1}, "", m)
		l.line(c, strings.Repeat(" ", timeWidth), arrow{mid, to, label(m.Left), false, -1}, decision(m), m)
	case from < mid == (to < mid): // in and out on one side: it would cover itself
		l.line(c, times, arrow{from, mid, label(m.Came), false, -1}, "", m)
		l.line(c, strings.Repeat(" ", timeWidth), arrow{mid, to, label(m.Left), false, -1}, decision(m), m)
	default:
		l.line(c, times, arrow{from, to, label(m.Came), false, mid}, decision(m), m)
	}
	if l.full {
		l.text(m)
	}
}

// lanesOf finds the lanes of a message's call, and adds those who are new.
func (l *ladder) lanesOf(m *report.TraceMessage) *lanes {
	key := m.CallID + "\x00" + m.Service
	c := l.calls[key]
	if c == nil {
		if len(l.calls) >= maxLadders {
			clear(l.calls)
		}
		c = &lanes{id: m.CallID, service: m.Service, names: map[netip.AddrPort]string{}, first: m.At, before: m.At, local: m.Local}
		l.calls[key] = c
	}
	c.add(m.Source)
	if m.Target != nil {
		c.add(*m.Target)
	}
	return c
}

func (c *lanes) add(p report.TraceParty) {
	side := &c.left
	if p.Server != "" {
		side = &c.right
		c.names[p.Addr] = p.Server
	}
	if !slices.Contains(c.left, p.Addr) && !slices.Contains(c.right, p.Addr) {
		*side = append(*side, p.Addr)
		c.grown = true
	}
}

// lane is the number of a party's lane, from the left.
func (c *lanes) lane(p report.TraceParty) int {
	if i := slices.Index(c.left, p.Addr); i >= 0 {
		return i
	}
	return len(c.left) + 1 + slices.Index(c.right, p.Addr)
}

func (c *lanes) count() int { return len(c.left) + 1 + len(c.right) }

// gap is how far lanes stand apart.
func (l *ladder) gap(c *lanes) int {
	w := l.scr.Width()
	if w == 0 {
		return plainGap
	}
	room := w - timeWidth - 2
	gaps := max(1, c.count()-1)
	if wide := (room - leastWords - leastGap/2) / gaps; wide >= leastGap {
		return min(wide, mostGap)
	}
	return max(8, min(room/(gaps+1), mostGap)) // decisions go below
}

// column is where a lane stands.
func (l *ladder) column(c *lanes, lane int) int { return l.gap(c)/2 + lane*l.gap(c) }

// head writes whose call it is, and who the lanes are.
func (l *ladder) head(c *lanes, m *report.TraceMessage) {
	c.grown = false
	title := "Call-ID " + clean(m.CallID)
	if m.CallID == "" {
		title = "Without a Call-ID"
	}
	title += "   " + m.Service
	if m.From != "" || m.To != "" {
		title += "   " + clean(m.From) + " -> " + clean(m.To)
	}
	if m.Engine != "" {
		title += "   " + m.Engine + "  " + m.At.Local().Format("15:04:05.000")
	}
	l.out("")
	l.out(l.scr.Paint("bold", l.cut(title)))
	names, addrs := make([]string, c.count()), slices.Concat(c.left, []netip.AddrPort{c.local}, c.right)
	names[len(c.left)] = balancerName
	for i, a := range c.right {
		if n := c.names[a]; n != a.String() {
			names[len(c.left)+1+i] = n
		}
	}
	for _, texts := range append([][]string{names}, places(addrs, l.gap(c)-1)...) {
		if line := l.centred(c, texts); strings.TrimSpace(line) != "" {
			l.out(l.cut(strings.Repeat(" ", timeWidth) + line))
		}
	}
}

// places writes addresses into a line, or addresses and ports into two where lanes are narrow.
func places(addrs []netip.AddrPort, room int) [][]string {
	var whole, hosts, ports []string
	fit := true
	for _, a := range addrs {
		whole, hosts, ports = append(whole, a.String()), append(hosts, a.Addr().String()), append(ports, ":"+strconv.Itoa(int(a.Port())))
		fit = fit && len(a.String()) <= room
	}
	if fit {
		return [][]string{whole}
	}
	return [][]string{hosts, ports}
}

// centred writes texts, each in the middle of its lane.
func (l *ladder) centred(c *lanes, texts []string) string {
	gap := l.gap(c)
	line := []rune(strings.Repeat(" ", gap*len(texts)+gap))
	for i, t := range texts {
		r := []rune(t)
		if len(r) > gap-1 {
			r = append(r[:gap-2], '~')
		}
		copy(line[max(0, l.column(c, i)-len(r)/2):], r)
	}
	return strings.TrimRight(string(line), " ")
}

// arrow goes from one lane to another.
type arrow struct {
	from, to int
	label    string
	ends     bool // nobody gets it
	through  int  // lane that it goes through; -1: none
}

func (l *ladder) line(c *lanes, times string, a arrow, said string, m *report.TraceMessage) {
	width := l.column(c, c.count()-1) + 1
	row := []byte(strings.Repeat(" ", width))
	for i := range c.count() {
		row[l.column(c, i)] = '|'
	}
	x, y := l.column(c, a.from), l.column(c, a.to)
	for i := min(x, y) + 1; i < max(x, y); i++ {
		row[i] = '-'
	}
	head := byte('>')
	at := y - 1
	if y < x {
		head, at = '<', y+1
	}
	row[at] = head
	if a.ends {
		row[y] = 'x'
	}
	if a.through >= 0 {
		row[l.column(c, a.through)] = 'o'
		if near := l.column(c, a.through); y > x {
			row[near-1] = '>'
		} else {
			row[near+1] = '<'
		}
	}
	// the label stands in the first stretch, where its sender is
	end := y
	if a.through >= 0 {
		end = l.column(c, a.through)
	}
	low, high := min(x, end)+2, max(x, end)-2
	text := shorter(a.label, high-low-1)
	copy(row[low+(high-low+1-len(text))/2:], text)
	drawn := l.scr.Paint("faint", times) + l.paint(m, string(row))
	room := l.scr.Width() - timeWidth - width - 2
	switch {
	case said == "":
		l.out(drawn)
	case l.scr.Width() == 0:
		l.out(drawn + "  " + said)
	case room >= leastWords:
		if len(said) > room {
			said = said[:room-1] + "~"
		}
		l.out(drawn + "  " + l.scr.Paint("faint", said))
	default:
		l.out(drawn)
		l.out(l.cut(strings.Repeat(" ", timeWidth) + said))
	}
}

func (l *ladder) paint(m *report.TraceMessage, row string) string {
	status := max(m.Status, m.Answer)
	switch {
	case m.Action == "drop" || status >= 500 || m.What == report.TraceUnreachable:
		return l.scr.Paint("red", row)
	case status >= 300 || m.What == report.TraceResent:
		return l.scr.Paint("yellow", row)
	case status >= 200:
		return l.scr.Paint("green", row)
	}
	return row
}

func (l *ladder) out(line string) { fmt.Fprintln(l.scr.Out, strings.TrimRight(line, " ")) }

func (l *ladder) cut(line string) string {
	if w := l.scr.Width(); w > 0 && len(line) > w {
		return line[:w-1] + "~"
	}
	return line
}

// shorter fits a label into an arrow: the code or the method alone, and only then less.
func shorter(label string, room int) string {
	if len(label) <= room {
		return label
	}
	label, _, _ = strings.Cut(label, " ")
	return label[:max(0, min(room, len(label)))]
}

// label is what stands on an arrow: the method, or status and phrase.
func label(text string) string {
	start, rest, _ := strings.Cut(text, "\r\n")
	start = clean(start)
	if status, ok := strings.CutPrefix(start, "SIP/2.0 "); ok {
		return status
	}
	method, _, ok := strings.Cut(start, " ")
	if !ok || !strings.Contains(start, "SIP/2.0") {
		return "no SIP"
	}
	if strings.Contains(strings.ToLower(rest), "application/sdp") {
		method += " (SDP)"
	}
	return method
}

// decision is what the balancer made of a message, in few words.
func decision(m *report.TraceMessage) string {
	said := words(m.Reason)
	switch {
	case m.What == report.TraceResent:
		return said + ": sent to " + target(m)
	case m.What == report.TraceAck:
		return said + ": the balancer's ACK"
	case m.Reason == "new_call" || strings.HasPrefix(m.Reason, "failed_over"):
		if t := target(m); t != "" {
			said += " -> " + t
		}
	case m.Action == "drop" || m.Action == "answer":
		said += ": " + m.Sentence
	}
	if m.Transport != "" && (m.Transport != "udp" || m.OutTransport != "" && m.OutTransport != "udp") {
		said += ", " + m.Transport
		if m.OutTransport != "" && m.OutTransport != m.Transport {
			said += " to " + m.OutTransport
		}
	}
	if m.LatencyUS > 0 {
		said += fmt.Sprintf(", %.1f ms after its request", float64(m.LatencyUS)/1000)
	}
	return said
}

func target(m *report.TraceMessage) string {
	if m.Target == nil {
		return ""
	}
	if m.Target.Server != "" {
		return m.Target.Server
	}
	return m.Target.Addr.String()
}

// text writes the whole message: what came, with - and + before lines that left otherwise.
func (l *ladder) text(m *report.TraceMessage) {
	came, left := lines(m.Came), lines(m.Left)
	switch {
	case m.Left == "" || m.Action == "answer":
		l.block("  ", came)
		if m.Left != "" {
			l.block("> ", left)
		}
	case m.Came == "" || m.What != report.TraceMessageCame:
		l.block("> ", left)
	default:
		for _, d := range diff(came, left) {
			colour := map[byte]string{'-': "red", '+': "green"}[d[0]]
			if colour == "" {
				l.out("    " + d)
			} else {
				l.out("    " + l.scr.Paint(colour, d))
			}
		}
	}
	l.out("")
}

func (l *ladder) block(mark string, text []string) {
	for _, line := range text {
		l.out("    " + mark + line)
	}
}

// clean is a text without what a terminal would take for commands.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

func lines(text string) []string { return strings.Split(strings.TrimRight(clean(text), "\n"), "\n") }

// diff is the lines of both, with "- " before those of a alone and "+ " before those of b alone.
func diff(a, b []string) []string {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
