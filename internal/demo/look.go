package demo

import (
	"image/color"
	"os"
	"strings"

	"charm.land/lipgloss/v2"
)

// look is how things are drawn: the colours, and the characters.
type look struct {
	title, label, value, name, chosen, good, warn, bad, spark, key lipgloss.Style
	glyphs
}

// glyphs are the characters beyond ASCII that the view draws with.
type glyphs struct {
	levels                                []string // of a bar, lowest first, without the empty one
	full, part                            string   // of the bar of a share
	rule, pointer, sep, ellipsis          string
	up, down, disabled, draining, unclear string
}

var unicodeGlyphs = glyphs{
	levels: strings.Split("▁▂▃▄▅▆▇█", ""), full: "█", part: "░", rule: "─", pointer: "▸", sep: "·", ellipsis: "…",
	up: "●", down: "✗", disabled: "○", draining: "◐", unclear: "?",
}

var asciiGlyphs = glyphs{
	levels: strings.Split("_.:-=+*#", ""), full: "#", part: ".", rule: "-", pointer: ">", sep: "|", ellipsis: "~",
	up: "*", down: "x", disabled: "o", draining: "%", unclear: "?",
}

// newLook chooses the characters by what the locale can show, and the colours unless NO_COLOR is set to anything. They
// are the sixteen the user's terminal gives, so that they fit its background.
func newLook(env func(string) string) look {
	l := look{glyphs: asciiGlyphs}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set decides: locale(7)
		if v := strings.ToLower(env(name)); v != "" {
			if strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") {
				l.glyphs = unicodeGlyphs
			}
			break
		}
	}
	bold := lipgloss.NewStyle().Bold(true)
	colored := func(s lipgloss.Style, c color.Color) lipgloss.Style { return s.Foreground(c) }
	if env("NO_COLOR") != "" {
		colored = func(s lipgloss.Style, _ color.Color) lipgloss.Style { return s }
	}
	plain := lipgloss.NewStyle()
	l.value = plain
	l.label = plain.Faint(true)
	l.name = bold
	l.chosen = bold.Reverse(true)
	l.title = colored(bold, lipgloss.Cyan)
	l.good = colored(plain, lipgloss.Green)
	l.warn = colored(plain, lipgloss.Yellow)
	l.bad = colored(bold, lipgloss.Red)
	l.spark = colored(plain, lipgloss.Cyan)
	l.key = bold
	return l
}

func osLook() look { return newLook(os.Getenv) }

// state is a server's state with its sign, and the style of both: the words are enough where there is no colour.
func (l *look) state(state string) (string, lipgloss.Style) {
	switch state {
	case stateUp:
		return l.up + " " + state, l.good
	case stateDown:
		return l.down + " " + state, l.bad
	case stateDisabled:
		return l.disabled + " " + state, l.warn
	case stateBackoff:
		return l.disabled + " " + state, l.warn
	case stateDraining:
		return l.draining + " " + state, l.warn
	}
	return l.unclear + " " + stateUnknown, l.warn
}

func (l *look) tone(t tone) lipgloss.Style {
	return [...]lipgloss.Style{info: l.value, good: l.good, warn: l.warn, bad: l.bad}[t]
}
