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
	return ok || slices.Contains(systemNames(kind), name)
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
	r, ok := parseReference(ref)
	if !ok {
		return "", x.none(kind, ref)
	}
	if k := findKind(r.kind); k == nil || k.name != kind {
		return "", "refers to " + quote(r.kind) + ": must be " + aWord(kind)
	}
	if name, ok := x.uuids[kind][r.uuid]; ok && r.uuid != "" {
		return name, ""
	}
	for _, name := range []string{r.name, r.unescaped} {
		if name != "" && x.has(kind, name) {
			return name, ""
		}
	}
	if r.name == "" {
		return "", "no " + kind + " with the uuid " + quote(r.uuid)
	}
	return "", x.none(kind, r.unescaped)
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

// reference is one written as a URL, or the path of one.
type reference struct {
	kind      string
	uuid      string
	name      string // as written
	unescaped string // the same with %20 and the like undone
}

// parseReference takes /api/pool?name=x, /api/pool/uuid, either behind https://host and with #name after it.
func parseReference(ref string) (reference, bool) {
	head, fragment, _ := strings.Cut(ref, "#")
	head, query, _ := strings.Cut(head, "?")
	_, rest, ok := strings.Cut("/"+head, "/api/")
	if !ok {
		return reference{}, false
	}
	kind, uuid, _ := strings.Cut(rest, "/")
	r := reference{kind: kind, uuid: strings.Trim(uuid, "/"), name: fragment, unescaped: fragment}
	if text, err := url.PathUnescape(fragment); err == nil {
		r.unescaped = text
	}
	for part := range strings.SplitSeq(query, "&") {
		if name, ok := strings.CutPrefix(part, "name="); ok {
			r.name, r.unescaped = name, name
			if text, err := url.QueryUnescape(name); err == nil {
				r.unescaped = text
			}
		}
	}
	return r, true
}
