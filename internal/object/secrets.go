package object

import "reflect"

// KeepSecrets returns changed with the secrets of old wherever changed has none, or shows Hidden: an answer of the API
// that is sent back loses nothing. A secret can be replaced, but not taken away.
func KeepSecrets(old, changed Any) Any {
	if old.kind == nil || old.kind != changed.kind {
		return changed
	}
	out := Any{changed.kind, reflect.New(changed.kind.shape.typ).Elem()}
	out.v.Set(changed.v)
	keepSecrets(old.v, out.v, changed.kind.shape)
	return out
}

func keepSecrets(old, changed reflect.Value, sh *shape) {
	for i := range sh.fields {
		f := &sh.fields[i]
		to := changed.Field(f.index)
		switch {
		case f.secret && (to.String() == "" || to.String() == Hidden):
			to.SetString(old.Field(f.index).String())
		case f.class == classStruct:
			keepSecrets(old.Field(f.index), to, f.of)
		}
	}
}
