package shell

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// value makes what a field takes of typed words. The error says what would be right.
func (s *Shell) value(ctx context.Context, info object.FieldInfo, words []string) (*view.Node, error) {
	is := strings.TrimPrefix(info.Type, "list of ")
	switch {
	case is == "true or false" && len(words) == 0:
		return view.NewBool(true), nil
	case len(words) == 0:
		return nil, fmt.Errorf("a value is missing: %s", wanted(info))
	case info.Effect == object.Refused || info.ReadOnly:
		return nil, fmt.Errorf("cannot be set: %s", info.Doc)
	case len(words) > 1 && is != "text":
		return nil, fmt.Errorf("takes one value, got %d; quotes make one of several words", len(words))
	}
	text, err := readFile(strings.Join(words, " "))
	if err != nil {
		return nil, err
	}
	switch {
	case is == "true or false":
		if low := strings.ToLower(text); low == "true" || low == "false" {
			return view.NewBool(low == "true"), nil
		}
		return nil, fmt.Errorf("%q: must be true or false", text)
	case is == "number":
		return number(info, text)
	case is == "address":
		return address(text)
	case len(info.Words) > 0:
		return enumWord(info, text)
	case info.Ref != "":
		return s.reference(ctx, info, text)
	case len(info.Members) > 0 || is == "mapping" || is == "list" || is == "anything":
		return anything(info, text)
	}
	return view.NewText(text), nil
}

// wanted says what a field takes.
func wanted(info object.FieldInfo) string {
	switch {
	case len(info.Words) > 0:
		return "one of " + strings.Join(lowerWords(info), ", ")
	case info.Ref != "":
		return "the name of an object of type " + info.Ref
	case info.Range != "":
		return strings.TrimPrefix(info.Type, "list of ") + ", " + info.Range
	}
	return strings.TrimPrefix(info.Type, "list of ")
}

func lowerWords(info object.FieldInfo) []string {
	var out []string
	for _, w := range info.Words {
		out = append(out, strings.ToLower(w.Long))
	}
	return out
}

func number(info object.FieldInfo, text string) (*view.Node, error) {
	if !decimal.MatchString(text) {
		return nil, fmt.Errorf("%q is no number: must be %s", text, info.Range)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	limited := info.Min != 0 || info.Max != 0
	if err != nil || limited && (n < info.Min || n > info.Max) && !slices.Contains(info.Also, n) {
		return nil, fmt.Errorf("%s is out of range: must be %s", text, info.Range)
	}
	return view.NewNumber(text), nil
}

func address(text string) (*view.Node, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no IP address", text)
	}
	family := "V6"
	if a.Is4() {
		family = "V4"
	}
	n := view.NewObject()
	n.Set("addr", view.NewText(a.String()))
	n.Set("type", view.NewText(family))
	return n, nil
}

// enumWord takes Avi's word in any case, and the short one.
func enumWord(info object.FieldInfo, text string) (*view.Node, error) {
	plain := strings.ReplaceAll(text, "_", "-")
	for _, w := range info.Words {
		if strings.EqualFold(w.Long, text) || strings.EqualFold(w.Short, plain) {
			return view.NewText(w.Long), nil
		}
	}
	words := lowerWords(info)
	if near := object.Nearest(strings.ToLower(text), words); near != "" {
		return nil, fmt.Errorf("%q is not known; did you mean %s? Allowed: %s", text, near, strings.Join(words, ", "))
	}
	return nil, fmt.Errorf("%q is not known: must be one of %s", text, strings.Join(words, ", "))
}

// reference takes the name of an object, and looks whether it is there.
func (s *Shell) reference(ctx context.Context, info object.FieldInfo, text string) (*view.Node, error) {
	k, ok := object.FindKind(info.Ref)
	if !ok || strings.Contains(text, "/api/") {
		return view.NewText(text), nil
	}
	_, found, err := s.c.Find(ctx, k, text, nil)
	switch {
	case err != nil:
		return nil, err
	case found:
		return view.NewText(text), nil
	}
	names, err := s.c.Names(ctx, k)
	if err != nil {
		return nil, err
	}
	if near := object.Nearest(text, names); near != "" {
		return nil, fmt.Errorf("there is no %s %q; did you mean %q?", k.Name, text, near)
	}
	const most = 12
	switch slices.Sort(names); {
	case len(names) == 0:
		return nil, fmt.Errorf("there is no %s %q, and none at all: configure %s %s", k.Name, text, k.Path, quoteWord(text))
	case len(names) > most:
		return nil, fmt.Errorf("there is no %s %q; show %s lists those that there are", k.Name, text, k.Path)
	}
	return nil, fmt.Errorf("there is no %s %q; there are: %s", k.Name, text, strings.Join(names, ", "))
}

// anything takes JSON, and what looks like a number or a boolean as such: of what is kept the type is not known.
func anything(info object.FieldInfo, text string) (*view.Node, error) {
	switch {
	case strings.HasPrefix(text, "{") || strings.HasPrefix(text, "["):
		return view.Parse([]byte(text))
	case len(info.Members) > 0:
		return nil, fmt.Errorf("has fields of its own, and is entered by a line of its own that begins: %s %s", info.Name, info.Members[0])
	case decimal.MatchString(text):
		return view.NewNumber(text), nil
	case text == "true" || text == "false":
		return view.NewBool(text == "true"), nil
	}
	return view.NewText(text), nil
}
