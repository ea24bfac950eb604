package eyes

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/report"
)

// ExplainOptions are what is to be explained.
type ExplainOptions struct {
	Message string
	CallID  string
	Source  string
	Service string
	Engine  string
	JSON    bool
}

// Explain tells which way a message would go, and why.
func (e *Eyes) Explain(ctx context.Context, o ExplainOptions) error {
	body := map[string]string{}
	for name, text := range map[string]string{"message": o.Message, "call_id": o.CallID, "source": o.Source, "virtualservice": o.Service, "engine": o.Engine} {
		if text != "" {
			body[name] = text
		}
	}
	var x report.Explanation
	if err := e.ask(ctx, http.MethodPost, "/api/explain", body, &x); err != nil {
		return err
	}
	if o.JSON {
		return e.json(&x)
	}
	e.explanation(&x)
	return nil
}

func (e *Eyes) title(text string) {
	e.say("")
	e.say("%s", e.Screen.Paint("bold", text))
}

func (e *Eyes) explanation(x *report.Explanation) {
	e.say("%s", e.Screen.Paint("bold", clean(x.Summary)))
	rows := [][]string{}
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, clean(value)})
		}
	}
	row("engine", x.Engine)
	row("virtual service", aside(x.Service, x.ChosenBy))
	row("listener", x.Listener)
	if x.Source.IsValid() {
		row("source", aside(x.Source.String(), x.SourceBy))
	}
	row("message", x.Parse.Kind)
	row("remark", x.Parse.Remark)
	if x.Parse.Fault != "" {
		row("fault", fmt.Sprintf("%s, line %d, octet %d: %s", x.Parse.Fault, x.Parse.Line, x.Parse.Octet, x.Parse.Text))
	}
	row("direction", x.Direction)
	e.Screen.Table([]string{"", ""}, rows)
	e.checks(x.Checks)
	e.affinity(x)
	e.candidates(x.Candidates)
	e.outcome(x)
}

// aside puts a reason behind a value.
func aside(value, why string) string {
	if value == "" || why == "" {
		return value
	}
	return value + " (" + why + ")"
}

func (e *Eyes) checks(list []report.Check) {
	if len(list) == 0 {
		return
	}
	e.title("Checks")
	var rows [][]string
	for _, c := range list {
		rows = append(rows, []string{c.State, c.Name, aside(cmp.Or(clean(c.Detail), c.Ref), map[bool]string{true: c.Ref}[c.Detail != ""])})
	}
	e.Screen.Wrapped([]string{"", "What", "Where it stands"}, rows)
}

func (e *Eyes) affinity(x *report.Explanation) {
	if len(x.Affinity) == 0 {
		return
	}
	e.title("What ties it to a server, in the order in which it is looked for")
	var rows [][]string
	for _, a := range x.Affinity {
		mark := "no"
		if a.Found {
			mark = "yes"
		}
		if a.Decides {
			mark = "decides"
		}
		rows = append(rows, []string{mark, a.Name, a.Server, clean(a.Detail)})
	}
	e.Screen.Wrapped([]string{"", "What", "Server", "Detail"}, rows)
	if x.Key != nil {
		e.say("The hash is taken of %s: %s", x.Key.Of, clean(x.Key.Text))
	}
}

func (e *Eyes) candidates(list []report.Candidate) {
	if len(list) == 0 {
		return
	}
	e.title("Servers, as a new call finds them")
	var rows [][]string
	for _, c := range list {
		rows = append(rows, []string{c.Mark, c.Server, c.State, c.Reason, strconv.Itoa(c.Ratio), percent(c.HashShare),
			strconv.FormatInt(c.OpenTransactions, 10), strconv.FormatInt(c.Calls, 10)})
	}
	e.Screen.Table([]string{"", "Server", "State", "Reason", "Ratio", "Share", "Open", "Calls"}, rows)
}

func (e *Eyes) outcome(x *report.Explanation) {
	if x.Verdict.Action == "" {
		return
	}
	e.title("What becomes of it")
	v := &x.Verdict
	text := v.Action
	if v.Status > 0 {
		text += " " + strconv.Itoa(v.Status)
	}
	if v.To.IsValid() && v.To != (netip.AddrPort{}) {
		text += " to " + v.To.String()
	}
	if v.From != "" {
		text += " from " + v.From
	}
	e.say("%s: %s. %s", text, words(v.Reason), v.Sentence)
	for _, c := range x.Changes {
		e.say("  %s", clean(c))
	}
	for _, line := range x.Edits {
		colour := "green"
		if strings.HasPrefix(line, "-") {
			colour = "red"
		}
		e.say("  %s", e.Screen.Paint(colour, clean(line)))
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func jsonIndent(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
