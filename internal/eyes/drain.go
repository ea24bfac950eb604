package eyes

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// DrainOptions are which server is to be drained, and how.
type DrainOptions struct {
	Pool, Server string
	Deadline     string // as the API takes it; empty: the pool's own
	Wait         bool   // until no call is left
	JSON         bool
}

// draining is how far a server is, as GET /api/pool/{uuid}/drain tells.
type draining struct {
	Server   string         `json:"server"`
	Addr     netip.AddrPort `json:"address"`
	Enabled  bool           `json:"enabled"`
	State    string         `json:"state"`
	Calls    int64          `json:"calls"`
	Up       int64          `json:"calls_up"`
	Open     int64          `json:"open_conns"`
	Recent   int            `json:"recent"`
	PerMin   float64        `json:"per_minute"`
	Expected *int           `json:"expected_s"`
	LastS    int            `json:"last_s"`
	Until    *time.Time     `json:"until"`
}

// drainLook is how often a drain is looked at.
const drainLook = 2 * time.Second

// Drain gives a server no new calls and, if that is wanted, waits until it has none left. ErrNotDone: its time was over
// first, or it was enabled again.
func (e *Eyes) Drain(ctx context.Context, o DrainOptions) error {
	uuid, _, err := e.find(ctx, "Pool", o.Pool)
	if err != nil {
		return err
	}
	var got []draining
	if err := e.ask(ctx, http.MethodPost, "/api/pool/"+uuid+"/drain?wait=10s", drainBody(o.Server, o.Deadline), &got); err != nil {
		return err
	}
	if o.JSON && !o.Wait {
		return e.json(got)
	}
	for i := range got {
		text := got[i].Server + " gets no new calls."
		if got[i].State != "up" {
			text += " " + got[i].words(time.Now())
		}
		e.say("%s", text)
	}
	if !o.Wait {
		return nil
	}
	return e.awaitDrain(ctx, uuid, o)
}

func drainBody(server, deadline string) map[string]string {
	body := map[string]string{"server": server}
	if deadline != "" {
		body["deadline"] = deadline
	}
	return body
}

// awaitDrain shows how a drain goes on: in one line on a terminal, in a line a change of tens elsewhere.
func (e *Eyes) awaitDrain(ctx context.Context, uuid string, o DrainOptions) error {
	said := ""
	for {
		var list []draining
		if err := e.get(ctx, "/api/pool/"+uuid+"/drain?server="+url.QueryEscape(o.Server), &list); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: the drain goes on without anybody looking; 'carillon undrain' ends it", ErrNotDone)
			}
			return err
		}
		if len(list) != 1 {
			return fmt.Errorf("pool %s has no server %s any more", o.Pool, o.Server)
		}
		d := &list[0]
		switch {
		case e.Screen.Terminal:
			line := d.words(time.Now())
			if w := e.Screen.Width(); w > 1 {
				line = view.Cut(line, w-1) // a line that goes on below cannot be taken back
			}
			_, _ = fmt.Fprintf(e.Screen.Out, "\r\x1b[K%s", line) // a terminal that has gone
		case said != d.short():
			said = d.short()
			e.say("%s", d.words(time.Now()))
		}
		if done, err := d.over(); done {
			if e.Screen.Terminal {
				e.say("")
			}
			if err == nil {
				e.say("%s has no call left.", d.Server)
			}
			return err
		}
		if !wait(ctx, drainLook) {
			if e.Screen.Terminal {
				e.say("")
			}
			return fmt.Errorf("%w: %s left; the drain goes on without anybody looking, 'carillon undrain' ends it", ErrNotDone, plural(int(d.Calls), "call"))
		}
	}
}

// over reports whether there is nothing more to wait for, and whether it ended well.
func (d *draining) over() (bool, error) {
	switch {
	case d.Enabled:
		return true, fmt.Errorf("%w: %s was enabled again, with %s", ErrNotDone, d.Server, plural(int(d.Calls), "call"))
	case d.State == "" || d.State == "up": // the engines have not told yet what they do
		return false, nil
	case d.Calls == 0 && d.Open == 0:
		return true, nil
	case d.State == "disabled":
		return true, fmt.Errorf("%w: its time is over, and %s had not ended", ErrNotDone, plural(int(d.Calls), "call"))
	}
	return false, nil
}

// short is what has to change for a new line.
func (d *draining) short() string {
	return fmt.Sprint(d.State, d.Calls/10, d.Calls == 0, d.Open == 0)
}

// words tells how far a drain is.
func (d *draining) words(now time.Time) string {
	if d.State == "" {
		return "No engine tells of it."
	}
	out := []string{fmt.Sprintf("%s left, %d of them up, %d heard of in the last minute, %s open", plural(int(d.Calls), "call"), d.Up, d.Recent, plural(int(d.Open), "transaction"))}
	if d.PerMin > 0 {
		out = append(out, fmt.Sprintf("%.0f a minute go", d.PerMin))
	}
	if d.Expected != nil && *d.Expected > 0 {
		out = append(out, "the last in some "+seconds(float64(*d.Expected)))
	} else if d.Calls > 0 {
		out = append(out, "in "+seconds(float64(d.LastS))+" if none is heard of again")
	}
	if d.Until != nil {
		out = append(out, "at the latest in "+seconds(max(0, d.Until.Sub(now).Seconds())))
	}
	return strings.ToUpper(d.State[:1]) + d.State[1:] + ": " + strings.Join(out, "; ") + "."
}

// Undrain gives a server new calls again.
func (e *Eyes) Undrain(ctx context.Context, pool, server string) error {
	uuid, _, err := e.find(ctx, "Pool", pool)
	if err != nil {
		return err
	}
	var got []draining
	if err := e.ask(ctx, http.MethodPost, "/api/pool/"+uuid+"/undrain?wait=10s", drainBody(server, ""), &got); err != nil {
		return err
	}
	for i := range got {
		e.say("%s gets new calls again.", got[i].Server)
	}
	return nil
}

// Enable enables or disables a virtual service, a pool, or a server of a pool.
func (e *Eyes) Enable(ctx context.Context, what, server string, on bool) error {
	path, name, err := takesCalls(what)
	if err != nil {
		return err
	}
	switch {
	case server != "" && path != "pool":
		return fmt.Errorf("%s: a virtual service has no servers; its pool has", what)
	case server != "" && !on:
		return e.Drain(ctx, DrainOptions{Pool: name, Server: server})
	case server != "":
		return e.Undrain(ctx, name, server)
	}
	uuid, _, err := e.find(ctx, path, name)
	if err != nil {
		return err
	}
	var said struct {
		Enabled bool `json:"enabled"`
	}
	patch := map[string]any{"replace": map[string]bool{"enabled": on}}
	if err := e.ask(ctx, http.MethodPatch, "/api/"+path+"/"+uuid+"?wait=10s", patch, &said); err != nil {
		return err
	}
	state := map[bool]string{true: "enabled", false: "disabled"}[on]
	e.say("%s %s is %s.", path, name, state)
	return nil
}

// takesCalls reads what is to be enabled or disabled: TYPE/NAME, or the name of a pool, which may have a slash in it.
func takesCalls(what string) (path, name string, err error) {
	kind, name, ok := strings.Cut(what, "/")
	if !ok {
		return "pool", what, nil
	}
	k, known := object.FindKind(kind)
	if strings.EqualFold(kind, "vs") {
		k, known = object.FindKind("virtualservice")
	}
	switch {
	case !known: // acme/edge
		return "pool", what, nil
	case k.Name != "Pool" && k.Name != "VirtualService":
		return "", "", fmt.Errorf("%s: only pools and virtual services can be enabled and disabled, as POOL or virtualservice/NAME", what)
	}
	return k.Path, name, nil
}
