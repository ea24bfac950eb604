package object

import "reflect"

// Append adds an object to the list of its kind.
func (s *Set) Append(a Any) {
	a.kind.list(s).Set(reflect.Append(a.kind.list(s), a.v))
}

// RefKind is the kind of object that a field of that name refers to ("pool_ref": "Pool"); empty: none.
func RefKind(field string) string { return refKind(field) }
