package object

import "reflect"

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

// Differ gives the places at which a kind's list of another set has another object, as it is where a set was made of another
// by Replace. One that is another may say the same. ok is false when one list is longer.
func (s *Set) Differ(o *Set, kind string) (places []int, ok bool) {
	k := theSchema().kind(kind)
	x, y := k.list(s).list, k.list(o).list
	n := x.Len()
	if n != y.Len() {
		return nil, false
	}
	if n == 0 || x.UnsafePointer() == y.UnsafePointer() {
		return nil, true
	}
	for i := range n {
		if x.Index(i).UnsafePointer() != y.Index(i).UnsafePointer() {
			places = append(places, i)
		}
	}
	return places, true
}
