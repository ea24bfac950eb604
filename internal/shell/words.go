package shell

import (
	"errors"
	"fmt"
	"strings"
)

// line is one command as it was typed.
type line struct {
	words   []string
	filters [][]string // behind each |
	heredoc string     // the word behind <<; empty: none
	detail  bool       // --api-detail
	help    bool       // ? at the end
}

// parseLine splits a line into words: by spaces, with quotes and backslashes as a Unix shell has them.
func parseLine(text string) (line, error) {
	words, err := split(text)
	if err != nil {
		return line{}, err
	}
	var l line
	at := &l.words
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w.quoted:
			*at = append(*at, w.text)
		case w.text == "|":
			l.filters = append(l.filters, nil)
			at = &l.filters[len(l.filters)-1]
		case strings.HasPrefix(w.text, "<<"):
			l.heredoc = strings.TrimPrefix(w.text, "<<")
			if l.heredoc == "" && i+1 < len(words) {
				i++
				l.heredoc = words[i].text
			}
			if l.heredoc == "" {
				return l, errors.New("<< needs the word that ends the text, such as << END")
			}
		case w.text == "--api-detail" || w.text == "--api_detail":
			l.detail = true
		case strings.HasSuffix(w.text, "?") && i == len(words)-1:
			l.help = true
		default:
			*at = append(*at, w.text)
		}
	}
	for _, f := range l.filters {
		if len(f) == 0 {
			return l, errors.New("nothing stands behind |: expected grep, more, filter, begin or count")
		}
	}
	return l, nil
}

type word struct {
	text   string
	quoted bool
}

func split(text string) ([]word, error) {
	var out []word
	var b strings.Builder
	var quote rune
	started, quoted, escaped := false, false, false
	end := func() {
		if started {
			out = append(out, word{b.String(), quoted})
		}
		b.Reset()
		started, quoted = false, false
	}
	for _, r := range text {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, started = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(r)
		case r == '"' || r == '\'':
			quote, started, quoted = r, true, true
		case r == ' ' || r == '\t':
			end()
		case r == '|':
			end()
			out = append(out, word{"|", false})
		case r == '#' && !started:
			end()
			return out, nil
		default:
			b.WriteRune(r)
			started = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is open at the end of the line", quote)
	}
	if escaped {
		return nil, errors.New("a backslash stands at the end of the line")
	}
	end()
	return out, nil
}

// quoteWord writes a word so that parseLine reads it back.
func quoteWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t|#\"'\\<?") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
