package shell

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/view"
)

// filter takes lines and gives those that stay.
type filter func(lines []string) []string

// filterWords are what may stand behind |.
var filterWords = []Candidate{
	{"grep", "[-i] [-v] [-e] TEXT: lines that have it"}, {"filter", "FIELD VALUE: lines that have both"}, {"begin", "TEXT: from the first line that has it"},
	{"count", "how many lines there are"}, {"more", "page by page"},
}

// pipe puts filters behind the output of a command. What it returns must be called at its end.
func (s *Shell) pipe(filters [][]string) (finish func(), err error) {
	if len(filters) == 0 {
		return func() {}, nil
	}
	var list []filter
	more := false
	for _, words := range filters {
		if words[0] == "more" {
			more = true
			continue
		}
		f, err := makeFilter(words)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	screen := s.out
	var b bytes.Buffer
	s.out = screen.To(&b)
	s.out.Color = screen.Color && len(list) == 0
	return func() {
		s.out = screen
		lines := strings.SplitAfter(b.String(), "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		for _, f := range list {
			lines = f(lines)
		}
		if more && screen.Terminal && !s.script {
			s.page(screen, lines)
			return
		}
		_, _ = io.WriteString(screen.Out, strings.Join(lines, "")) // a reader that has gone
	}, nil
}

func makeFilter(words []string) (filter, error) {
	args := words[1:]
	switch words[0] {
	case "grep":
		return makeGrep(args)
	case "filter":
		if len(args) != 2 {
			return nil, fmt.Errorf("expected | filter FIELD VALUE")
		}
		return keep(func(line string) bool { return strings.Contains(line, args[0]) && strings.Contains(line, args[1]) }), nil
	case "begin":
		if len(args) != 1 {
			return nil, fmt.Errorf("expected | begin TEXT")
		}
		return func(lines []string) []string {
			i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, args[0]) })
			if i < 0 {
				return nil
			}
			return lines[i:]
		}, nil
	case "count":
		return func(lines []string) []string { return []string{fmt.Sprintf("%d\n", len(lines))} }, nil
	}
	var known []string
	for _, w := range filterWords {
		known = append(known, w.Word)
	}
	return nil, unknown("filter", words[0], known)
}

func makeGrep(args []string) (filter, error) {
	invert, fold := false, false
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-e":
		case "-v":
			invert = true
		case "-i":
			fold = true
		default:
			return nil, unknown("option of grep", args[0], []string{"-e", "-i", "-v"})
		}
		args = args[1:]
	}
	if len(args) != 1 {
		return nil, fmt.Errorf("expected | grep [-i] [-v] [-e] TEXT")
	}
	text := args[0]
	return keep(func(line string) bool {
		has := strings.Contains(line, text) || fold && strings.Contains(strings.ToLower(line), strings.ToLower(text))
		return has != invert
	}), nil
}

func keep(ok func(string) bool) filter {
	return func(lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return !ok(line) })
	}
}

// page shows lines page by page: Enter goes on, q ends.
func (s *Shell) page(screen *view.Screen, lines []string) {
	size := s.term.length
	if size == 0 {
		size = screen.Height() - 1
	}
	if size < 2 {
		size = 23
	}
	for len(lines) > 0 {
		n := min(size, len(lines))
		_, _ = io.WriteString(screen.Out, strings.Join(lines[:n], "")) // a reader that has gone
		if lines = lines[n:]; len(lines) == 0 {
			return
		}
		answer, err := s.in.Line(fmt.Sprintf("-- more: %d lines; Enter goes on, q ends -- ", len(lines)))
		if err != nil || strings.HasPrefix(strings.TrimSpace(answer), "q") {
			return
		}
	}
}
