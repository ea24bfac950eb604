package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// whats are the runtime views of an object, by kind: the words of show, and the path below the object.
var whats = map[string][]struct{ words, path, help string }{
	"Pool": {
		{"server", "runtime/server", "state of each server"},
		{"server detail", "runtime/server/detail", "counters of each server"},
		{"server hmonstat", "runtime/server/hmonstat", "what its monitors have seen of each server"},
		{"detail", "runtime/detail", "counters, by engine"},
		{"summary", "runtime", "state, and how many servers are up"},
		{"runtime", "runtime", "as summary"},
		{"algo", "runtime/algo", "how servers are chosen"},
		{"hmon", "runtime/hmon", "its monitors"},
		{"vs", "runtime/vs", "virtual services that use it"},
	},
	"VirtualService": {
		{"summary", "runtime", "state, and on which engines"},
		{"detail", "runtime/detail", "counters, by engine"},
		{"internal", "runtime/internal", "what engines know inside"},
		{"runtime", "runtime", "as summary"},
		{"udpstat", "udpstat", "counters of UDP"},
		{"connections", "connections", "calls that are up"},
		{"client", "client", "clients"},
		{"clientsummary", "clientsummary", "counters of clients"},
		{"placement", "placement", "where it runs"},
	},
	"ServiceEngine": {{"summary", "runtime", "state of an engine"}, {"runtime", "runtime", "as summary"}},
}

// pages are what show has beside objects.
var pages = []Candidate{
	{"running_config", "[--obj_type TYPE] [--search TEXT]: everything as commands that can be pasted"},
	{"cluster", "the controllers and their store"}, {"version", "of the controller"}, {"audit", "who changed what"},
}

func (s *Shell) show(ctx context.Context, words []string, _ []byte) error {
	if len(words) == 0 {
		return errors.New("expected show TYPE [NAME [WHAT]]; ? lists the types")
	}
	switch strings.ToLower(words[0]) {
	case "running_config", "running-config":
		return s.runningConfig(ctx, words[1:])
	case "cluster":
		return s.showPath(ctx, "/api/cluster/runtime", "")
	case "version":
		return s.showPath(ctx, "/api/cluster/version", "")
	case "audit":
		return s.showPath(ctx, "/api/audit", "")
	}
	k, err := kindOf(words)
	if err != nil {
		var near error
		if near = unknown("type", words[0], append(types(), "running_config", "cluster", "version", "audit")); near != nil {
			return near
		}
		return err
	}
	query := url.Values{"include_name": {"true"}}
	if s.term.brief || s.term.mode == "script" {
		query.Set("skip_default", "true")
	}
	if len(words) == 1 {
		return s.list(ctx, k, query)
	}
	if len(words) == 2 {
		n, err := s.fetch(ctx, k, words[1], query)
		if err == nil {
			s.grid(k.Name, n)
		}
		return err
	}
	return s.showWhat(ctx, k, words[1], strings.ToLower(strings.Join(words[2:], " ")))
}

func (s *Shell) list(ctx context.Context, k object.KindInfo, query url.Values) error {
	if s.term.mode != "script" {
		query.Set("join_subresources", "runtime")
		query.Del("skip_default")
	}
	list, err := s.c.List(ctx, k.Path, query)
	if err != nil {
		return err
	}
	nodes, err := view.ParseAll(list)
	if err != nil {
		return err
	}
	if s.term.mode == "script" {
		all := &view.Node{Type: view.List}
		for _, n := range nodes {
			all.Items = append(all.Items, view.AsFile(k.Name, n))
		}
		o := view.NewObject()
		o.Set(k.Name, all)
		s.yaml(o)
		return nil
	}
	s.out.Grid(view.ListOf(k.Name, nodes, false))
	return nil
}

func (s *Shell) showWhat(ctx context.Context, k object.KindInfo, name, what string) error {
	var known []string
	for _, w := range whats[k.Name] {
		known = append(known, w.words)
		if w.words != what {
			continue
		}
		n, err := s.fetch(ctx, k, name, url.Values{"fields": {"uuid"}})
		if err != nil {
			return err
		}
		return s.showPath(ctx, "/api/"+k.Path+"/"+n.Get("uuid").String()+"/"+w.path, what)
	}
	if len(known) == 0 {
		return fmt.Errorf("show %s NAME has no %q: it has the object alone", k.Path, what)
	}
	return unknown("view", what, known)
}

// showPath prints what a path of the API answers: a list of like things as a table, else a grid each.
func (s *Shell) showPath(ctx context.Context, path, what string) error {
	data, err := s.c.Do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errors.New("the server has nothing to tell of it")
	}
	n, err := view.Parse(data)
	if err != nil {
		return err
	}
	if results := n.Get("results"); results != nil && results.Type == view.List {
		n = results
	}
	switch {
	case s.term.mode == "script":
		s.yaml(n)
	case n.Type != view.List:
		s.out.Grid([]string{"Field", "Value"}, view.Rows("", n, view.Options{Zone: s.term.location}))
	case len(n.Items) == 0:
		s.say("There is nothing.")
	case what == "server" || what == "vs":
		s.out.Grid(serverTable(n.Items))
	default:
		for _, item := range n.Items {
			s.out.Grid([]string{"Field", "Value"}, view.Rows("", item, view.Options{Zone: s.term.location}))
		}
	}
	return nil
}

// serverTable has a row an item and a column a member; members of members only as far as they are a state.
func serverTable(items []*view.Node) (head []string, rows [][]string) {
	for _, name := range items[0].Names {
		n := items[0].Get(name)
		if n.Type != view.List && (n.Type != view.Object || n.Get("addr") != nil || name == "oper_status") {
			head = append(head, name)
		}
	}
	for _, item := range items {
		var row []string
		for _, name := range head {
			n := item.Get(name)
			if name == "oper_status" {
				n = n.Get("state")
			}
			row = append(row, view.Flat(n))
		}
		rows = append(rows, row)
	}
	return head, rows
}

// watchEvery is the time between two looks of watch.
const watchEvery = 2 * time.Second

// watch repeats a show until Ctrl-C; -n N ends it after N times, -i S waits S seconds between.
func (s *Shell) watch(ctx context.Context, words []string, _ []byte) error {
	every, times := watchEvery, 0
	for len(words) >= 2 && (words[0] == "-n" || words[0] == "-i") {
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 {
			return fmt.Errorf("watch %s %s: expected a number from 1 on", words[0], words[1])
		}
		if words[0] == "-n" {
			times = n
		} else {
			every = time.Duration(n) * time.Second
		}
		words = words[2:]
	}
	if len(words) == 0 || words[0] != "show" {
		return errors.New("expected watch show and what to show")
	}
	if !s.out.Terminal && times == 0 {
		times = 1
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	for i := 1; ; i++ {
		if s.out.Terminal {
			fmt.Fprint(s.out.Out, "\x1b[H\x1b[2J")
		}
		if err := s.show(ctx, words[1:], nil); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if i == times {
			return nil
		}
		s.say("%s; Ctrl-C ends", time.Now().In(s.term.location).Format("15:04:05"))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// runningConfig writes all objects as commands.
func (s *Shell) runningConfig(ctx context.Context, words []string) error {
	var only *object.KindInfo
	search := ""
	for len(words) > 0 {
		if len(words) < 2 {
			return fmt.Errorf("%s: a value is missing", words[0])
		}
		switch words[0] {
		case "--obj_type":
			k, err := kindOf(words[1:])
			if err != nil {
				return err
			}
			only = &k
		case "--search":
			search = words[1]
		default:
			return unknown("option", words[0], []string{"--obj_type", "--search"})
		}
		words = words[2:]
	}
	for _, k := range pasteOrder() {
		if only != nil && k.Name != only.Name || only == nil && k.Name == "ServiceEngine" {
			continue // an engine makes its object itself
		}
		list, err := s.c.List(ctx, k.Path, url.Values{"include_name": {"true"}, "skip_default": {"true"}})
		if err != nil {
			return err
		}
		if err := s.paste(k, list, search); err != nil {
			return err
		}
	}
	return nil
}

// pasteOrder is that of the kinds in which what is referred to comes first.
func pasteOrder() []object.KindInfo {
	var out []object.KindInfo
	done := map[string]bool{}
	var visit func(k object.KindInfo)
	visit = func(k object.KindInfo) {
		if done[k.Name] {
			return
		}
		done[k.Name] = true
		for _, ref := range refersTo(k.Name, "", 0) {
			if to, ok := object.FindKind(ref); ok {
				visit(to)
			}
		}
		out = append(out, k)
	}
	for _, k := range object.Kinds() {
		visit(k)
	}
	return out
}

// refersTo are the kinds that fields of a part of a kind name.
func refersTo(kind, path string, depth int) []string {
	const most = 8
	info, ok := object.Describe(kind, path)
	if !ok || depth > most {
		return nil
	}
	var out []string
	if info.Ref != "" {
		out = append(out, info.Ref)
	}
	for _, name := range info.Members {
		out = append(out, refersTo(kind, strings.TrimPrefix(path+"."+name, "."), depth+1)...)
	}
	return out
}

func (s *Shell) paste(k object.KindInfo, list []json.RawMessage, search string) error {
	for _, data := range list {
		n, err := view.Parse(data)
		if err != nil {
			return err
		}
		name := n.Get("name").String()
		if tenant := object.RefName(n.Get("tenant_ref").String()); object.IsSystem(k.Name, name) || tenant != "" && tenant != s.tenant() {
			continue // the system's own, or lent by another tenant
		}
		var b strings.Builder
		fmt.Fprintf(&b, "configure %s %s\n", k.Path, quoteWord(name))
		clean := view.AsFile(k.Name, n)
		clean.Delete("name")
		commands(&b, k.Name, "", clean, "  ")
		b.WriteString("  save\n")
		if strings.Contains(b.String(), search) {
			fmt.Fprint(s.out.Out, b.String())
		}
	}
	return nil
}

// commands writes the members of an object as the commands that set them.
func commands(b *strings.Builder, kind, path string, n *view.Node, indent string) {
	for i, name := range n.Names {
		at := strings.TrimPrefix(path+"."+name, ".")
		info, _ := object.Describe(kind, at)
		if info.Secret && n.Items[i].Text == object.Hidden {
			fmt.Fprintf(b, "%s# %s is a secret\n", indent, name)
			continue
		}
		items := []*view.Node{n.Items[i]}
		if n.Items[i].Type == view.List {
			items = n.Items[i].Items
		}
		for _, item := range items {
			one(b, kind, at, name, info, item, indent)
		}
	}
}

func one(b *strings.Builder, kind, at, name string, info object.FieldInfo, item *view.Node, indent string) {
	switch {
	case item.Type == view.Object && info.Type != "address" && info.Type != "list of address" && len(info.Members) > 0:
		fmt.Fprintf(b, "%s%s\n", indent, name)
		commands(b, kind, at, item, indent+"  ")
		fmt.Fprintf(b, "%s  save\n", indent)
	case len(info.Members) == 0 && nested(info): // kept without a schema
		fmt.Fprintf(b, "%s%s %s\n", indent, name, "'"+strings.ReplaceAll(string(item.JSON()), "'", `\u0027`)+"'")
	case item.Type == view.Bool && item.Text == "false":
		fmt.Fprintf(b, "%sno %s\n", indent, name)
	case item.Type == view.Bool:
		fmt.Fprintf(b, "%s%s\n", indent, name)
	case len(info.Words) > 0:
		fmt.Fprintf(b, "%s%s %s\n", indent, name, strings.ToLower(item.Text))
	default:
		fmt.Fprintf(b, "%s%s %s\n", indent, name, quoteWord(view.Flat(item)))
	}
}
