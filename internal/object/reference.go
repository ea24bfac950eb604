package object

import (
	"net/url"
	"strconv"
	"strings"
)

// Resolve turns the references that Avi's clients write (/api/pool?name=edge, /api/pool/pool-0a1b, a bare uuid,
// https://host/api/pool/pool-0a1b#edge) into names. One that names nothing stays for Validate to report.
func (s *Set) Resolve() {
	x := newIndex(s)
	w := refWalk{write: true, acted: true, fn: func(r Ref) string {
		if name, fault := x.find(r.Kind, r.Value); fault == "" {
			return name
		}
		return r.Value
	}}
	for _, a := range s.Objects() {
		if a.kind.shape.refs {
			w.structure(a.v, a.kind.shape, nil)
		}
	}
}

// index finds objects by kind and name, or uuid.
type index struct {
	set   *Set
	names map[string]map[string]int // kind, name: place in its list, of two the first
	uuids map[string]map[string]int // kind, uuid: the same
}

func newIndex(s *Set) *index {
	x := &index{set: s, names: map[string]map[string]int{}, uuids: map[string]map[string]int{}}
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(s)
		if list.Len() == 0 {
			continue
		}
		names, uuids := make(map[string]int, list.Len()), make(map[string]int, list.Len())
		for j := range list.Len() {
			o := list.Index(j)
			note(names, o.Field(k.nameAt).String(), j)
			note(uuids, o.Field(k.uuidAt).String(), j)
		}
		x.names[k.name], x.uuids[k.name] = names, uuids
	}
	return x
}

// note puts the place of a text into places, unless it is empty or there already.
func note(places map[string]int, text string, place int) {
	if text == "" {
		return
	}
	if _, twice := places[text]; !twice {
		places[text] = place
	}
}

// byUUID returns the name of the object of that kind and uuid, the set's or the system's own.
func (x *index) byUUID(kind, uuid string) (name string, ok bool) {
	if i, ok := x.uuids[kind][uuid]; ok {
		k := theSchema().kind(kind)
		name = k.list(x.set).Index(i).Field(k.nameAt).String()
		return name, name != ""
	}
	if a, ok := theSystem().byUUID[uuid]; ok && a.kind.name == kind {
		return a.Name(), true
	}
	return "", false
}

func (x *index) has(kind, name string) bool {
	_, ok := x.names[kind][name]
	if !ok {
		_, ok = theSystem().byName[kind][name]
	}
	return ok
}

// find returns the name of the object that a reference means. A name comes before any other reading, so that a
// reference resolved once stays what it is. The fault says what there is instead.
func (x *index) find(kind, ref string) (name, fault string) {
	if x.has(kind, ref) {
		return ref, ""
	}
	if name, ok := x.byUUID(kind, ref); ok {
		return name, ""
	}
	r, ok := ParseRef(ref)
	if !ok {
		return "", x.none(kind, ref)
	}
	if k := findKind(r.Kind); k == nil || k.name != kind {
		return "", "refers to " + quote(r.Kind) + ": must be " + aWord(kind)
	}
	if name, ok := x.byUUID(kind, r.UUID); ok {
		return name, ""
	}
	for _, name := range []string{r.Written, r.Name} {
		if name != "" && x.has(kind, name) {
			return name, ""
		}
	}
	if r.Written == "" {
		return "", "no " + kind + " with the uuid " + quote(r.UUID)
	}
	return "", x.none(kind, r.Name)
}

// none says that there is no such object, and which there are.
func (x *index) none(kind, name string) string {
	const most = 8
	var have []string
	k := theSchema().kind(kind)
	for i, list := 0, k.list(x.set); i < list.Len(); i++ {
		if name := list.Index(i).Field(k.nameAt).String(); x.names[kind][name] == i && name != "" {
			have = append(have, name)
		}
	}
	have = append(have, systemNames(kind)...)
	text := "no " + kind + " named " + quote(name)
	switch near := nearest(name, have); {
	case len(have) == 0:
		return text + "; there is none at all"
	case len(have) <= most:
		return text + "; there are: " + strings.Join(have, ", ")
	case near != "":
		return text + "; did you mean " + near + "?"
	}
	return text + "; there are: " + strings.Join(have[:most], ", ") + " and " + strconv.Itoa(len(have)-most) + " more"
}

// Reference is what a written reference says.
type Reference struct {
	Text    string // as written
	Kind    string // word of the path, such as "pool", for FindKind; empty: a bare uuid or name
	UUID    string // empty: none is given, or the text is bare
	Name    string // with %20 and the like undone; empty: none is given, or the text is bare
	Written string // the name as written: an object may be called "a%20b"
}

// ParseRef reads /api/pool?name=x and /api/pool/uuid, either behind https://host and with #name after it. Anything
// else is a bare uuid or name: ok is false, and only Text is set.
func ParseRef(text string) (r Reference, ok bool) {
	head, fragment, _ := strings.Cut(text, "#")
	head, query, _ := strings.Cut(head, "?")
	_, rest, ok := strings.Cut("/"+head, "/api/")
	if !ok {
		return Reference{Text: text}, false
	}
	kind, uuid, _ := strings.Cut(rest, "/")
	r = Reference{Text: text, Kind: kind, UUID: strings.Trim(uuid, "/"), Written: fragment, Name: fragment}
	if name, err := url.PathUnescape(fragment); err == nil {
		r.Name = name
	}
	for part := range strings.SplitSeq(query, "&") {
		if name, ok := strings.CutPrefix(part, "name="); ok {
			r.Written, r.Name = name, name
			if plain, err := url.QueryUnescape(name); err == nil {
				r.Name = plain
			}
		}
	}
	return r, true
}

// RefName is the name that a reference of any spelling shows: that behind its # or in its query, else its uuid, else the
// text itself.
func RefName(text string) string {
	r, ok := ParseRef(text)
	switch {
	case ok && r.Name != "":
		return r.Name
	case ok && r.UUID != "":
		return r.UUID
	}
	return text
}
