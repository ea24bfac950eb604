package agent

import (
	"errors"
	"fmt"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// What the store holds may be wrong in a place: a record that a newer version wrote, or that was damaged, and with it
// what refers to it. The rest is run all the same. An object with a fault goes on in its last good form, or is left out.

// mended is a set that can be run, and what it lacks: by object, as VirtualService/edge, in words.
type mended struct {
	set    *object.Set
	faults map[string]string
}

// mend makes the set of a view such that it can be run. last is what was run before; nil: nothing.
func mend(v *catalog.View, set, last *object.Set) (mended, error) {
	m := mended{set: forEngine(set), faults: map[string]string{}}
	if len(v.Faults) == 0 && m.set.ValidateTogether() == nil {
		return m, nil
	}
	known := byUUID(last)
	names := map[string]string{} // by uuid, of objects that are as they were
	for _, f := range v.Faults {
		kind, uuid := f.Names()
		words := "its record in the store cannot be read: a newer version wrote it, or it is damaged"
		switch old, ok := known[uuid]; {
		case v.Get("", uuid) != nil:
			words += "; it goes on as it was before"
		case ok:
			words += "; it goes on as it was before the start"
			m.add(old)
			names[uuid] = old.Name()
		}
		m.faults[kind+"/"+uuid] = words
	}
	if len(names) > 0 {
		m.rename(names)
	}
	err := m.set.ValidateTogether()
	for err != nil {
		if !m.yield(err, known) {
			return m, err
		}
		err = m.set.Validate()
	}
	return m, nil
}

// byUUID finds the objects of a set.
func byUUID(set *object.Set) map[string]object.Any {
	out := map[string]object.Any{}
	if set != nil {
		for _, o := range set.Objects() {
			if o.UUID() != "" {
				out[o.UUID()] = o
			}
		}
	}
	return out
}

// add puts an object into the set, which is the agent's own from then on.
func (m *mended) add(o object.Any) { m.rebuild(append(m.set.Objects(), o)) }

func (m *mended) rebuild(objects []object.Any) {
	m.set = &object.Set{}
	for _, o := range objects {
		m.set.Add(o)
	}
}

// rename has references by uuid, to what the view does not have, name what there is.
func (m *mended) rename(names map[string]string) {
	objects := m.set.Objects()
	for i, o := range objects {
		objects[i] = o.MapRefs(func(ref object.Ref) string {
			if name, ok := names[ref.Value]; ok {
				return name
			}
			return ref.Value
		})
	}
	m.rebuild(objects)
}

// yield puts the last good form in the place of each object with a fault, and leaves out those that have none or
// were tried so already. It reports false if there is nothing that it could do.
func (m *mended) yield(err error, known map[string]object.Any) bool {
	wrong := map[string]string{}
	for _, f := range faultsIn(err) {
		if wrong[f.Object] == "" {
			words := strings.TrimPrefix(f.Error(), f.Object+": ")
			for _, hint := range []string{"; there are: ", "; did you mean "} { // of objects that are another tenant's, perhaps
				words, _, _ = strings.Cut(words, hint)
			}
			wrong[f.Object] = words
		}
	}
	var out []object.Any
	done := false
	for _, o := range m.set.Objects() {
		words, bad := wrong[o.String()]
		if !bad {
			out = append(out, o)
			continue
		}
		done = true
		old, ok := known[o.UUID()]
		if ok = ok && m.faults[o.String()] == "" && !object.Equal(old, o); ok {
			out = append(out, old)
			m.faults[o.String()] = fmt.Sprintf("it goes on as it was before: %s", words)
		} else {
			m.faults[o.String()] = fmt.Sprintf("it is left out: %s", words)
		}
	}
	m.rebuild(out)
	return done
}

// faultsIn takes a joined error apart.
func faultsIn(err error) []*object.FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*object.FieldError
		for _, e := range joined.Unwrap() {
			out = append(out, faultsIn(e)...)
		}
		return out
	}
	var f *object.FieldError
	if errors.As(err, &f) {
		return []*object.FieldError{f}
	}
	return nil
}
