package eyes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
)

// preview is what POST /api/preview tells.
type preview struct {
	Accepted bool     `json:"accepted"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Objects  []struct {
		Action string `json:"action"`
		Kind   string `json:"kind"`
		Name   string `json:"name"`
	} `json:"objects"`
	Services []struct {
		Name    string   `json:"name"`
		Effects []string `json:"effects"`
		Opens   []string `json:"opens"`
		Closes  []string `json:"closes"`
		Calls   int      `json:"calls"`
		Touched int      `json:"touched"`
	} `json:"virtualservices"`
	Pools []previewPool `json:"pools"`
}

type previewPool struct {
	Name    string   `json:"name"`
	Effects []string `json:"effects"` // in words: keys, calls, and what a failure would do then
	Moves   []struct {
		From  string  `json:"from"`
		To    string  `json:"to"`
		Share float64 `json:"share"`
	} `json:"moves"`
}

// previewChange is one change to look at.
type previewChange struct {
	Action string          `json:"action"`
	Type   string          `json:"type"`
	Name   string          `json:"name,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// Preview tells what a file of objects would do if it were applied. ErrNotDone: it would be refused.
func (e *Eyes) Preview(ctx context.Context, objects []object.Any, asJSON bool) error {
	var changes []previewChange
	for _, o := range objects {
		changes = append(changes, previewChange{Action: "apply", Type: o.Kind(), Name: o.Name(), Data: o.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true})})
	}
	var p preview
	body := map[string]any{"changes": changes}
	if asJSON {
		var raw any
		if err := e.ask(ctx, http.MethodPost, "/api/preview", body, &raw); err != nil {
			return err
		}
		return e.json(raw)
	}
	if err := e.ask(ctx, http.MethodPost, "/api/preview", body, &p); err != nil {
		return err
	}
	if !p.Accepted {
		return fmt.Errorf("%w: it would be refused: %s", ErrNotDone, p.Error)
	}
	e.previewed(&p)
	return nil
}

func (e *Eyes) previewed(p *preview) {
	if len(p.Objects) == 0 {
		e.say("Nothing would change: all is so already.")
		return
	}
	e.title("Objects")
	var rows [][]string
	for _, o := range p.Objects {
		rows = append(rows, []string{o.Action, o.Kind, o.Name})
	}
	e.Screen.Table([]string{"Action", "Type", "Name"}, rows)
	for _, s := range p.Services {
		e.title("Virtual service " + s.Name)
		e.effects(s.Effects)
		e.list("opens", s.Opens)
		e.list("closes", s.Closes)
		e.say("  %s now, %d of them lose their way in", plural(s.Calls, "call"), s.Touched)
	}
	for i := range p.Pools {
		e.previewPool(&p.Pools[i])
	}
	const most = 20 // of thousands of like objects nobody reads them
	for i, w := range p.Warnings {
		if i == most {
			e.say("%s", e.Screen.Paint("yellow", fmt.Sprintf("Warning: and %d more like these", len(p.Warnings)-most)))
			break
		}
		e.say("%s", e.Screen.Paint("yellow", "Warning: "+w))
	}
}

func (e *Eyes) previewPool(p *previewPool) {
	e.title("Pool " + p.Name)
	e.effects(p.Effects)
	if len(p.Moves) == 0 {
		return
	}
	var rows [][]string
	for _, m := range p.Moves {
		rows = append(rows, []string{m.From, m.To, percent(m.Share)})
	}
	e.say("")
	e.Screen.Table([]string{"Keys go from", "to", "share of all"}, rows)
}

func (e *Eyes) effects(list []string) {
	for _, text := range list {
		e.say("  %s", text)
	}
}

func (e *Eyes) list(name string, list []string) {
	if len(list) > 0 {
		e.say("  %s %s", name, strings.Join(list, ", "))
	}
}
