// Package eyes is the commands that look at traffic and help at a change: trace, calls, top, explain, preview, drain and
// doctor. Each asks the REST API and writes what it says for people.
package eyes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// ErrNotDone says that what was waited for has not come about. What there is to say has been said.
var ErrNotDone = errors.New("not done")

// Eyes is what all commands need.
type Eyes struct {
	Client *client.Client
	Screen *view.Screen
	// Note writes a remark beside the output, such as how many messages were lost.
	Note func(format string, args ...any)
}

func (e *Eyes) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !strings.Contains(text, "\n") { // else somebody has broken it already
		text = e.Screen.Wrap(text, 2)
	}
	fmt.Fprintln(e.Screen.Out, text)
}

// ask reads an answer of the API.
func (e *Eyes) ask(ctx context.Context, method, path string, body, into any) error {
	data, err := e.Client.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the answer of %s: %w", path, err)
	}
	return nil
}

// find returns the uuid of an object by name or uuid, and its JSON.
func (e *Eyes) find(ctx context.Context, kind, name string) (uuid string, data json.RawMessage, err error) {
	k, ok := object.FindKind(kind)
	if !ok {
		return "", nil, fmt.Errorf("there is no type of object %q", kind)
	}
	data, found, err := e.Client.Find(ctx, k, name, nil)
	if err != nil {
		return "", nil, err
	}
	if !found {
		return "", nil, e.Client.NoSuch(ctx, k, name)
	}
	var o struct{ UUID string }
	if err := json.Unmarshal(data, &o); err != nil {
		return "", nil, err
	}
	return o.UUID, data, nil
}

// get is a GET.
func (e *Eyes) get(ctx context.Context, path string, into any) error {
	return e.ask(ctx, http.MethodGet, path, nil, into)
}

// wait sleeps unless the context ends first; it reports whether it did not.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// words writes a name of the API as words.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// seconds writes a time of some seconds for people: 850ms, 12s, 3m20s, 1h05m.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
