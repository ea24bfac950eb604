package object

import (
	"bytes"
	"reflect"
	"unsafe"
)

// SameBut reports whether all lists but that of one kind are the same memory in another set. False says nothing.
func (s *Set) SameBut(o *Set, kind string) bool {
	a, b := reflect.ValueOf(s).Elem(), reflect.ValueOf(o).Elem()
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		x, y := a.Field(k.index), b.Field(k.index)
		if k.name != kind && (x.Len() != y.Len() || x.Len() > 0 && x.UnsafePointer() != y.UnsafePointer()) {
			return false
		}
	}
	return true
}

// Differ gives the places at which a kind's list of another set is not bit for bit the same, as it is where a set was made
// of another by Replace. An object that is the same says the same; one that is not may do so too. ok is false when one
// list is longer.
//
// It looks at the memory, since comparing a thousand pools field by field takes longer than all the rest of a change.
func (s *Set) Differ(o *Set, kind string) (places []int, ok bool) {
	k := theSchema().kind(kind)
	x, y := k.list(s), k.list(o)
	n := x.Len()
	if n != y.Len() {
		return nil, false
	}
	if n == 0 || x.UnsafePointer() == y.UnsafePointer() {
		return nil, true
	}
	size := int(k.shape.typ.Size())
	a, b := unsafe.Slice((*byte)(x.UnsafePointer()), n*size), unsafe.Slice((*byte)(y.UnsafePointer()), n*size)
	for i := range n {
		if !bytes.Equal(a[i*size:(i+1)*size], b[i*size:(i+1)*size]) {
			places = append(places, i)
		}
	}
	return places, true
}
