package shell

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// Verbs of Avi's that act on an object. What the API does of them it does here; what cannot be here says what is true
// instead, as the API does, and fails.

// instead are the words for what the API does not even have.
var instead = map[string]string{
	"rotatekeys": "keys of session tickets live in each engine and change by themselves; a certificate changes with configure sslkeyandcertificate",
	"renew":      "nothing here asks an authority for certificates: put the new one in with configure sslkeyandcertificate NAME, certificate and key as file:/path; calls go on meanwhile",
}

// acts are the verbs, and the kinds that they are for.
var acts = map[string][]string{
	"scaleout": {"VirtualService", "Pool"}, "scalein": {"VirtualService", "Pool"}, "migrate": {"VirtualService"}, "switchover": {"VirtualService"},
	"resync": {"VirtualService"}, "retryplacement": {"VirtualService"}, "rotatekeys": {"VirtualService"}, "renew": {"SSLKeyAndCertificate"},
}

// act makes the command of a verb.
func act(verb string) func(*Shell, context.Context, []string, []byte) error {
	return func(s *Shell, ctx context.Context, words []string, _ []byte) error {
		k, n, err := s.target(ctx, verb, acts[verb], words)
		if err != nil {
			return err
		}
		if text := instead[verb]; text != "" {
			return fmt.Errorf("%s: %s", verb, text)
		}
		data, err := s.c.Do(ctx, http.MethodPost, "/api/"+k.Path+"/"+n.Get("uuid").String()+"/"+verb, map[string]string{})
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		said, err := view.Parse(data)
		if err != nil {
			return err
		}
		s.say("%s", said.Get("detail").String())
		if k.Name == "VirtualService" {
			return s.showPath(ctx, "/api/virtualservice/"+n.Get("uuid").String()+"/placement", "placement")
		}
		return nil
	}
}

// target finds the object that a verb is for.
func (s *Shell) target(ctx context.Context, verb string, kinds, words []string) (object.KindInfo, *view.Node, error) {
	var paths []string
	for _, name := range kinds {
		k, _ := object.FindKind(name)
		paths = append(paths, k.Path)
	}
	expected := fmt.Errorf("expected %s %s NAME", verb, strings.Join(paths, "|"))
	if len(words) == 0 {
		return object.KindInfo{}, nil, expected
	}
	k, err := kindOf(words)
	if err != nil {
		return k, nil, err
	}
	if !slices.Contains(kinds, k.Name) {
		return k, nil, fmt.Errorf("%s is not for %s: %w", verb, k.Path, expected)
	}
	if len(words) < 2 {
		return k, nil, fmt.Errorf("expected %s %s NAME", verb, k.Path)
	}
	n, err := s.fetch(ctx, k, words[1], url.Values{"fields": {"uuid"}})
	return k, n, err
}

// completeOf completes the objects of some kinds.
func completeOf(kinds ...string) func(*Shell, context.Context, []string) []Candidate {
	return func(s *Shell, ctx context.Context, words []string) []Candidate {
		var out []Candidate
		switch len(words) {
		case 0:
			for _, name := range kinds {
				k, _ := object.FindKind(name)
				out = append(out, Candidate{k.Path, k.Title})
			}
		case 1:
			return s.names(ctx, words[0])
		}
		return out
	}
}

// bash runs the user's own shell until it ends.
func (s *Shell) bash(ctx context.Context, _ []string, _ []byte) error {
	if s.script || !s.cfg.Screen.Terminal {
		return errors.New("bash is for a terminal; a script runs commands of this machine before and after carillon shell")
	}
	program := os.Getenv("SHELL")
	if program == "" {
		program = "/bin/sh"
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var ended *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ended) { // how it ended is its user's business
		return err
	}
	return nil
}
