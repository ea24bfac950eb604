package view

import (
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Screen is where output goes.
type Screen struct {
	Out      io.Writer
	Color    bool
	Terminal bool
	width    func() int // nil: as wide as it takes
}

// NewScreen looks at a file: a terminal has a width, and colours unless NO_COLOR or TERM=dumb says otherwise.
func NewScreen(f *os.File) *Screen {
	s := &Screen{Out: f}
	if !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.Terminal = true
	s.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	s.width = func() int {
		w, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return w
	}
	return s
}

// To returns a screen of the same looks that writes elsewhere.
func (s *Screen) To(w io.Writer) *Screen {
	other := *s
	other.Out = w
	return &other
}

// Width is how many columns there are; 0: as many as it takes.
func (s *Screen) Width() int {
	if s.width == nil {
		return 0
	}
	return s.width()
}

// Height is how many lines a terminal has; 0: none is known.
func (s *Screen) Height() int {
	if !s.Terminal {
		return 0
	}
	_, h, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return h
}

// Paint colours text: green, red, yellow, cyan, bold or faint.
func (s *Screen) Paint(colour, words string) string {
	if !s.Color || words == "" {
		return words
	}
	codes := map[string]string{"green": "32", "red": "31", "yellow": "33", "cyan": "36", "bold": "1", "faint": "2"}
	return "\x1b[" + codes[colour] + "m" + words + "\x1b[0m"
}

// state colours a word that says how something is.
func (s *Screen) state(word string) string {
	switch word {
	case "OPER_UP":
		return s.Paint("green", word)
	case "OPER_DOWN", "OPER_FAILED", "OPER_UNAVAIL":
		return s.Paint("red", word)
	case "OPER_DISABLED", "OPER_INACTIVE", "OPER_INITIALIZING", "OPER_PARTITIONED":
		return s.Paint("yellow", word)
	}
	return word
}

// gap is what stands between columns of a table, and border what a grid has beside one.
const (
	gap    = 2
	border = 3
)

// Table writes columns without lines between them, each line cut to the width.
func (s *Screen) Table(head []string, rows [][]string) {
	widths, room := s.fit(head, rows, gap, 0), s.Width()
	line := func(cells []string, paint func(string) string) {
		var b strings.Builder
		for i, cell := range cells {
			cell = oneLine(cell)
			if w := text.StringWidthWithoutEscSequences(cell); w > widths[i] {
				cell = text.Snip(cell, widths[i], "~")
			}
			if i < len(cells)-1 {
				b.WriteString(paint(text.Pad(cell, widths[i]+gap, ' ')))
			} else {
				b.WriteString(paint(cell))
			}
		}
		text := strings.TrimRight(b.String(), " ")
		if room > 0 { // more columns than there is room for
			text = Cut(text, room)
		}
		_, _ = io.WriteString(s.Out, text+"\n") // a reader that has gone
	}
	line(head, func(w string) string { return s.Paint("bold", w) })
	for _, row := range rows {
		line(row, func(w string) string { return s.stateIn(w) })
	}
}

// Cut ends a line at a width, with a ~ where something is missing.
func Cut(line string, room int) string {
	if text.StringWidthWithoutEscSequences(line) <= room {
		return line
	}
	return text.Snip(line, room, "~")
}

// Wrapped writes columns like Table, but what the last one has no room for goes on below it, word by word.
func (s *Screen) Wrapped(head []string, rows [][]string) {
	const least = 20
	last := len(head) - 1
	widths, indent := make([]int, len(head)), 0
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	for _, w := range widths[:last] {
		indent += w + gap
	}
	room := s.Width()
	if room > 0 && room-indent < least {
		indent = min(indent, 4) // the last column stands below the others
	}
	for i, row := range append([][]string{head}, rows...) {
		var b strings.Builder
		for j, cell := range row[:last] {
			b.WriteString(text.Pad(cell, widths[j]+gap, ' '))
		}
		start := b.String()
		if text.StringWidthWithoutEscSequences(start) > indent {
			start = strings.TrimRight(start, " ") + "\n" + strings.Repeat(" ", indent)
		}
		line := start + wrap(row[last], room-indent, indent)
		if i == 0 {
			line = s.Paint("bold", line)
		}
		_, _ = io.WriteString(s.Out, strings.TrimRight(line, " ")+"\n") // a reader that has gone
	}
}

// Indented breaks at words what stands behind an indent; the lines behind the first get it too.
func (s *Screen) Indented(words string, indent int) string {
	return wrap(words, max(0, s.Width()-indent), indent)
}

// Wrap breaks a line at words, as wide as the terminal; lines behind the first begin with an indent.
func (s *Screen) Wrap(line string, indent int) string {
	room := s.Width()
	if room <= 0 || text.StringWidthWithoutEscSequences(line) <= room {
		return line
	}
	return wrap(line, room-indent, indent)
}

// wrap breaks a text at words into lines of a width, with an indent before each but the first. A word that is longer stays
// whole: it may be something to copy.
func wrap(words string, room, indent int) string {
	if room <= 0 {
		return words
	}
	var b strings.Builder
	at := 0
	for i, w := range strings.Split(words, " ") {
		n := text.StringWidthWithoutEscSequences(w)
		switch {
		case i > 0 && at+1+n > room:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = 0
		case i > 0:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(w)
		at += n
	}
	return b.String()
}

func (s *Screen) stateIn(padded string) string {
	word := strings.TrimRight(padded, " ")
	return s.state(word) + padded[len(word):]
}

// Grid writes Avi's grid, +---+. Long values go on in the next line.
func (s *Screen) Grid(head []string, rows [][]string) {
	widths := s.fit(head, rows, border, 1)
	if room := s.Width(); room > 0 && len(head) > 2 && gridWidth(widths) > room { // some columns would not be seen at all
		s.records(head, rows)
		return
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	var columns []table.ColumnConfig
	for i := range head {
		columns = append(columns, table.ColumnConfig{Number: i + 1, WidthMax: widths[i], WidthMaxEnforcer: text.WrapHard})
	}
	t.SetColumnConfigs(columns)
	if room := s.Width(); room > 0 {
		t.SetAllowedRowLength(room)
	}
	t.AppendHeader(cells(head, func(w string) string { return w }))
	for _, row := range rows {
		t.AppendRow(cells(row, s.state))
	}
	_, _ = io.WriteString(s.Out, t.Render()+"\n") // a reader that has gone
}

func gridWidth(widths []int) int {
	total := 1
	for _, w := range widths {
		total += w + border
	}
	return total
}

// records writes a grid for each row, with a line for each column.
func (s *Screen) records(head []string, rows [][]string) {
	for _, row := range rows {
		var pairs [][]string
		for i, cell := range row {
			pairs = append(pairs, []string{head[i], cell})
		}
		s.Grid([]string{"Field", "Value"}, pairs)
	}
}

func cells(texts []string, paint func(string) string) table.Row {
	out := make(table.Row, len(texts))
	for i, t := range texts {
		out[i] = paint(t)
	}
	return out
}

// fit finds how wide columns may be: the widest give way first.
func (s *Screen) fit(head []string, rows [][]string, between, edge int) []int {
	const least = 6
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			for line := range strings.SplitSeq(cell, "\n") {
				widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(line))
			}
		}
	}
	room := s.Width()
	if room <= 0 {
		return widths
	}
	for {
		total, widest := edge, 0
		for i, w := range widths {
			total += w + between
			if w > widths[widest] {
				widest = i
			}
		}
		if edge == 0 {
			total -= between
		}
		if total <= room || widths[widest] <= least {
			return widths
		}
		widths[widest] -= min(total-room, max(1, widths[widest]-second(widths, widest)), widths[widest]-least)
	}
}

// second is the width of the widest column but one.
func second(widths []int, widest int) int {
	out := 0
	for i, w := range widths {
		if i != widest {
			out = max(out, w)
		}
	}
	return out
}

func oneLine(s string) string {
	if first, _, more := strings.Cut(s, "\n"); more {
		return first + " ..."
	}
	return s
}
