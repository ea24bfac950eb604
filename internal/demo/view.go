package demo

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/carillon-sip/carillon/internal/demo/ua"
)

// screen is a picture being drawn.
type screen struct {
	look
	frame
	width, height int
	selected      int
	help          bool
	lines         []string
}

// The least the view is drawn in; on a smaller terminal it is cut off.
const (
	leastWidth  = 40
	leastHeight = 10
	tallHeight  = 32 // from here on servers have two lines, and the sparkline more than one
)

// render draws a frame: exactly height lines of at most width cells each.
func render(f frame, l look, width, height, selected int, help bool) string {
	s := &screen{look: l, frame: f, width: max(width, leastWidth), height: max(height, leastHeight), selected: selected, help: help}
	s.head()
	s.servers()
	s.callers()
	s.balancer()
	foot := s.foot()
	if room := s.height - len(s.lines) - len(foot); help {
		s.helpText(room)
	} else {
		s.log(room)
	}
	s.lines = append(s.lines[:min(len(s.lines), s.height-len(foot))], foot...)
	s.lines = s.lines[:min(len(s.lines), height)]
	for i, line := range s.lines {
		s.lines[i] = ansi.Truncate(line, width, "")
	}
	return strings.Join(s.lines, "\n")
}

func (s *screen) add(line string) {
	s.lines = append(s.lines, ansi.Truncate(line, s.width, s.ellipsis))
}

// spread puts right at the right edge, if there is room.
func (s *screen) spread(left, right string) string {
	gap := s.width - lipgloss.Width(left) - lipgloss.Width(right) - 1
	if gap < 1 {
		return left
	}
	return left + strings.Repeat(" ", gap) + right
}

func (s *screen) rule(title, right string) {
	left := s.label.Render(s.glyphs.rule) + " " + s.title.Render(title) + " "
	if right != "" {
		right = " " + right + " " + s.glyphs.rule
	}
	n := s.width - lipgloss.Width(left) - lipgloss.Width(right)
	if n < 0 {
		n, right = s.width-lipgloss.Width(left), ""
	}
	s.add(left + s.label.Render(strings.Repeat(s.glyphs.rule, max(n, 0))+right))
}

func (s *screen) head() {
	asked := trim(s.rate) + " calls/s"
	if s.paused {
		asked = s.warn.Render("paused")
	}
	left := " " + s.title.Render("Carillon") + "  " + s.name.Render("udp "+s.listen.String())
	right := fmt.Sprintf("%s, %s  %s", count(s.phones, "phone"), asked, clock(s.now))
	if more := left + s.label.Render("  consistent hash of the Call-ID"); lipgloss.Width(more+right)+3 < s.width {
		left = more
	}
	s.add(s.spread(left, right))
}

// column of the server table.
type column struct {
	title string
	width int // with the space in front
}

var columns = [...]column{
	{"share", 6}, {"calls", 6}, {"new/s", 6}, {"req/s", 7}, {"open", 5}, {"p50", 6}, {"p99", 6},
}

const (
	nameWidth  = 9
	addrWidth  = 16
	stateWidth = 11
)

func (s *screen) servers() {
	s.rule("servers", "share of the hash, latency in ms")
	head := fmt.Sprintf("  %-*s%-*s%-*s", nameWidth, "server", addrWidth, "address", stateWidth, "state")
	for _, c := range columns {
		head += fmt.Sprintf("%*s", c.width, c.title)
	}
	s.add(s.label.Render(head))
	for i := range s.rows {
		s.server(i)
	}
}

func (s *screen) server(i int) {
	r := &s.rows[i]
	mark, name := "  ", s.name
	if i == s.selected {
		mark, name = s.pointer+" ", s.chosen
	}
	word, style := s.state(r.State)
	line := mark + name.Render(r.name) + pad(r.name, nameWidth) + ansi.Truncate(r.addr.String(), addrWidth-1, s.ellipsis) +
		pad(r.addr.String(), addrWidth) + style.Render(word) + pad(word, stateWidth)
	reason := r.Reason
	if !r.alive {
		reason = joinNonEmpty("; ", "killed", reason)
	}
	tall := s.height >= tallHeight
	if r.State == stateUp || r.calls > 0 || tall || reason == "" {
		cells := []string{
			percent(r.HashShare), strconv.Itoa(r.calls), rate(r.callRate), rate(r.requestRate),
			strconv.FormatInt(r.Open, 10), millis(r.p50), millis(r.p99),
		}
		for j, c := range columns {
			line += fmt.Sprintf("%*s", c.width, cells[j])
		}
	} else { // nothing to count: the reason takes the place of the numbers
		line += s.label.Render(fmt.Sprintf("%*s  %s", columns[0].width, percent(r.HashShare), r.Reason))
	}
	s.add(line)
	if tall {
		s.add("  " + s.shareBar(r.HashShare, style) + "  " + s.label.Render(reason))
	}
}

// shareBar draws a share of the whole.
func (s *screen) shareBar(share float64, style lipgloss.Style) string {
	const cells = nameWidth + addrWidth - 1
	n := int(share*cells + 0.5)
	return style.Render(strings.Repeat(s.full, n)) + s.label.Render(strings.Repeat(s.part, cells-n))
}

func (s *screen) callers() {
	t := &s.totals
	s.rule("phones", fmt.Sprintf("%s calls/s, %s up", rate(s.placing), human(uint64(t.Up))))
	for _, line := range s.sparkline() {
		s.add(line)
	}
	ended := func(o ua.Outcome, style lipgloss.Style) string {
		n := t.Of(o)
		if n == 0 {
			style = s.label
		}
		return style.Render(o.String() + " " + human(n))
	}
	s.add("  " + strings.Join([]string{
		"placed " + human(t.Placed), ended(ua.Completed, s.value), ended(ua.HungUp, s.value), ended(ua.Cancelled, s.value),
		ended(ua.Busy, s.value), ended(ua.Failed, s.bad), ended(ua.Lost, s.bad),
	}, "  "))
	astray := s.label
	if t.Strayed > 0 {
		astray = s.bad
	}
	s.add("  " + strings.Join([]string{
		"ring " + times(t.Ringing), "answer " + times(t.Setup), "registered " + human(t.Registered),
		astray.Render("left their server " + human(t.Strayed)),
	}, "  "))
}

// times writes the median and the 99th percentile.
func times(q ua.Quantiles) string {
	if q.P50 == 0 {
		return "-"
	}
	return millis(q.P50) + "/" + millis(q.P99) + " ms"
}

// sparkline draws the calls of the last seconds, the newest at the right.
func (s *screen) sparkline() []string {
	rows := 1
	if s.height >= tallHeight {
		rows = 3
	}
	width := s.width - 3
	bars := s.frame.bars[max(len(s.frame.bars)-width, 0):]
	top := max(s.rate, 1)
	for _, b := range bars {
		top = max(top, b.calls)
	}
	top *= 1.25 // so that a steady rate is not a solid block
	lines := make([]string, 0, rows)
	for y := rows - 1; y >= 0; y-- {
		var b strings.Builder
		b.WriteString("  " + strings.Repeat(" ", width-len(bars)))
		for _, x := range bars {
			cell, style := s.cell(x.calls/top*float64(rows)-float64(y), y == 0), s.spark
			if x.bad {
				style = s.bad
			}
			b.WriteString(style.Render(cell))
		}
		lines = append(lines, b.String())
	}
	return lines
}

// cell is the character for a height, 1 being a full cell; on the bottom row there is always something.
func (s *screen) cell(height float64, bottom bool) string {
	n := int(height*float64(len(s.levels)) + 0.5)
	switch {
	case n >= len(s.levels):
		return s.levels[len(s.levels)-1]
	case n >= 1:
		return s.levels[n-1]
	case bottom:
		return s.levels[0]
	}
	return " "
}

func (s *screen) balancer() {
	st := &s.status
	s.rule("balancer", fmt.Sprintf("%s transactions and %s calls remembered, revision %d",
		human(uint64(st.Transactions)), human(uint64(st.Calls)), st.Revision))
	pairs := make([]string, 0, len(st.Responses))
	for _, code := range slices.Sorted(maps.Keys(st.Responses)) {
		name := strconv.Itoa(code)
		if code < 100 { // the rest of a class
			name += "xx"
		}
		text := name + " " + human(st.Responses[code])
		if code >= 500 {
			text = s.bad.Render(text)
		}
		pairs = append(pairs, text)
	}
	s.labelled("responses", pairs)
	s.labelled("routed by", s.reasons(st.Routed, s.value))
	s.labelled("dropped", s.reasons(st.Dropped, s.warn))
}

// reasons writes what was counted, without what never happened.
func (s *screen) reasons(counts []ReasonCount, style lipgloss.Style) []string {
	var texts []string
	for _, c := range counts {
		if c.Count > 0 {
			texts = append(texts, style.Render(strings.ReplaceAll(c.Reason, "_", " ")+" "+human(c.Count)))
		}
	}
	if len(texts) == 0 {
		texts = []string{s.label.Render("nothing")}
	}
	return texts
}

func (s *screen) labelled(name string, values []string) {
	s.add("  " + s.label.Render(fmt.Sprintf("%-10s", name)) + strings.Join(values, "  "))
}

// clockWidth is the room of an event's time and the space around it.
const clockWidth = 12

// log shows as many events as there is room for, the newest last; long ones take several lines.
func (s *screen) log(room int) {
	if room < 2 {
		return
	}
	s.rule("events", "")
	room--
	var lines []string // newest event first, its lines in order
	for i := len(s.events) - 1; i >= 0 && len(lines) < room; i-- {
		e := &s.events[i]
		text := strings.Split(ansi.Wordwrap(e.text, s.width-clockWidth-1, ""), "\n")
		for k, part := range text {
			at := s.label.Render(clock(e.at))
			if k > 0 {
				at = strings.Repeat(" ", len(clock(e.at)))
			}
			text[k] = "  " + at + "  " + s.tone(e.tone).Render(part)
		}
		lines = append(text, lines...)
	}
	lines = lines[max(len(lines)-room, 0):]
	for _, line := range lines {
		s.add(line)
	}
	for range room - len(lines) {
		s.add("")
	}
}

var helpLines = []string{
	"1 2 3  select a server (also up, down)",
	"k      kill it: its socket closes, its calls are lost, nobody says goodbye",
	"r      revive it: a health check finds it, its share of the hash comes back",
	"d      drain it: calls up stay, new ones go elsewhere; again: enable it",
	"+ -    more or fewer calls a second; p: no new calls; q: hang up and end",
	"open   transactions without a final response; p50, p99 of the last 10 s",
	"left their server: calls that another server answered in; must be 0",
	"hash: new calls; token: by our Record-Route; Call-ID: the place remembered",
}

func (s *screen) helpText(room int) {
	if room < 2 {
		return
	}
	s.rule("help", "any key closes it")
	for i := range room - 1 {
		line := ""
		if i < len(helpLines) {
			line = "  " + helpLines[i]
		}
		s.add(line)
	}
}

// foot is the last lines: how to join in, and the keys.
func (s *screen) foot() []string {
	at := reachable(s.listen)
	phone := fmt.Sprintf(" softphone: sip:1001@%v password %s, then call 1002 or echo", at, ua.Password)
	if full := fmt.Sprintf(" point a softphone at it: register sip:1001@%v with user 1001, password %s; then call 1002 or echo",
		at, ua.Password); len(full) < s.width {
		phone = full
	}
	var keys strings.Builder
	selecting := "1"
	if n := len(s.rows); n > 1 {
		selecting = fmt.Sprintf("1-%d", n)
	}
	for _, k := range [][2]string{
		{selecting, "select"}, {"k", "kill"}, {"r", "revive"}, {"d", "drain"}, {"+ -", "calls/s"}, {"p", "pause"},
		{"?", "help"}, {"q", "quit"},
	} {
		keys.WriteString(" " + s.key.Render(k[0]) + " " + s.label.Render(k[1]) + " ")
	}
	return []string{s.label.Render(phone), strings.TrimRight(keys.String(), " ")}
}

// pad is the space that brings text to a width, at least one cell.
func pad(text string, width int) string {
	return strings.Repeat(" ", max(width-lipgloss.Width(text), 1))
}

// percent writes a share in five characters.
func percent(share float64) string {
	if share >= 0.9995 {
		return "100%"
	}
	return fmt.Sprintf("%.1f%%", 100*share)
}

// trim writes a rate with as many digits as are of use.
func trim(x float64) string {
	if x >= 99.95 || x == float64(int(x)) {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'f', 1, 64)
}

// rate writes a measured rate, so that it does not jump about in a column.
func rate(x float64) string {
	if x >= 99.95 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'f', 1, 64)
}

// human writes a count in at most five characters from 100,000 on.
func human(n uint64) string {
	switch {
	case n < 100_000:
		return strconv.FormatUint(n, 10)
	case n < 10_000_000:
		return fmt.Sprintf("%.0fk", float64(n)/1e3)
	}
	return fmt.Sprintf("%.0fM", float64(n)/1e6)
}

// millis writes a time in milliseconds, without the unit.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

func clock(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func joinNonEmpty(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), sep)
}
