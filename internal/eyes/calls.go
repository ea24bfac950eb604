package eyes

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/carillon-sip/carillon/internal/report"
)

// CallsOptions are which calls are wanted.
type CallsOptions struct {
	Service string
	Pool    string
	Server  string
	Up      bool
	Limit   int
	JSON    bool
}

// Calls lists calls that are up.
func (e *Eyes) Calls(ctx context.Context, o CallsOptions) error {
	all := &report.Calls{}
	for after := ""; ; {
		v := url.Values{"limit": {strconv.Itoa(min(o.Limit-len(all.Results), report.MaxCalls))}, "up": {strconv.FormatBool(o.Up)}}
		for name, text := range map[string]string{"virtualservice": o.Service, "pool": o.Pool, "server": o.Server, "after": after} {
			if text != "" {
				v.Set(name, text)
			}
		}
		var page report.Calls
		if err := e.get(ctx, "/api/calls?"+v.Encode(), &page); err != nil {
			return err
		}
		page.Results = append(all.Results, page.Results...)
		all = &page
		if after = page.Next; after == "" || len(all.Results) >= o.Limit {
			break
		}
	}
	for _, words := range all.Errors {
		e.Note("%s", words)
	}
	if o.JSON {
		return e.json(all)
	}
	if all.Count == 0 {
		e.Note(map[bool]string{false: "No call is known.", true: noneUp}[o.Up])
		return nil
	}
	var rows [][]string
	up := 0
	for _, s := range all.Servers {
		up += s.Up
		rows = append(rows, []string{s.Server, s.Service, strconv.Itoa(s.Calls), strconv.Itoa(s.Up), strconv.Itoa(s.Recent), seconds(float64(s.MeanS)), seconds(float64(s.LeftS))})
	}
	e.Screen.Table([]string{"Server", "Virtual service", "Calls", "Up", "Last minute", "Mean idle", "Forgotten after"}, rows)
	if o.Limit == 0 {
		return nil
	}
	e.say("")
	rows = nil
	traced := false
	for i := range all.Results {
		c := &all.Results[i]
		id, state, idle, last := "#"+hashOf(c.Key), "known", "-", c.Method
		if c.Seen != nil {
			id, last = clean(c.Seen.CallID), clean(c.Seen.Last)
			traced = true
		}
		if c.Up {
			state = "up"
		}
		if c.IdleS != nil {
			idle = seconds(*c.IdleS)
		}
		rows = append(rows, []string{id, c.Server, state, seconds(c.AgeS), idle, seconds(c.LeftS), last})
	}
	e.Screen.Table([]string{"Call", "Server", "State", "Age", "Idle", "Left", "Last method"}, rows)
	if len(all.Results) < all.Count {
		e.Note("%d of %d calls; --limit shows more.", len(all.Results), all.Count)
	}
	if up == 0 && all.Count > 0 && !o.Up {
		e.Note(noneUp)
	}
	if !traced {
		e.Note("The balancer keeps a hash of each Call-ID and no text: that is known of calls that a trace has seen.")
	}
	return nil
}

const noneUp = "No call is known to be up: that takes record_route in the application profile, without which no BYE is seen."

// hashOf is the part of a key behind the name of the virtual service.
func hashOf(key string) string { return key[max(0, len(key)-16):] }

func (e *Eyes) json(v any) error {
	data, err := jsonIndent(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Screen.Out, "%s\n", data)
	return err
}
