package shell

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

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
