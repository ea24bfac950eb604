package eyes

import (
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// topSample brings what the engines told, or why they did not.
type topSample struct {
	s   *sample
	err error
}

// topModel is the view as bubbletea wants it.
type topModel struct {
	o             TopOptions
	was, is       *sample
	err           error
	by            string // column
	reverse       bool
	typing        bool // the filter
	paused        bool
	help          bool
	from          int // first row that is shown
	width, height int
}

func (m topModel) Init() tea.Cmd { return nil }

func (m topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case topSample:
		switch {
		case msg.err != nil:
			m.err = msg.err
		case !m.paused && msg.s.at.After(m.is.at):
			m.was, m.is, m.err = m.is, msg.s, nil
		}
	case tea.KeyPressMsg:
		if m.typing {
			return m.typed(msg), nil
		}
		return m.key(msg.String())
	}
	return m, nil
}

// typed takes a key into the filter.
func (m topModel) typed(msg tea.KeyPressMsg) topModel {
	switch key := msg.String(); key {
	case "enter":
		m.typing = false
	case "esc", "ctrl+c":
		m.typing, m.o.Filter = false, ""
	case "backspace":
		if r := []rune(m.o.Filter); len(r) > 0 {
			m.o.Filter = string(r[:len(r)-1])
		}
	default:
		m.o.Filter += msg.Text
	}
	return m
}

func (m topModel) key(key string) (tea.Model, tea.Cmd) {
	if m.help && key != "q" && key != "ctrl+c" {
		m.help = false
		return m, nil
	}
	heads := table(m.o.View, &sample{}, &sample{}).head
	column := max(0, slices.IndexFunc(heads, func(h string) bool { return strings.EqualFold(h, m.by) }))
	turn := func(view string) { m.o.View, m.by, m.from = view, "", 0 }
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "tab":
		turn(topViews[(slices.Index(topViews, m.o.View)+1)%len(topViews)])
	case "1", "2", "3", "4":
		turn(topViews[key[0]-'1'])
	case "s", "right":
		m.by = heads[(column+1)%len(heads)]
	case "S", "left":
		m.by = heads[(column+len(heads)-1)%len(heads)]
	case "r":
		m.reverse = !m.reverse
	case "/":
		m.typing = true
	case "p", "space":
		m.paused = !m.paused
	case "down":
		m.from++
	case "up":
		m.from = max(0, m.from-1)
	case "?", "h":
		m.help = true
	}
	return m, nil
}

func (m topModel) View() tea.View {
	if m.width == 0 {
		return tea.NewView("")
	}
	v := tea.NewView(m.render())
	v.AltScreen = true
	v.WindowTitle = "carillon top"
	return v
}

var topHelp = []string{
	"tab, 1 to 4   another view: servers, virtual services, methods, codes",
	"s S, arrows   sort by the next column, or the one before; r: the other way round",
	"/             filter: lines that hold a text; Esc ends it",
	"p             pause; q: end",
	"req/s 2xx ..  a second, since the look before; a dot is none, - is not known",
	"ms            mean response time since the look before; p50 and p99 in ms since the engine started",
	"Share         of the keys of the hash; Moved: transactions taken to another server",
	"Until         a server that drains is disabled for good then",
	"own           answers of the balancer itself; dropped: messages that came to nothing",
}

// topKeys is how wide the keys stand in topHelp.
const topKeys = 14

// hanging breaks a text at words; what it is of stands before its first line.
func hanging(of, text string, width int) []string {
	const least = 20
	indent := len(of)
	if width-indent < least {
		indent = 2
	}
	lines := strings.Split(ansi.Wordwrap(text, max(1, width-len(of)), ""), "\n")
	out := []string{of + lines[0]}
	if rest := strings.Join(lines[1:], " "); rest != "" {
		for line := range strings.SplitSeq(ansi.Wordwrap(rest, max(1, width-indent), ""), "\n") {
			out = append(out, strings.Repeat(" ", indent)+line)
		}
	}
	return out
}

// givingWay are the columns that a narrow terminal has no room for, the first to go first.
var givingWay = []string{"Moved", "6xx", "3xx", "2xx", "INVITE", "own", "Open", "Share", "p50", "4xx", "ms", "dropped", "Until", "Pool"}

// narrow takes columns out of a table until it fits, but never the one it is sorted by.
func (m topModel) narrow(g *grid) (widths []int) {
	total := 0
	for i, h := range g.head {
		w := len(h) + 1
		for _, r := range g.rows {
			w = max(w, lipgloss.Width(r[i].text))
		}
		widths = append(widths, w)
		total += w + 1
	}
	for _, name := range givingWay {
		i := g.column(name)
		if total-1 <= m.width {
			break
		}
		if i < 0 || strings.EqualFold(name, m.by) {
			continue
		}
		total -= widths[i] + 1
		widths, g.head = slices.Delete(widths, i, i+1), slices.Delete(slices.Clone(g.head), i, i+1)
		for j := range g.rows {
			g.rows[j] = slices.Delete(g.rows[j], i, i+1)
		}
	}
	return widths
}

// render draws the whole: no line is wider than the terminal.
func (m topModel) render() string {
	bold, faint, mark := lipgloss.NewStyle().Bold(true), lipgloss.NewStyle().Faint(true), lipgloss.NewStyle().Reverse(true)
	if os.Getenv("NO_COLOR") != "" {
		mark = bold
	}
	var out []string
	for _, line := range hanging("Carillon  ", m.is.at.Local().Format("15:04:05")+"  "+summary(m.was, m.is), m.width) {
		out = append(out, bold.Render(line))
	}
	var tabs []string
	for i, v := range topViews {
		label := " " + string(rune('1'+i)) + " " + v + " "
		if v == m.o.View {
			label = mark.Render(label)
		}
		tabs = append(tabs, label)
	}
	line := strings.Join(tabs, " ")
	if m.paused {
		line += "  PAUSED"
	}
	switch {
	case m.typing:
		line += "  /" + m.o.Filter + "_"
	case m.o.Filter != "":
		line += "  holds " + m.o.Filter
	}
	out = append(out, ansi.Truncate(line, m.width, "~"))
	if m.err != nil {
		out = append(out, ansi.Truncate("No answer: "+m.err.Error(), m.width, "~"))
	}
	if m.help {
		for _, line := range topHelp {
			out = append(out, hanging(line[:topKeys], line[topKeys:], m.width)...)
		}
	} else {
		out = append(out, m.rows(m.height-len(out)-1)...)
	}
	for len(out) < m.height-1 {
		out = append(out, "")
	}
	out = append(out[:max(0, m.height-1)], faint.Render("tab view  s sort  r turn  / filter  p pause  ? help  q quit"))
	for i := range out {
		out[i] = ansi.Truncate(out[i], m.width, "")
	}
	return strings.Join(out, "\n")
}

// rows draws as much of the table as there is room for.
func (m topModel) rows(room int) []string {
	g := table(m.o.View, m.was, m.is)
	g.arrange(m.by, m.o.Filter, m.reverse)
	widths := m.narrow(g)
	var head strings.Builder
	for i, h := range g.head {
		if strings.EqualFold(h, m.by) || m.by == "" && i == 0 {
			h += "*"
		}
		head.WriteString(place(h, widths[i], len(g.rows) > 0 && !g.rows[0][i].word) + " ")
	}
	out := []string{lipgloss.NewStyle().Underline(true).Render(ansi.Truncate(head.String(), m.width, "~"))}
	from := min(m.from, max(0, len(g.rows)-1))
	for _, r := range g.rows[from:min(len(g.rows), from+max(0, room-1))] {
		var b strings.Builder
		for i, c := range r {
			b.WriteString(paintState(place(c.text, widths[i], !c.word), c.text) + " ")
		}
		out = append(out, b.String())
	}
	if len(g.rows) == 0 {
		out = append(out, "Nothing to show.")
	}
	return out
}

func place(s string, width int, right bool) string {
	gap := strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
	if right {
		return gap + s
	}
	return s + gap
}

func paintState(padded, word string) string {
	colour := map[string]string{"up": "2", "down": "1", "draining": "3", "disabled": "3", "backoff": "3", "initializing": "3"}[word]
	if colour == "" || os.Getenv("NO_COLOR") != "" {
		return padded
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Color(colour)).Render(padded)
}
