package shell

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
		{"algo", "algo", "how servers are chosen"},
		{"hmon", "hmon", "its monitors"},
		{"persistence", "persistence", "known calls, by server"},
		{"connpool", "connpool", "open transactions, by server"},
		{"vs", "vs", "virtual services that use it"},
	},
	"VirtualService": {
		{"summary", "runtime", "state, and on which engines"},
		{"detail", "runtime/detail", "counters, by engine"},
		{"internal", "runtime/internal", "what engines know inside"},
		{"runtime", "runtime", "as summary"},
		{"udpstat", "udpstat", "counters of UDP"},
		{"tcpstat", "tcpstat", "counters of TCP and TLS"},
		{"connections", "connections", "calls that are up"},
		{"client", "client", "clients"},
		{"clientsummary", "clientsummary", "counters of clients"},
		{"placement", "placement", "where it runs"},
		{"scaleoutstatus", "scaleoutstatus", "as placement"},
	},
	"ServiceEngine": {{"summary", "runtime", "state of an engine"}, {"runtime", "runtime", "as summary"}},
}

// pages are what show has beside objects.
var pages = []Candidate{
	{"running_config", "[--obj_type TYPE] [--search TEXT]: everything as commands that can be pasted"},
	{"cluster", "the controllers and their store"}, {"version", "of the controller"}, {"audit", "[detail]: who changed what"},
	{"vsinventory", "virtual services with state, health and pools"}, {"poolinventory", "pools likewise"},
}

// notYet are types of Avi's that there are none of here, and what there is instead.
var notYet = map[string]string{
	"alert": noAlerts, "alerts": noAlerts, "alertconfig": noAlerts, "actiongroupconfig": noAlerts, "alertsyslogconfig": noAlerts,
	"event": noEvents, "events": noEvents, "log": noLogs, "logs": noLogs, "analyticslog": noLogs,
}

const (
	noAlerts = "there are no alerts here: /metrics and the alert rules of Prometheus do that; carillon doctor says what is wrong now"
	noEvents = "there are no events here: changes are in show audit, states in the log of each engine and in show pool NAME server hmonstat"
	noLogs   = "there are no logs of calls here: carillon trace follows messages live, and /metrics counts what became of them"
)

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
		if len(words) > 1 {
			return s.showPath(ctx, "/api/audit", "")
		}
		return s.showTable(ctx, "/api/audit", []string{"Time", "User", "From", "Tenant", "What"}, s.auditRow)
	case "vsinventory":
		return s.showTable(ctx, "/api/virtualservice-inventory?include=config,runtime,health_score", inventoryHead, inventoryRow)
	case "poolinventory":
		return s.showTable(ctx, "/api/pool-inventory?include=config,runtime,health_score", inventoryHead, inventoryRow)
	}
	k, err := kindOf(words)
	if err != nil {
		if text, here := notYet[strings.ToLower(words[0])]; here {
			return errors.New(text)
		}
		known := types()
		for _, p := range pages {
			known = append(known, p.Word)
		}
		return unknown("type", words[0], known)
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
	n = s.since(path, n)
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

// showTable prints the items of a list as a row each.
func (s *Shell) showTable(ctx context.Context, path string, head []string, row func(*view.Node) []string) error {
	if s.term.mode == "script" {
		return s.showPath(ctx, path, "")
	}
	data, err := s.c.Do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	n, err := view.Parse(data)
	if err != nil {
		return err
	}
	results := n.Get("results")
	if results == nil || len(results.Items) == 0 {
		s.say("There is nothing.")
		return nil
	}
	var rows [][]string
	for _, item := range results.Items {
		rows = append(rows, row(item))
	}
	s.out.Grid(head, rows)
	return nil
}

// auditRow is a change in one row; show audit detail has the values.
func (s *Shell) auditRow(n *view.Node) []string {
	at := n.Get("time").String()
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		at = t.In(s.term.location).Format(time.DateTime)
	}
	var what []string
	const most = 3
	if list := n.Get("objects"); list != nil {
		total := changed(list.Items)
		for i, o := range list.Items {
			if i == most {
				what = append(what, fmt.Sprintf("and %s more", view.Thousands(total-most)))
				break
			}
			what = append(what, o.Get("action").String()+" "+o.Get("kind").String()+"/"+o.Get("name").String())
		}
	}
	return []string{at, n.Get("user").String(), n.Get("address").String(), n.Get("tenant").String(), strings.Join(what, ", ")}
}

// changed is how many objects a change touched: the last item of a large one says how many more there were.
func changed(items []*view.Node) int {
	if len(items) == 0 {
		return 0
	}
	more := 0
	if _, err := fmt.Sscanf(items[len(items)-1].Get("action").String(), "and %d more", &more); err != nil {
		return len(items)
	}
	return len(items) - 1 + more
}

var inventoryHead = []string{"Name", "State", "Health", "Pools", "Used by"}

// inventoryRow is what the inventory tells of one object.
func inventoryRow(n *view.Node) []string {
	state := n.At("runtime.oper_status.state")
	names := func(of string) string {
		var out []string
		if list := n.Get(of); list != nil {
			for _, item := range list.Items {
				out = append(out, object.RefName(item.Text))
			}
		}
		return strings.Join(out, ", ")
	}
	return []string{n.At("config.name").String(), state.String(), n.At("health_score.health_score").String(), names("pools"), names("virtualservices")}
}
