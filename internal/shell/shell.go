// Package shell is the shell of `carillon shell`: the grammar of Avi's CLI over the REST API. Commands configure an
// object in sub-modes; only the outermost save sends it. It knows the fields from package object, so a new field needs
// nothing here, and opens no sockets: all goes through the client.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// Config is what a shell is started with.
type Config struct {
	Client  *client.Client
	Screen  *view.Screen // where output goes
	Err     io.Writer    // where errors go
	Version string
	History string // file of typed lines; empty: none is kept
	// Password asks the user for it; nil: it was not typed, so a session cannot time out.
	Password func(prompt string) (string, error)
}

// Shell is a session.
type Shell struct {
	cfg     Config
	c       *client.Client
	out     *view.Screen // of the command that runs
	in      lines
	frames  []*frame // the sub-modes; none: the top
	term    settings
	typed   []string
	script  bool // an error ends it
	done    bool
	details strings.Builder // of the requests of this command
	tracing bool
	zeros   map[string]zero // where counters stood when they were cleared, by path
}

// settings are those of `terminal`.
type settings struct {
	mode     string // interactive, script or linux_command_line
	brief    bool
	length   int           // lines of a page; 0: those of the terminal
	timeout  time.Duration // without a line for so long, the next one asks for the password; 0: never
	location *time.Location
	api      bool // show the requests of every command
}

// lines is where commands come from: a terminal or a file.
type lines interface {
	Line(prompt string) (string, error) // io.EOF at the end, errInterrupt when it was given up
	Close()
}

var errInterrupt = errors.New("interrupted")

// ScriptError says which line of a script failed.
type ScriptError struct {
	Line int
	Err  error
}

func (e *ScriptError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *ScriptError) Unwrap() error { return e.Err }

// New makes a shell.
func New(cfg Config) (*Shell, error) {
	s := &Shell{cfg: cfg, out: cfg.Screen, term: settings{mode: "interactive", timeout: 15 * time.Minute, location: time.Local}}
	conf := cfg.Client.Config()
	conf.Trace = s.trace
	c, err := client.New(conf)
	if err != nil {
		return nil, err
	}
	s.c = c
	return s, nil
}

func (s *Shell) trace(method, u string, body []byte, status int, answer []byte) {
	if !s.tracing {
		return
	}
	fmt.Fprintf(&s.details, "%s %s\n", method, u)
	for _, text := range [][]byte{body, fmt.Appendf(nil, "%d", status), answer} {
		if len(text) > 0 {
			fmt.Fprintf(&s.details, "%s\n", text)
		}
	}
}

// RunScript runs the commands of r and stops at the first that fails.
func (s *Shell) RunScript(ctx context.Context, r io.Reader) error {
	s.script = true
	s.in = newScript(r)
	return s.loop(ctx)
}

// RunTerminal runs what a user types.
func (s *Shell) RunTerminal(ctx context.Context) error {
	in, err := newTerminal(s)
	if err != nil {
		return err
	}
	s.in = in
	defer in.Close()
	fmt.Fprintf(s.out.Out, "Carillon %s at %s. TAB completes, ? helps, exit ends.\n", s.cfg.Version, s.c.Config().Server)
	return s.loop(ctx)
}

func (s *Shell) loop(ctx context.Context) error {
	for n := 1; !s.done; n++ {
		before := time.Now()
		text, err := s.in.Line(s.Prompt())
		if counted, ok := s.in.(*script); ok {
			n = counted.number
		}
		switch {
		case errors.Is(err, errInterrupt):
			continue
		case errors.Is(err, io.EOF) && len(s.frames) > 0 && s.script:
			return &ScriptError{n, fmt.Errorf("the input ends inside %s: nothing of it was saved; a save is missing", s.path())}
		case errors.Is(err, io.EOF) && len(s.frames) > 0:
			fmt.Fprintln(s.cfg.Err, "You are in "+s.path()+": save keeps the changes, cancel drops them.")
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := s.awake(ctx, time.Since(before)); err != nil {
			return err
		}
		if err := s.Do(ctx, text); err != nil {
			if s.script {
				return &ScriptError{n, err}
			}
			s.tell(err)
		}
	}
	return nil
}

// tell prints an error to somebody who can go on.
func (s *Shell) tell(err error) {
	words := err.Error()
	if !strings.Contains(words, "\n") { // what shows a place in a text stays as it is
		words = s.out.Indented(words, len("Error: "))
	}
	fmt.Fprintln(s.cfg.Err, s.out.Paint("red", "Error: ")+words)
	var lost *client.UnreachableError
	if errors.As(err, &lost) && len(s.frames) > 0 {
		fmt.Fprintln(s.cfg.Err, "What you changed is kept: save tries again, cancel drops it.")
	}
}

// Prompt is [user:host]: pool:servers>.
func (s *Shell) Prompt() string {
	host := s.c.Config().Server
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	return fmt.Sprintf("[%s:%s]: %s> ", s.c.Config().User, host, s.path())
}

// path is where in an object the commands are: pool:servers.
func (s *Shell) path() string {
	var parts []string
	for _, f := range s.frames {
		parts = append(parts, f.label)
	}
	return strings.Join(parts, ":")
}

// Do runs one line.
func (s *Shell) Do(ctx context.Context, text string) error {
	l, err := parseLine(text)
	if err != nil {
		return err
	}
	if len(l.words) == 0 && !l.help {
		return nil
	}
	s.typed = append(s.typed, strings.TrimSpace(text))
	if l.help {
		s.help(ctx, strings.TrimSuffix(strings.TrimSpace(text), "?"))
		return nil
	}
	var body []byte
	if l.heredoc != "" {
		if body, err = s.heredoc(l.heredoc); err != nil {
			return err
		}
	}
	s.tracing = l.detail || s.term.api
	s.details.Reset()
	finish, err := s.pipe(l.filters)
	if err != nil {
		return err
	}
	err = s.run(ctx, l.words, body)
	finish()
	if s.details.Len() > 0 {
		fmt.Fprint(s.out.Out, s.details.String())
	}
	return err
}

// run runs the words of a command, where the shell stands.
func (s *Shell) run(ctx context.Context, words []string, body []byte) error {
	if len(s.frames) > 0 {
		return s.inMode(ctx, words)
	}
	c := find(topCommands(), words[0])
	inside := slices.ContainsFunc(modeCommands, func(m Candidate) bool { return m.Word == strings.ToLower(words[0]) })
	if c == nil && inside {
		return fmt.Errorf("%s is for inside of an object, and you are in none: configure TYPE NAME enters one", words[0])
	}
	if c == nil {
		return unknown("command", words[0], namesOf(topCommands()))
	}
	return c.run(s, ctx, words[1:], body)
}

// heredoc reads lines up to one that is the word.
func (s *Shell) heredoc(end string) ([]byte, error) {
	var b strings.Builder
	for {
		text, err := s.in.Line("> ")
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the input ends before %s", end)
		}
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(text) == end {
			return []byte(b.String()), nil
		}
		b.WriteString(text + "\n")
	}
}

func (s *Shell) say(format string, args ...any) { fmt.Fprintf(s.out.Out, format+"\n", args...) }

// unknown says that a word is none of those that may stand there, and which one is near.
func unknown(what, text string, words []string) error {
	if near := object.Nearest(strings.ToLower(text), words); near != "" {
		return fmt.Errorf("unknown %s %q; did you mean %s?", what, text, near)
	}
	const most = 12
	if len(words) > most {
		return fmt.Errorf("unknown %s %q; ? lists what there is", what, text)
	}
	return fmt.Errorf("unknown %s %q; there are: %s", what, text, strings.Join(words, ", "))
}

// readFile returns the content of a file that a value names as file:/path.
func readFile(text string) (string, error) {
	name, ok := strings.CutPrefix(text, "file:")
	if !ok {
		return text, nil
	}
	data, err := os.ReadFile(name)
	return string(data), err
}
