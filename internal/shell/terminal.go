package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
)

// setting is one of `terminal`.
type setting struct {
	words []string // that it takes; nil: any
	takes string   // for people
	help  string
	set   func(s *Shell, value string) error
	shown func(s *Shell) string
}

var terminalSettings = map[string]setting{
	"mode": {[]string{"interactive", "script", "linux_command_line"}, "", "script: show prints YAML; linux_command_line: configure takes --FIELD VALUE, is sent at once and enters nothing",
		func(s *Shell, value string) error { s.term.mode = value; return nil }, func(s *Shell) string { return s.term.mode }},
	"output": {[]string{"brief", "detailed"}, "", "brief: defaults are left out",
		func(s *Shell, value string) error { s.term.brief = value == "brief"; return nil },
		func(s *Shell) string { return map[bool]string{true: "brief", false: "detailed"}[s.term.brief] }},
	"length": {nil, "LINES", "lines of a page for | more; 0: those of the terminal", (*Shell).setLength, func(s *Shell) string { return strconv.Itoa(s.term.length) }},
	"session_timeout": {nil, "MINUTES", "without a line for so long, the next one asks for the password first; 0: never",
		(*Shell).setTimeout, (*Shell).shownTimeout},
	"timezone": {nil, "ZONE", "such as UTC or Europe/Berlin", (*Shell).setZone, func(s *Shell) string { return s.term.location.String() }},
	"display_api_details": {[]string{"true", "false"}, "", "show the requests of every command",
		func(s *Shell, value string) error { s.term.api = value == "true"; return nil }, func(s *Shell) string { return fmt.Sprint(s.term.api) }},
}

func (t setting) wants(name string) error {
	takes := t.takes
	if t.words != nil {
		takes = strings.Join(t.words, "|")
	}
	return fmt.Errorf("expected terminal %s %s: %s", name, takes, t.help)
}

func completeTerminal(s *Shell, _ context.Context, words []string) []Candidate {
	var out []Candidate
	switch len(words) {
	case 0:
		for _, name := range slices.Sorted(maps.Keys(terminalSettings)) {
			out = append(out, Candidate{name, terminalSettings[name].help})
		}
	case 1:
		for _, w := range terminalSettings[words[0]].words {
			out = append(out, Candidate{w, ""})
		}
	}
	return out
}

// terminal shows the settings, or changes one: terminal NAME VALUE, terminal display_api_details, terminal no NAME.
func (s *Shell) terminal(_ context.Context, words []string, _ []byte) error {
	names := slices.Sorted(maps.Keys(terminalSettings))
	if len(words) == 0 {
		var rows [][]string
		for _, name := range names {
			rows = append(rows, []string{name, terminalSettings[name].shown(s)})
		}
		s.out.Grid([]string{"Setting", "Value"}, rows)
		return nil
	}
	off := words[0] == "no" && len(words) == 2
	if off {
		words = words[1:]
	}
	name := strings.ToLower(words[0])
	t, known := terminalSettings[name]
	switch {
	case !known:
		return unknown("setting", words[0], names)
	case off && name == "display_api_details":
		return t.set(s, "false")
	case off && name == "session_timeout", off && name == "length":
		return t.set(s, "0")
	case name == "display_api_details" && len(words) == 1:
		return t.set(s, "true")
	case off || len(words) != 2 || t.words != nil && !slices.Contains(t.words, words[1]):
		return t.wants(name)
	}
	return t.set(s, words[1])
}

func (s *Shell) setLength(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return fmt.Errorf("terminal length: %q is no number of lines from 0 on", value)
	}
	s.term.length = n
	return nil
}

func (s *Shell) setZone(value string) error {
	loc, err := time.LoadLocation(value)
	if err != nil {
		return fmt.Errorf("terminal timezone: %q is not known here: expected UTC, Local, or one such as Europe/Berlin", value)
	}
	s.term.location = loc
	return nil
}

// noTimeout says why a session does not time out where the password was not typed.
const noTimeout = "the password comes from CARILLON_PASSWORD or a context, so whoever sits here could start another shell: the session does not time out"

func (s *Shell) setTimeout(value string) error {
	d, err := time.ParseDuration(value)
	if n, convErr := strconv.Atoi(value); convErr == nil {
		d, err = time.Duration(n)*time.Minute, nil
	}
	switch {
	case err != nil || d < 0:
		return fmt.Errorf("terminal session_timeout: %q is no time: expected minutes, or one such as 90s; 0: never", value)
	case s.cfg.Password == nil && s.script:
		return errors.New("terminal session_timeout: a script has no session: every request logs in by itself")
	case s.cfg.Password == nil:
		return errors.New("terminal session_timeout: " + noTimeout)
	}
	s.term.timeout = d
	return nil
}

func (s *Shell) shownTimeout() string {
	switch {
	case s.cfg.Password == nil:
		return "never: the password was not typed here"
	case s.term.timeout == 0:
		return "never"
	case s.term.timeout%time.Minute == 0:
		return fmt.Sprintf("%d mins", int(s.term.timeout.Minutes()))
	}
	return s.term.timeout.String()
}

// passwordTries is how often a session that has timed out asks.
const passwordTries = 3

// awake has whoever types after a long pause prove that it is still the user. What was entered is kept.
func (s *Shell) awake(ctx context.Context, idle time.Duration) error {
	if s.cfg.Password == nil || s.term.timeout == 0 || idle < s.term.timeout {
		return nil
	}
	fmt.Fprintf(s.cfg.Err, "The session has timed out: nothing was typed for %s.\n", idle.Round(time.Second))
	if len(s.frames) > 0 {
		fmt.Fprintf(s.cfg.Err, "What you entered in %s is kept.\n", s.path())
	}
	for range passwordTries {
		password, err := s.cfg.Password("Password of " + s.c.Config().User + ": ")
		if err != nil {
			return err
		}
		conf := s.c.Config()
		conf.Password = password
		c, err := client.New(conf)
		if err != nil {
			return err
		}
		var refused *client.Error
		if _, err = c.Do(ctx, http.MethodGet, "/api/whoami", nil); err == nil {
			s.c = c
			return nil
		} else if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
			return err
		}
		fmt.Fprintln(s.cfg.Err, err)
	}
	return fmt.Errorf("%d wrong passwords: the session ends", passwordTries)
}
