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
	Limit   int
	JSON    bool
}

// Calls lists calls that are up.
func (e *Eyes) Calls(ctx context.Context, o CallsOptions) error {
	all := &report.Calls{}
	for after := ""; ; {
		v := url.Values{"limit": {strconv.Itoa(min(o.Limit-len(all.Results), report.MaxCalls))}}
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
		e.Note("No call is known.")
		return nil
	}
	var rows [][]string
	for _, s := range all.Servers {
		rows = append(rows, []string{s.Server, s.Service, strconv.Itoa(s.Calls), strconv.Itoa(s.Recent), seconds(float64(s.MeanS)), seconds(float64(s.LeftS))})
	}
	e.Screen.Table([]string{"Server", "Virtual service", "Calls", "Last minute", "Mean idle", "Forgotten after"}, rows)
	if o.Limit == 0 {
		return nil
	}
	e.say("")
	rows = nil
	traced := false
	for i := range all.Results {
		c := &all.Results[i]
		id, age, last := "#"+hashOf(c.Key), "-", "-"
		if s := c.Seen; s != nil {
			id, age, last = clean(s.CallID), seconds(s.At.Sub(s.First).Seconds()+c.IdleS), clean(s.Last)
			traced = true
		}
		rows = append(rows, []string{id, c.Server, age, seconds(c.IdleS), seconds(c.LeftS), last})
	}
	e.Screen.Table([]string{"Call", "Server", "Age", "Idle", "Left", "Last message"}, rows)
	if len(all.Results) < all.Count {
		e.Note("%d of %d calls; --limit shows more.", len(all.Results), all.Count)
	}
	if !traced {
		e.Note("The balancer keeps a hash of each Call-ID and no text: text, age and last message are known of calls that a trace has seen.")
	}
	return nil
}

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
