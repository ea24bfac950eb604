package view

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// hidden are members of answers that say nothing to people.
var hidden = []string{"url", "_last_modified", "configpb_attributes"}

// Options say how an object is shown.
type Options struct {
	Brief bool           // what is at its default is left out
	Zone  *time.Location // of times; nil: that of the machine
}

// Rows are the lines of a two-column grid: members and values, members of members indented. kind names the fields;
// empty: they stay in their order.
func Rows(kind string, n *Node, o Options) [][]string {
	if o.Zone == nil {
		o.Zone = time.Local
	}
	r := rower{kind: kind, o: o}
	r.members(n, "", "")
	return r.rows
}

type rower struct {
	kind string
	o    Options
	rows [][]string
}

// order puts the names of members into the order of the schema: uuid and name first, strangers last.
func (r *rower) order(names []string, path string) []string {
	info, known := object.Describe(r.kind, path)
	if r.kind == "" || !known {
		return names
	}
	order := info.Members
	if path == "" {
		order = append([]string{"uuid", "name"}, order...)
	}
	at := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int { return at(a) - at(b) })
	return names
}

func (r *rower) members(n *Node, path, indent string) {
	for _, name := range r.order(n.Names, path) {
		if path == "" && slices.Contains(hidden, name) {
			continue
		}
		at := name
		if path != "" {
			at = path + "." + name
		}
		info, known := object.FieldInfo{}, false
		if r.kind != "" {
			info, known = object.Describe(r.kind, at)
		}
		value := n.Get(name)
		if r.o.Brief && known && atDefault(info, value) {
			continue
		}
		r.member(name, value, info, at, indent)
	}
}

func atDefault(info object.FieldInfo, value *Node) bool {
	if info.Required {
		return false
	}
	if info.Default == nil {
		return len(value.Items) == 0 && slices.Contains([]string{"", "0", "false"}, value.Text)
	}
	def := info.Default
	if value.Type == Text && info.Ref != "" {
		value = NewText(object.RefName(value.Text))
	}
	return string(value.JSON()) == string(def)
}

func (r *rower) member(name string, value *Node, info object.FieldInfo, path, indent string) {
	switch {
	case value.Type == Object && isAddress(value):
		r.row(indent+name, value.Get("addr").String())
	case isTime(value):
		secs, _ := strconv.ParseInt(value.Get("secs").Text, 10, 64) // 0 of what is no number
		r.row(indent+name, time.Unix(secs, 0).In(r.o.Zone).Format(time.DateTime))
	case value.Type == Object:
		r.row(indent+name, "")
		r.members(value, path, indent+"  ")
	case value.Type == List:
		for i, item := range value.Items {
			r.member(fmt.Sprintf("%s[%d]", name, i+1), item, info, path, indent)
		}
	default:
		r.row(indent+name, scalar(value, info))
	}
}

func (r *rower) row(name, value string) { r.rows = append(r.rows, []string{name, value}) }

// isAddress reports whether a value is {addr, type}.
func isAddress(n *Node) bool {
	return len(n.Names) <= 2 && n.Get("addr") != nil && (len(n.Names) == 1 || n.Get("type") != nil)
}

// isTime reports whether a value is {secs, usecs}.
func isTime(n *Node) bool {
	return n.Type == Object && len(n.Names) == 2 && n.Get("secs") != nil && n.Get("usecs") != nil
}

func scalar(n *Node, info object.FieldInfo) string {
	switch n.Type {
	case Bool:
		return strings.ToUpper(n.Text[:1]) + n.Text[1:]
	case Number:
		if info.Unit != "" {
			return n.Text + " " + info.Unit
		}
	case Text:
		return object.RefName(n.Text)
	}
	return n.Text
}

// Flat is a value in one cell.
func Flat(n *Node) string {
	switch {
	case n == nil:
		return ""
	case n.Type == Object && isAddress(n):
		return n.Get("addr").String()
	case n.Type == Object:
		var parts []string
		for i, name := range n.Names {
			parts = append(parts, name+"="+Flat(n.Items[i]))
		}
		return strings.Join(parts, " ")
	case n.Type == List:
		var parts []string
		for _, item := range n.Items {
			parts = append(parts, Flat(item))
		}
		return strings.Join(parts, ", ")
	}
	return scalar(n, object.FieldInfo{})
}

// AsFile turns an answer of the API into what a file says: references are names, and what only answers have is gone.
func AsFile(kind string, n *Node) *Node {
	out := named(kind, "", n)
	for _, name := range hidden {
		out.Delete(name)
	}
	for _, name := range []string{"uuid", "runtime", "tenant_ref"} {
		out.Delete(name)
	}
	if c := out.Get("cloud_ref"); c != nil && c.Text == "Default-Cloud" {
		out.Delete("cloud_ref")
	}
	return out
}

// named returns a copy whose references are names.
func named(kind, path string, n *Node) *Node {
	c := &Node{Type: n.Type, Text: n.Text, Names: slices.Clone(n.Names)}
	if n.Type == Text {
		if info, ok := object.Describe(kind, path); ok && info.Ref != "" || strings.HasPrefix(n.Text, "https://") && strings.Contains(n.Text, "/api/") {
			c.Text = object.RefName(n.Text)
		}
	}
	for i, item := range n.Items {
		at := path
		if n.Type == Object {
			at = strings.TrimPrefix(path+"."+n.Names[i], ".")
		}
		c.Items = append(c.Items, named(kind, at, item))
	}
	return c
}

// Column is one column of a list of objects.
type Column struct {
	Head string
	Cell func(*Node) string
}

func field(head, path string) Column {
	return Column{head, func(n *Node) string { return Flat(n.At(path)) }}
}

// state is that of the runtime, which comes with join_subresources=runtime.
var state = field("State", "runtime.oper_status.state")

// word is an enumeration without what all its words begin with.
func word(head, path string) Column {
	return Column{head, func(n *Node) string { return strings.ToLower(strings.TrimPrefix(n.At(path).String(), prefixOf(path))) }}
}

func prefixOf(path string) string {
	return map[string]string{"lb_algorithm": "LB_ALGORITHM_", "profile.type": "PROTOCOL_TYPE_"}[path]
}

var columns = map[string][]Column{
	"VirtualService": {field("Vip", "vsvip_ref"), {"Ports", ports}, field("Pool", "pool_ref"), field("Enabled", "enabled"), state},
	"Pool": {word("Algorithm", "lb_algorithm"), {"Servers", func(n *Node) string {
		total := 0
		if servers := n.Get("servers"); servers != nil {
			total = len(servers.Items)
		}
		if up := n.At("runtime.num_servers_up"); up != nil {
			return fmt.Sprintf("%s of %d up", up.Text, total)
		}
		return strconv.Itoa(total)
	}}, field("Enabled", "enabled"), state},
	"VsVip":              {{"Addresses", addresses}},
	"HealthMonitor":      {field("Type", "type"), field("Interval", "send_interval"), field("Timeout", "receive_timeout")},
	"ApplicationProfile": {field("Type", "type")},
	"NetworkProfile":     {word("Protocol", "profile.type")},
	"PoolGroup": {{"Members", func(n *Node) string {
		var out []string
		if m := n.Get("members"); m != nil {
			for _, item := range m.Items {
				out = append(out, Flat(item.Get("pool_ref")))
			}
		}
		return strings.Join(out, ", ")
	}}},
	"SSLKeyAndCertificate": {field("Type", "type"), field("Subject", "certificate.subject.common_name"), field("Until", "certificate.not_after")},
	"User":                 {field("Full name", "full_name")},
	"ServiceEngine": {field("Host", "runtime.host"), field("Version", "runtime.version"), field("Virtual services", "runtime.num_virtualservices"),
		field("Calls", "runtime.known_calls"), state},
}

func ports(n *Node) string {
	var out []string
	if list := n.Get("services"); list != nil {
		for _, s := range list.Items {
			text := s.Get("port").String()
			if end := s.Get("port_range_end").String(); end != "" && end != "0" && end != text {
				text += "-" + end
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, ",")
}

func addresses(n *Node) string {
	var out []string
	if list := n.Get("vip"); list != nil {
		for _, v := range list.Items {
			for _, name := range []string{"ip_address", "ip6_address"} {
				if a := Flat(v.Get(name)); a != "" {
					out = append(out, a)
				}
			}
		}
	}
	return strings.Join(out, ", ")
}

// ListOf are the head and the rows of a list of objects of a kind.
func ListOf(kind string, list []*Node, wide bool) (head []string, rows [][]string) {
	cols := append([]Column{field("Name", "name")}, columns[kind]...)
	if columns[kind] == nil {
		cols = append(cols, field("Description", "description"))
	}
	if wide {
		cols = append(cols, field("Tenant", "tenant_ref"), field("UUID", "uuid"))
		if columns[kind] != nil {
			cols = append(cols, field("Description", "description"))
		}
	}
	for _, c := range cols {
		head = append(head, c.Head)
	}
	for _, n := range list {
		var row []string
		for _, c := range cols {
			row = append(row, c.Cell(n))
		}
		rows = append(rows, row)
	}
	return head, rows
}

// ParseAll reads a list of JSON values.
func ParseAll(list []json.RawMessage) ([]*Node, error) {
	out := make([]*Node, 0, len(list))
	for _, data := range list {
		n, err := Parse(data)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
