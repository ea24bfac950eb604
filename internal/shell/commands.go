package shell

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// command is one of the top level.
type command struct {
	name, args, help string
	run              func(s *Shell, ctx context.Context, words []string, body []byte) error
	complete         func(s *Shell, ctx context.Context, words []string) []Candidate // for the word behind words
}

// topCommands are those outside of an object.
func topCommands() []command {
	return []command{
		{"configure", "TYPE NAME", "make or change an object", (*Shell).configure, (*Shell).completeObject},
		{"show", "TYPE [NAME [WHAT]]", "show objects, and how they are doing", (*Shell).show, (*Shell).completeShow},
		{"delete", "TYPE NAME", "delete an object", (*Shell).remove, (*Shell).completeObject},
		{"watch", "show ...", "repeat a show until Ctrl-C", (*Shell).watch, func(s *Shell, ctx context.Context, words []string) []Candidate {
			if len(words) == 0 {
				return []Candidate{{"show", "show objects, and how they are doing"}}
			}
			return s.completeShow(ctx, words[1:])
		}},
		{"switchto", "tenant NAME", "work in another tenant", (*Shell).switchTo, (*Shell).completeSwitch},
		{"terminal", "SETTING VALUE", "how output looks", (*Shell).terminal, completeTerminal},
		{"clear", "pool|virtualservice NAME", "have this shell show counters from now on", (*Shell).clear, completeOf("Pool", "VirtualService")},
		{"export", "configuration file FILE", "write all objects into a file", (*Shell).export, fixed("configuration", "file")},
		{"import", "configuration file FILE [keep_uuid]", "bring in a file of objects", (*Shell).importFile, fixed("configuration", "file")},
		{"scaleout", "virtualservice|pool NAME", "what there is instead of one more engine or server", act("scaleout"), completeOf("VirtualService", "Pool")},
		{"scalein", "virtualservice|pool NAME", "what there is instead of one less", act("scalein"), completeOf("VirtualService", "Pool")},
		{"migrate", "virtualservice NAME", "what there is instead of another engine", act("migrate"), completeOf("VirtualService")},
		{"switchover", "virtualservice NAME", "what there is instead of another primary", act("switchover"), completeOf("VirtualService")},
		{"resync", "virtualservice NAME", "tell whether engines run what is configured", act("resync"), completeOf("VirtualService")},
		{"retryplacement", "virtualservice NAME", "likewise, of what could not be opened", act("retryplacement"), completeOf("VirtualService")},
		{"rotatekeys", "virtualservice NAME", "what there is instead of new keys for session tickets", act("rotatekeys"), completeOf("VirtualService")},
		{"renew", "sslkeyandcertificate NAME", "what there is instead of a renewal", act("renew"), completeOf("SSLKeyAndCertificate")},
		{"bash", "", "a shell of this machine; exit comes back", (*Shell).bash, nil},
		{"history", "", "the lines typed so far", (*Shell).history, nil},
		{"help", "[COMMAND]", "what there is", (*Shell).helpCommand, nil},
		{"exit", "", "end the shell", (*Shell).exit, nil},
		{"quit", "", "end the shell", (*Shell).exit, nil},
	}
}

func find(list []command, name string) *command {
	for i := range list {
		if strings.EqualFold(list[i].name, name) {
			return &list[i]
		}
	}
	return nil
}

func namesOf(list []command) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.name)
	}
	return out
}

func fixed(words ...string) func(*Shell, context.Context, []string) []Candidate {
	return func(_ *Shell, _ context.Context, typed []string) []Candidate {
		if len(typed) < len(words) {
			return []Candidate{{words[len(typed)], ""}}
		}
		return nil
	}
}

// kindOf reads the type of an object.
func kindOf(words []string) (object.KindInfo, error) {
	if len(words) == 0 {
		return object.KindInfo{}, errors.New("a type of object is missing, such as pool; ? lists them")
	}
	k, ok := object.FindKind(words[0])
	if text := notYet[strings.ToLower(words[0])]; !ok && text != "" {
		return k, errors.New(text)
	}
	if !ok {
		return k, unknown("type", words[0], types())
	}
	return k, nil
}

func types() []string {
	var out []string
	for _, k := range object.Kinds() {
		out = append(out, k.Path)
	}
	slices.Sort(out)
	return out
}

func (s *Shell) exit(_ context.Context, words []string, _ []byte) error {
	if len(words) > 0 {
		return fmt.Errorf("exit takes nothing more, got %q", words[0])
	}
	s.done = true
	return nil
}

func (s *Shell) history(context.Context, []string, []byte) error {
	for i, text := range s.typed {
		s.say("%4d  %s", i+1, text)
	}
	return nil
}

func (s *Shell) helpCommand(_ context.Context, words []string, _ []byte) error {
	var rows [][]string
	for _, c := range topCommands() {
		if len(words) == 0 || c.name == words[0] {
			rows = append(rows, []string{strings.TrimSpace(c.name + " " + c.args), c.help})
		}
	}
	if len(rows) == 0 {
		return unknown("command", words[0], namesOf(topCommands()))
	}
	s.out.Table([]string{"Command", "Meaning"}, rows)
	if len(words) == 0 {
		s.say("\nInside an object: FIELD VALUE, no FIELD, save, cancel, where, do show ...\nBehind any: | grep [-i] [-v] TEXT, | more, | begin TEXT, | count; --api-detail shows the requests.")
	}
	return nil
}

func (s *Shell) remove(ctx context.Context, words []string, _ []byte) error {
	k, err := kindOf(words)
	if err != nil {
		return err
	}
	if len(words) != 2 {
		return fmt.Errorf("expected delete %s NAME", k.Path)
	}
	uuid := words[1]
	data, found, err := s.c.Find(ctx, k, uuid, url.Values{"fields": {"uuid"}})
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity: // nobody can read it, and so it has no name
	case err != nil:
		return err
	case !found:
		return s.c.NoSuch(ctx, k, words[1])
	default:
		n, err := view.Parse(data)
		if err != nil {
			return err
		}
		uuid = n.Get("uuid").String()
	}
	if _, err := s.c.Do(ctx, http.MethodDelete, "/api/"+k.Path+"/"+url.PathEscape(uuid), nil); err != nil {
		return err
	}
	s.say("%s %s is deleted.", k.Name, words[1])
	return nil
}

func (s *Shell) switchTo(ctx context.Context, words []string, _ []byte) error {
	if len(words) != 2 || words[0] != "tenant" {
		return errors.New("expected switchto tenant NAME")
	}
	tenants, _ := object.FindKind("Tenant")
	if _, found, err := s.c.Find(ctx, tenants, words[1], nil); err != nil {
		return err
	} else if !found {
		return s.c.NoSuch(ctx, tenants, words[1])
	}
	other := s.c.In(words[1])
	if _, err := other.Do(ctx, http.MethodGet, "/api/whoami", nil); err != nil {
		return err
	}
	s.c = other
	return nil
}

// tenant is the one that the shell works in.
func (s *Shell) tenant() string {
	if t := s.c.Config().Tenant; t != "" {
		return t
	}
	return "admin"
}

func (s *Shell) export(ctx context.Context, words []string, _ []byte) error {
	if len(words) != 3 || words[0] != "configuration" || words[1] != "file" {
		return errors.New("expected export configuration file FILE")
	}
	data, err := s.c.Do(ctx, http.MethodGet, "/api/export", nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(words[2], data, 0o600); err != nil {
		return err
	}
	s.say("%s holds all objects, secrets blanked.", words[2])
	return nil
}

func (s *Shell) importFile(ctx context.Context, words []string, _ []byte) error {
	if len(words) < 3 || len(words) > 4 || words[0] != "configuration" || words[1] != "file" || len(words) == 4 && words[3] != "keep_uuid" {
		return errors.New("expected import configuration file FILE [keep_uuid]")
	}
	data, err := os.ReadFile(words[2])
	if err != nil {
		return err
	}
	p := view.NewProgress(s.cfg.Err)
	defer p.End()
	t, query := client.Telling{}, ""
	if p.On() {
		t, query = client.Telling{Sent: p.Sent, Progress: p.Phase}, "?progress=true"
	}
	if len(words) == 3 { // names count, not uuids
		objects, err := object.LoadObjects(words[2], data)
		if err != nil {
			return view.Pointed(err, data)
		}
		res, err := s.c.Apply(ctx, client.File(objects, ""), nil, t)
		if err != nil {
			return err
		}
		p.End()
		s.say("%d objects brought in.", len(res.Objects))
		return nil
	}
	if _, err := s.c.DoTelling(ctx, http.MethodPost, "/api/import"+query, data, t); err != nil {
		return err
	}
	p.End()
	s.say("%s is brought in.", words[2])
	return nil
}
