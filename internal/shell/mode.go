package shell

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// frame is one sub-mode: an object, or a part of one. What is typed changes a copy; save puts it into the frame below.
type frame struct {
	kind  object.KindInfo
	info  object.FieldInfo // of the part; its Members are the fields
	path  string           // for Describe: "servers"; empty: the object itself
	label string           // for the prompt
	node  *view.Node
	uuid  string // of an object that is there; empty: a new one. Valid iff path is empty
	// keep puts node into the frame below; nil in the outermost, which sends it.
	keep func(*view.Node)
	set  map[string]bool // fields typed in this mode
}

// fetch finds an object by its name or uuid.
func (s *Shell) fetch(ctx context.Context, k object.KindInfo, name string, query url.Values) (*view.Node, error) {
	data, found, err := s.c.Find(ctx, k, name, query)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, s.c.NoSuch(ctx, k, name)
	}
	return view.Parse(data)
}

func (s *Shell) configure(ctx context.Context, words []string, body []byte) error {
	k, err := kindOf(words)
	if err != nil {
		return err
	}
	if len(words) < 2 {
		return fmt.Errorf("expected configure %s NAME", k.Path)
	}
	name, rest := words[1], words[2:]
	data, found, err := s.c.Find(ctx, k, name, url.Values{"skip_default": {"true"}})
	if err != nil {
		return err
	}
	f := &frame{kind: k, label: k.Path, node: view.NewObject(), set: map[string]bool{}}
	f.info, _ = object.Describe(k.Name, "")
	f.node.Set("name", view.NewText(name))
	if found {
		if f.node, err = view.Parse(data); err != nil {
			return err
		}
		f.uuid = f.node.Get("uuid").String()
	}
	switch {
	case body != nil:
		return s.replace(ctx, f, name, body)
	case s.term.mode == "linux_command_line" && len(rest) > 0 && !strings.HasPrefix(rest[0], "--"):
		return fmt.Errorf("%q: expected --FIELD VALUE: terminal mode is linux_command_line; 'terminal mode interactive' enters objects", rest[0])
	case s.term.mode == "linux_command_line", len(rest) > 0 && strings.HasPrefix(rest[0], "--"):
		if err := s.flags(ctx, f, rest); err != nil {
			return err
		}
		return s.send(ctx, f)
	}
	if found {
		s.say("Updating an existing object. Currently, the object is:")
		s.grid(k.Name, f.node)
	}
	if tenant, bare, there := s.c.OfTenant(ctx, k, name); there && !found {
		return fmt.Errorf("%q would be a new object of tenant %s, and engines know %q of tenant %s by that name; that one is configured after: switchto tenant %s", name, s.tenant(), bare, tenant, tenant)
	}
	s.frames = []*frame{f}
	if len(rest) > 0 {
		if err := s.pairs(ctx, f, rest); err != nil {
			s.frames = nil
			return err
		}
	}
	return nil
}

// replace makes an object what a text in YAML says.
func (s *Shell) replace(ctx context.Context, f *frame, name string, body []byte) error {
	o, err := object.LoadOne(f.kind.Name, name, body)
	if err != nil {
		return view.Pointed(err, body)
	}
	n, err := view.Parse(o.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true}))
	if err != nil {
		return err
	}
	if modified := f.node.Get("_last_modified"); modified != nil {
		n.Set("_last_modified", modified)
	}
	f.node = n
	return s.send(ctx, f)
}

// flags sets fields from --servers.1.ip 10.0.0.1 and the like; items count from 1.
func (s *Shell) flags(ctx context.Context, f *frame, words []string) error {
	for len(words) > 0 {
		flag, ok := strings.CutPrefix(words[0], "--")
		if !ok {
			return fmt.Errorf("%q: expected --FIELD VALUE", words[0])
		}
		flag, value, given := strings.Cut(flag, "=")
		words = words[1:]
		if !given && len(words) > 0 && !strings.HasPrefix(words[0], "--") {
			value, words, given = words[0], words[1:], true
		}
		var values []string
		if given {
			values = []string{value}
		}
		if err := s.flag(ctx, f, strings.Split(flag, "."), values); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shell) flag(ctx context.Context, f *frame, path, values []string) error {
	if len(path) == 1 {
		return s.scalar(ctx, f, path[0], values)
	}
	info, err := f.field(path[0])
	if err != nil {
		return err
	}
	path = path[1:]
	index := 0
	if n, err := strconv.Atoi(path[0]); err == nil && info.List {
		index, path = n, path[1:]
	}
	if len(path) == 0 {
		return s.scalar(ctx, f, info.Name, values)
	}
	sub, err := f.enter(info, index, index > 0)
	if err != nil {
		return err
	}
	if err := s.flag(ctx, sub, path, values); err != nil {
		return err
	}
	sub.keep(sub.node)
	return nil
}

// field describes a field of a frame.
func (f *frame) field(name string) (object.FieldInfo, error) {
	info, ok := object.Describe(f.kind.Name, strings.TrimPrefix(f.path+"."+name, "."))
	if ok {
		return info, nil
	}
	if f.free() { // what is kept without a schema
		return object.FieldInfo{Name: name, Type: "anything", Effect: object.Idle}, nil
	}
	return info, unknown("field", name, f.info.Members)
}

// free reports whether the members of a frame are not known.
func (f *frame) free() bool { return len(f.info.Members) == 0 }

// nested reports whether a field is entered, not given a value.
func nested(info object.FieldInfo) bool {
	return len(info.Members) > 0 || info.Effect == object.Idle && (info.Type == "mapping" || info.Type == "list" && info.Ref == "")
}

// enter opens a part. index is that of an item, from 1; 0: a new one, or that of a mapping. With grow the item after
// the last may be named too.
func (f *frame) enter(info object.FieldInfo, index int, grow bool) (*frame, error) {
	sub := &frame{kind: f.kind, info: info, path: strings.TrimPrefix(f.path+"."+info.Name, "."), label: info.Name, node: view.NewObject(), set: map[string]bool{}}
	if !info.List {
		if now := f.node.Get(info.Name); now != nil && now.Type == view.Object {
			sub.node = now.Clone()
		}
		sub.keep = func(n *view.Node) { f.node.Set(info.Name, n) }
		return sub, nil
	}
	list := f.node.Get(info.Name)
	count := 0
	if list != nil {
		count = len(list.Items)
	}
	if index > count && !(grow && index == count+1) {
		return nil, fmt.Errorf("%s: there is no item %d: there are %d", info.Name, index, count)
	}
	if index > 0 && index <= count {
		if list.Items[index-1].Type == view.Object {
			sub.node = list.Items[index-1].Clone()
		}
		sub.keep = func(n *view.Node) { f.node.Get(info.Name).Items[index-1] = n }
		return sub, nil
	}
	sub.keep = func(n *view.Node) { f.add(info.Name, n) }
	return sub, nil
}

// add appends an item to a list.
func (f *frame) add(name string, n *view.Node) {
	list := f.node.Get(name)
	if list == nil || list.Type != view.List {
		list = &view.Node{Type: view.List}
		f.node.Set(name, list)
	}
	list.Items = append(list.Items, n)
}

// modeCommands are those inside of an object; fields come beside them.
var modeCommands = []Candidate{
	{"save", "keep the changes; the outermost save sends them"}, {"exit", "as save"}, {"cancel", "drop the changes of this sub-mode"},
	{"where", "show what was entered so far"}, {"no", "a field back to its default, or an item of a list away"},
	{"do", "a command of the top level, such as do show pool"},
}

// inMode runs a command inside of an object.
func (s *Shell) inMode(ctx context.Context, words []string) error {
	f := s.frames[len(s.frames)-1]
	first := strings.ToLower(words[0])
	if len(words) > 1 && slices.Contains([]string{"save", "exit", "cancel", "where"}, first) {
		return fmt.Errorf("%s takes nothing more, got %q: nothing was done", first, words[1])
	}
	switch first {
	case "save", "exit":
		return s.save(ctx)
	case "cancel":
		s.frames = s.frames[:len(s.frames)-1]
		return nil
	case "where":
		s.where()
		return nil
	case "no":
		return s.no(f, words[1:])
	case "do":
		if len(words) < 2 {
			return errors.New("expected do COMMAND, such as do show pool")
		}
		c := find(topCommands(), words[1])
		if c == nil || c.name == "configure" || c.name == "switchto" || c.name == "exit" || c.name == "quit" {
			return unknown("command", words[1], []string{"show", "watch", "terminal", "history", "help", "delete", "clear", "bash"})
		}
		return c.run(s, ctx, words[2:], nil)
	case "help":
		s.help(ctx, "")
		return nil
	}
	if len(words) == 1 {
		return s.open(ctx, f, words[0], nil)
	}
	return s.open(ctx, f, words[0], words[1:])
}

// open gives a field its value, or enters it.
func (s *Shell) open(ctx context.Context, f *frame, name string, rest []string) error {
	name = strings.ToLower(name)
	info, err := f.field(name)
	if err != nil {
		if slices.Contains(namesOf(topCommands()), name) {
			return fmt.Errorf("%w; in an object commands of the top level stand behind do: do %s", err, name)
		}
		return err
	}
	if !nested(info) || len(rest) == 1 && strings.HasPrefix(rest[0], "{") || len(rest) == 1 && strings.HasPrefix(rest[0], "[") {
		return s.scalar(ctx, f, name, rest)
	}
	if len(rest) == 1 && info.Short != "" && !slices.Contains(info.Members, strings.ToLower(rest[0])) {
		f.add(name, view.NewText(rest[0])) // an item in its short form, such as address:port
		return nil
	}
	index := 0
	if len(rest) >= 2 && rest[0] == "index" && info.List && !slices.Contains(info.Members, "index") {
		if index, err = strconv.Atoi(rest[1]); err != nil || index < 1 {
			return fmt.Errorf("%s index %s: expected the number of an item, from 1", name, rest[1])
		}
		rest = rest[2:]
	}
	sub, err := f.enter(info, index, false)
	if err != nil {
		return err
	}
	if err := s.pairs(ctx, sub, rest); err != nil {
		return err
	}
	s.frames = append(s.frames, sub)
	return nil
}

// pairs sets fields of one line: ip 10.0.0.1 port 5060 enabled.
func (s *Shell) pairs(ctx context.Context, f *frame, words []string) error {
	for len(words) > 0 {
		info, err := f.field(strings.ToLower(words[0]))
		if err != nil {
			return err
		}
		take := 1
		if info.Type != "true or false" || len(words) > 1 && (words[1] == "true" || words[1] == "false") {
			take = 2
		}
		if len(words) < take {
			return s.scalar(ctx, f, info.Name, nil)
		}
		if err := s.scalar(ctx, f, info.Name, words[1:take]); err != nil {
			return err
		}
		words = words[take:]
	}
	return nil
}

// scalar gives a field its value; of a list, one more.
func (s *Shell) scalar(ctx context.Context, f *frame, name string, values []string) error {
	info, err := f.field(strings.ToLower(name))
	if err != nil {
		return err
	}
	n, err := s.value(ctx, info, values)
	if err != nil {
		return fmt.Errorf("%s: %w", info.Name, err)
	}
	if info.List && n.Type != view.List {
		f.add(info.Name, n)
		return nil
	}
	if f.set[info.Name] {
		s.say("Overwriting the previously entered value for %s", info.Name)
	}
	f.set[info.Name] = true
	f.node.Set(info.Name, n)
	return nil
}

// no puts a field back to its default, or takes items out of a list.
func (s *Shell) no(f *frame, words []string) error {
	if len(words) == 0 {
		return errors.New("expected no FIELD")
	}
	info, err := f.field(strings.ToLower(words[0]))
	if err != nil {
		return err
	}
	rest := words[1:]
	switch {
	case info.Type == "true or false" && len(rest) == 0:
		f.node.Set(info.Name, view.NewBool(false))
		return nil
	case len(rest) == 0:
		f.node.Delete(info.Name) // not set, it is at its default already
		return nil
	case !info.List:
		return fmt.Errorf("no %s takes nothing more", info.Name)
	}
	list := f.node.Get(info.Name)
	if list == nil {
		return fmt.Errorf("%s has no items", info.Name)
	}
	before := len(list.Items)
	if n, err := strconv.Atoi(rest[len(rest)-1]); err == nil && len(rest) == 2 && rest[0] == "index" && n >= 1 && n <= before {
		list.Items = slices.Delete(list.Items, n-1, n)
		return nil
	}
	list.Items = slices.DeleteFunc(list.Items, func(item *view.Node) bool { return matches(item, rest) })
	if len(list.Items) == before {
		return fmt.Errorf("%s has no item %s; where shows those that there are", info.Name, strings.Join(rest, " "))
	}
	return nil
}

// matches reports whether an item has those values: ip A port P, or a single one.
func matches(item *view.Node, words []string) bool {
	if item.Type != view.Object {
		return len(words) == 1 && (view.Flat(item) == words[0] || item.Text == words[0])
	}
	if len(words)%2 != 0 {
		return false
	}
	for i := 0; i < len(words); i += 2 {
		if !strings.EqualFold(view.Flat(item.Get(words[i])), words[i+1]) {
			return false
		}
	}
	return true
}

// where shows what was entered so far.
func (s *Shell) where() {
	s.say("Tenant: %s", s.tenant())
	if len(s.frames) > 1 {
		s.say("%s:", s.path())
		s.out.Grid([]string{"Field", "Value"}, withPath(s.frames[len(s.frames)-1]))
		s.say("%s, without what is not saved yet:", s.frames[0].label)
	}
	s.grid(s.frames[0].kind.Name, s.frames[0].node)
}

// withPath are the rows of a part.
func withPath(f *frame) [][]string {
	whole := f.node
	names := strings.Split(f.path, ".")
	for i := len(names) - 1; i >= 0; i-- {
		o := view.NewObject()
		o.Set(names[i], whole)
		whole = o
	}
	return view.Rows(f.kind.Name, whole, view.Options{})
}

// save leaves a sub-mode. The outermost sends the object.
func (s *Shell) save(ctx context.Context) error {
	f := s.frames[len(s.frames)-1]
	if f.keep == nil {
		if err := s.send(ctx, f); err != nil {
			return err // what was entered is kept
		}
		s.frames = nil
		return nil
	}
	f.keep(f.node)
	s.frames = s.frames[:len(s.frames)-1]
	return nil
}

// send creates or replaces an object, and prints what became of it.
func (s *Shell) send(ctx context.Context, f *frame) error {
	method, path := http.MethodPost, "/api/"+f.kind.Path
	if f.uuid != "" {
		method, path = http.MethodPut, path+"/"+f.uuid
	}
	data, err := s.c.Do(ctx, method, path+"?include_name=true", f.node.JSON())
	if err != nil {
		return err
	}
	n, err := view.Parse(data)
	if err != nil {
		return err
	}
	s.grid(f.kind.Name, n)
	return nil
}

// grid prints an object.
func (s *Shell) grid(kind string, n *view.Node) {
	if s.term.mode == "script" {
		s.yaml(view.AsFile(kind, n))
		return
	}
	s.out.Grid([]string{"Field", "Value"}, view.Rows(kind, n, s.looks()))
}

// looks are those of objects, as the terminal is set.
func (s *Shell) looks() view.Options { return view.Options{Brief: s.term.brief, Zone: s.term.location} }

func (s *Shell) yaml(n *view.Node) {
	text, err := object.YAML(n.JSON())
	if err != nil {
		s.say("%s", n.JSON())
		return
	}
	fmt.Fprint(s.out.Out, string(text))
}
