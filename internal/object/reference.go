package object

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Resolve turns the references that Avi's clients write (/api/pool?name=edge, /api/pool/pool-0a1b, a bare uuid,
// https://host/api/pool/pool-0a1b#edge) into names. One that names nothing stays for Validate to report.
func (s *Set) Resolve() {
	x := newIndex(s)
	v := reflect.ValueOf(s).Elem()
	for _, k := range theSchema().kinds {
		list := v.Field(k.index)
		for i := range list.Len() {
			x.resolve(list.Index(i), k.shape)
		}
	}
}

func (x *index) resolve(v reflect.Value, sh *shape) {
	for i := range sh.fields {
		f := &sh.fields[i]
		fv := v.Field(f.index)
		switch {
		case f.ref == "":
		case f.class == classList:
			for j := range fv.Len() {
				if name, fault := x.find(f.ref, fv.Index(j).String()); fault == "" {
					fv.Index(j).SetString(name)
				}
			}
		default:
			if name, fault := x.find(f.ref, fv.String()); fault == "" {
				fv.SetString(name)
			}
		}
	}
}

// index finds objects by kind and name, or uuid.
type index struct {
	names map[string]map[string]int    // kind, name: place in its list
	uuids map[string]map[string]string // kind, uuid: name
	order map[string][]string          // kind: names as given
}

func newIndex(s *Set) *index {
	x := &index{names: map[string]map[string]int{}, uuids: map[string]map[string]string{}, order: map[string][]string{}}
	v := reflect.ValueOf(s).Elem()
	for _, k := range theSchema().kinds {
		list := v.Field(k.index)
		names, uuids := map[string]int{}, map[string]string{}
		for i := range list.Len() {
			name := list.Index(i).FieldByName("Name").String()
			if _, twice := names[name]; !twice && name != "" {
				names[name] = i
				x.order[k.name] = append(x.order[k.name], name)
			}
			if uuid := list.Index(i).FieldByName("UUID").String(); uuid != "" && name != "" {
				uuids[uuid] = name
			}
		}
		x.names[k.name], x.uuids[k.name] = names, uuids
	}
	return x
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
	if name, ok := x.uuids[kind][ref]; ok {
		return name, ""
	}
	if a, ok := theSystem().byUUID[ref]; ok && a.kind.name == kind {
		return a.Name(), ""
	}
	r, ok := ParseRef(ref)
	if !ok {
		return "", x.none(kind, ref)
	}
	if k := findKind(r.Kind); k == nil || k.name != kind {
		return "", "refers to " + quote(r.Kind) + ": must be " + aWord(kind)
	}
	if a, ok := theSystem().byUUID[r.UUID]; ok && a.kind.name == kind {
		return a.Name(), ""
	}
	if name, ok := x.uuids[kind][r.UUID]; ok && r.UUID != "" {
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
	have := append(slices.Clip(x.order[kind]), systemNames(kind)...)
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
