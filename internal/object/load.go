package object

import (
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads the objects of a file, YAML or JSON, and checks them. Three forms are taken, and may be mixed over the
// documents of a YAML stream: a mapping of kinds to lists of objects, as Avi exports them; one object with its kind
// beside its fields (`kind: Pool`); and a list of those.
//
// In what it returns every field is filled in, enumerations are in Avi's long spelling, references are names, and
// short forms are written out. The error joins a *FieldError for every fault, with name as the file's name.
func Load(name string, data []byte) (*Set, error) {
	l, err := load(name, data)
	if err != nil {
		return nil, err
	}
	l.set.Resolve()
	l.check((*checker).all)
	if err := join(l.faults); err != nil {
		return nil, err
	}
	return l.set, nil
}

// LoadObjects reads a file as Load does, of objects that are not all there are: what they refer to may be elsewhere,
// so references stay as they are written, and each object is checked by itself.
func LoadObjects(name string, data []byte) ([]Any, error) {
	l, err := load(name, data)
	if err != nil {
		return nil, err
	}
	l.check((*checker).each)
	if err := join(l.faults); err != nil {
		return nil, err
	}
	return l.set.Objects(), nil
}

// LoadOne reads one object of a kind, YAML or JSON, with that name unless it gives its own, and checks it by itself.
// References stay as they are written.
func LoadOne(kindName, name string, data []byte) (Any, error) {
	k := findKind(kindName)
	if k == nil {
		return Any{}, &FieldError{Object: kindName, Msg: unknownKind(kindName)}
	}
	docs, fault := read("", data)
	if fault == nil && len(docs) != 1 {
		fault = &FieldError{Msg: "expected one object, got " + strconv.Itoa(len(docs)) + " documents"}
	}
	if fault != nil {
		return Any{}, fault
	}
	l := &loader{set: &Set{}, nodes: map[objectID]*yaml.Node{}}
	body, _ := l.open(docs[0])
	if body.Kind == yaml.MappingNode && !hasKey(body, "name") {
		body.Content = append(body.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "name", Line: body.Line},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: body.Line})
	}
	l.add(k, body)
	for _, a := range l.set.Objects() {
		a.complete()
	}
	l.check((*checker).each)
	if err := join(l.faults); err != nil {
		return Any{}, err
	}
	return l.set.Objects()[0], nil
}

// load reads the objects of a file, and fills in what follows from what was given. Faults are left in the loader.
func load(name string, data []byte) (*loader, error) {
	docs, fault := read(name, data)
	if fault != nil {
		return nil, fault
	}
	l := &loader{decoder: decoder{file: name}, set: &Set{}, nodes: map[objectID]*yaml.Node{}}
	for _, doc := range docs {
		l.document(doc)
	}
	if len(l.nodes) == 0 && len(l.faults) == 0 {
		return nil, &FieldError{File: name, Msg: "holds no objects; a list of them stands below each of " + kindNames()}
	}
	for _, a := range l.set.Objects() {
		a.complete()
	}
	return l, nil
}

// objectID names an object of a Set by kind and place.
type objectID struct {
	kind  *kind
	index int
}

type loader struct {
	decoder
	set   *Set
	nodes map[objectID]*yaml.Node // where an object stands in the file
}

func kindNames() string {
	var names []string
	for _, k := range theSchema().kinds[:6] { // those that a file for a SIP service needs
		names = append(names, k.name)
	}
	return strings.Join(names, ", ") + " or another of docs/objects"
}

// findKind returns the kind that text spells: VirtualService, virtualservice, virtual_service, virtual-service.
func findKind(text string) *kind {
	if k := theSchema().kind(text); k != nil {
		return k
	}
	text = separators.Replace(text)
	for i := range theSchema().kinds {
		if k := &theSchema().kinds[i]; strings.EqualFold(k.name, text) {
			return k
		}
	}
	return nil
}

// separators may stand between the words of a kind's name.
var separators = strings.NewReplacer("_", "", "-", "")

func unknownKind(text string) string {
	var names []string
	for _, k := range theSchema().kinds {
		names = append(names, k.name)
	}
	if near := nearest(text, names); near != "" {
		return "unknown kind of object; did you mean " + near + "?"
	}
	return "unknown kind of object: must be " + kindNames()
}

func (l *loader) document(n *yaml.Node) {
	n, ok := l.open(n)
	l.object = ""
	switch {
	case !ok:
		l.overflow(n)
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if item, _ = l.open(item); item.Kind != yaml.MappingNode {
				l.fail(item, nil, "expected an object with its kind, got "+describe(item))
				continue
			}
			l.one(item)
		}
	case n.Kind != yaml.MappingNode && !isNull(n):
		l.fail(n, nil, "expected kinds of objects ("+kindNames()+"), each with a list, got "+describe(n))
	case n.Kind == yaml.MappingNode && hasKey(n, "kind"):
		l.one(n)
	case n.Kind == yaml.MappingNode:
		for _, m := range l.pairs(n, nil) {
			l.object = ""
			l.listOf(m)
		}
	}
}

func hasKey(n *yaml.Node, name string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// listOf takes `Pool: [...]`.
func (l *loader) listOf(m pair) {
	if m.key.Value == "META" { // Avi's export: who exported when
		return
	}
	k := findKind(m.key.Value)
	if k == nil {
		l.fail(m.key, (*path)(nil).field(m.key.Value), unknownKind(m.key.Value))
		return
	}
	list, ok := l.open(m.value)
	switch {
	case !ok:
		l.overflow(list)
	case list.Kind == yaml.SequenceNode:
		for _, item := range list.Content {
			l.add(k, item)
		}
	case !isNull(list):
		l.fail(list, (*path)(nil).field(m.key.Value), "expected a list of objects, got "+describe(list))
	}
}

// one takes an object with its kind beside its fields.
func (l *loader) one(n *yaml.Node) {
	body := *n
	body.Content = nil
	var k *kind
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "kind" {
			body.Content = append(body.Content, n.Content[i], n.Content[i+1])
			continue
		}
		value, _ := l.open(n.Content[i+1])
		if k != nil {
			l.fail(n.Content[i], (*path)(nil).field("kind"), "given twice")
			return
		}
		if k = findKind(value.Value); k == nil {
			l.object = ""
			l.fail(value, (*path)(nil).field("kind"), quote(value.Value)+": "+unknownKind(value.Value))
			return
		}
	}
	if k == nil {
		l.object = ""
		l.fail(n, (*path)(nil).field("kind"), "missing: expected "+kindNames())
		return
	}
	l.add(k, &body)
}

// add decodes an object onto its defaults.
func (l *loader) add(k *kind, n *yaml.Node) {
	list := k.list(l.set)
	v := reflect.New(k.shape.typ).Elem()
	v.Set(k.shape.zero)
	l.object = k.name + "[" + strconv.Itoa(list.Len()) + "]"
	if name := l.nameOf(n); name != "" {
		l.object = k.name + "/" + name
	}
	l.structure(n, k.shape, v, nil)
	l.nodes[objectID{theSchema().kind(k.name), list.Len()}] = n
	l.set.Add(Any{k, v})
}

// nameOf looks for the name of an object before it is decoded, so that its faults can be told by it.
func (d *decoder) nameOf(n *yaml.Node) string {
	n, _ = d.open(n)
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		value, _ := d.open(n.Content[i+1])
		if n.Content[i].Value == "name" && value.Kind == yaml.ScalarNode && !isNull(value) {
			return value.Value
		}
	}
	return ""
}

// check finds the faults that a check shows, and keeps those that no fault of the file explains.
func (l *loader) check(how func(*checker)) {
	c := newChecker(l.set)
	c.line = func(id objectID) int {
		if n := l.nodes[id]; n != nil {
			return n.Line
		}
		return 0
	}
	c.report = func(id objectID, p *path, msg string) {
		l.object = id.label(l.set)
		if !l.explained(p) {
			l.tell(l.locate(l.nodes[id], p), p, msg)
		}
	}
	how(c)
}

// explained reports whether a fault of the file stands at a place, above it or below it: what a check says there
// would only follow from that.
func (l *loader) explained(p *path) bool {
	if l.failed[place{l.object, p.String()}] != 0 {
		return true
	}
	for ; p != nil; p = p.up {
		if l.failed[place{l.object, p.up.String()}]&failedHere != 0 {
			return true
		}
	}
	return false
}

// locate finds the node of a field, or the nearest above it that the file has.
func (l *loader) locate(n *yaml.Node, p *path) *yaml.Node {
	at := n
	for _, step := range p.steps() {
		n, _ = l.open(n)
		switch {
		case step.name == "" && n.Kind == yaml.SequenceNode && step.index < len(n.Content):
			n = n.Content[step.index]
			at = n
		case step.name != "" && n.Kind == yaml.MappingNode:
			i := 0
			for i+1 < len(n.Content) && n.Content[i].Value != step.name {
				i += 2
			}
			if i+1 >= len(n.Content) {
				return at
			}
			at, n = n.Content[i], n.Content[i+1]
		default:
			return at
		}
	}
	return at
}

// number gives the addresses without a vip_id their place in the list as one, as far as it is free.
func (v *VsVip) number() {
	taken := map[string]bool{}
	for i := range v.Vip {
		taken[v.Vip[i].VipID] = true
	}
	next := 1
	for i := range v.Vip {
		if v.Vip[i].VipID != "" {
			continue
		}
		for taken[strconv.Itoa(next)] {
			next++
		}
		v.Vip[i].VipID = strconv.Itoa(next)
		taken[v.Vip[i].VipID] = true
	}
}
