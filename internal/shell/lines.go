package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/reeflective/readline"
	"github.com/reeflective/readline/inputrc"

	"github.com/carillon-sip/carillon/internal/object"
)

// script reads commands from a file or a pipe.
type script struct {
	sc     *bufio.Scanner
	number int // of the line read last
}

// maxLine bounds a line of a script.
const maxLine = 1 << 20

func newScript(r io.Reader) *script {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	return &script{sc: sc}
}

func (f *script) Line(string) (string, error) {
	if !f.sc.Scan() {
		if err := f.sc.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
	f.number++
	return f.sc.Text(), nil
}

func (f *script) Close() {}

// keyboard reads commands from a terminal: TAB completes, ? helps, the arrows go through what was typed.
type keyboard struct {
	s      *Shell
	rl     *readline.Shell
	prompt string
}

func newTerminal(s *Shell) (*keyboard, error) {
	k := &keyboard{s: s, rl: readline.NewShell(inputrc.WithName("carillon"))}
	k.rl.Prompt.Primary(func() string { return k.prompt })
	k.rl.Completer = k.complete
	if s.cfg.History != "" {
		h, err := openHistory(s.cfg.History)
		if err != nil {
			return nil, err
		}
		k.rl.History.Delete()
		k.rl.History.Add("carillon", h)
	}
	k.rl.Keymap.Register(map[string]func(){"carillon-help": k.question})
	for _, keymap := range []string{"emacs", "emacs-standard", "vi-insert"} {
		// TAB adds what all candidates share and lists them; the next one chooses.
		for key, action := range map[string]string{"?": "carillon-help", "\t": "menu-complete"} {
			if err := k.rl.Config.Bind(keymap, key, action, false); err != nil {
				return nil, err
			}
		}
	}
	if err := k.rl.Config.Set("menu-complete-display-prefix", true); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *keyboard) Line(prompt string) (string, error) {
	k.prompt = prompt
	text, err := k.rl.Readline()
	if errors.Is(err, readline.ErrInterrupt) {
		return "", errInterrupt
	}
	return text, err
}

func (k *keyboard) Close() {}

// question prints help where the cursor stands, unless within quotes, where a ? is one.
func (k *keyboard) question() {
	text := string((*k.rl.Line())[:k.rl.Cursor().Pos()])
	if strings.Count(text, `"`)%2 == 1 || strings.Count(text, "'")%2 == 1 {
		k.rl.Cursor().InsertAt('?')
		return
	}
	var b strings.Builder
	screen := k.s.out
	k.s.out = screen.To(&b)
	k.s.help(context.Background(), text)
	k.s.out = screen
	// The message is a format, and the terminal is raw: a line feed alone does not go back.
	help := strings.TrimRight(b.String(), "\n")
	_, _ = k.rl.Printf("%s", strings.ReplaceAll(help, "\n", "\r\n")) // to the terminal
}

func (k *keyboard) complete(text []rune, cursor int) readline.Completions {
	list := k.s.Complete(context.Background(), string(text[:cursor]))
	var words []string
	for _, c := range list {
		if len(list) == 1 {
			c.Word += " " // nothing is left to choose
		}
		words = append(words, c.Word, c.Help)
	}
	return readline.CompleteValuesDescribed(words...).NoSort()
}

// history keeps typed lines in a file that the user alone may read. What sets a secret is not kept.
type history struct {
	file  string
	lines []string
}

// maxHistory is how many lines are kept.
const maxHistory = 2000

func openHistory(file string) (*history, error) {
	h := &history{file: file}
	if data, err := os.ReadFile(file); err == nil {
		h.lines = strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	if over := len(h.lines) - maxHistory; over > 0 {
		h.lines = h.lines[over:]
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return h, os.WriteFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
}

// Write adds a line.
func (h *history) Write(text string) (int, error) {
	text = strings.TrimSpace(text)
	if text == "" || tellsSecret(text) || len(h.lines) > 0 && h.lines[len(h.lines)-1] == text {
		return len(h.lines), nil
	}
	h.lines = append(h.lines, text)
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return len(h.lines), err
	}
	_, err = fmt.Fprintln(f, text)
	return len(h.lines), errors.Join(err, f.Close())
}

// tellsSecret reports whether a line gives a value to a field that is a secret of some kind.
func tellsSecret(text string) bool {
	for _, w := range strings.Fields(text) {
		w = strings.TrimLeft(w, "-")
		w, _, _ = strings.Cut(w, "=")
		for _, k := range object.Kinds() {
			if info, ok := object.Describe(k.Name, w); ok && info.Secret {
				return true
			}
		}
	}
	return false
}

// GetLine returns a line, the oldest first.
func (h *history) GetLine(i int) (string, error) {
	if i < 0 || i >= len(h.lines) {
		return "", errors.New("there is no such line")
	}
	return h.lines[i], nil
}

// Len is how many lines there are.
func (h *history) Len() int { return len(h.lines) }

// Dump returns all lines.
func (h *history) Dump() interface{} { return h.lines }
