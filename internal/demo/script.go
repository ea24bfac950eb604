package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// deed is something that can be done to a server.
type deed uint8

const (
	kill deed = iota
	revive
	drain
	undrain
)

var deedWords = [...]string{"kill", "revive", "drain", "undrain"}

func (d deed) String() string { return deedWords[d] }

// action is a deed with its time.
type action struct {
	deed   deed
	server int // index
	after  time.Duration
}

// parseScript reads the timed actions of the options, in the order they are to happen.
func parseScript(o Options, servers int) ([]action, error) {
	var script []action
	var errs []error
	for d, texts := range [...][]string{kill: o.Kill, revive: o.Revive, drain: o.Drain, undrain: o.Undrain} {
		for _, text := range texts {
			a, err := parseAction(deed(d), text, servers)
			if err != nil {
				errs = append(errs, err)
			}
			script = append(script, a)
		}
	}
	slices.SortStableFunc(script, func(a, b action) int { return int(a.after - b.after) })
	return script, errors.Join(errs...)
}

func parseAction(d deed, text string, servers int) (action, error) {
	who, when, ok := strings.Cut(text, "@")
	if !ok {
		return action{}, fmt.Errorf("%s %q: want server@time, say 2@10s", d, text)
	}
	n, err := strconv.Atoi(who)
	if err != nil || n < 1 || n > servers {
		return action{}, fmt.Errorf("%s %q: server %q is none of 1 to %d", d, text, who, servers)
	}
	after, err := time.ParseDuration(when)
	if err != nil || after < 0 {
		return action{}, fmt.Errorf("%s %q: time %q: want a duration, say 10s or 1m30s", d, text, when)
	}
	return action{deed: d, server: n - 1, after: after}, nil
}

// perform does the timed actions until the last is done or ctx ends.
func (f *farm) perform(ctx context.Context) {
	for _, a := range f.opts.script {
		t := time.NewTimer(time.Until(f.watch.started.Add(a.after)))
		select {
		case <-t.C:
			f.do(a.deed, a.server)
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}
