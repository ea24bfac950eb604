package object

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawObject draws an object of any kind, each field right by the schema. What fields mean together is left out.
func drawObject(t *rapid.T) Any {
	k := &theSchema().kinds[rapid.IntRange(0, len(theSchema().kinds)-1).Draw(t, "kind")]
	a := newAny(k)
	drawStruct(t, a.v, k.shape)
	a.v.Field(k.nameAt).SetString(rapid.StringMatching(`[a-z][a-z0-9 /%#-]{0,12}`).Draw(t, "name"))
	a.complete()
	return a
}

func drawStruct(t *rapid.T, v reflect.Value, sh *shape) {
	if sh.typeAt >= 0 {
		f := typeField(sh)
		drawField(t, v.Field(f.index), f, f.class) // decides which of the others apply
	}
	for i := range sh.fields {
		f := &sh.fields[i]
		if f.index == sh.typeAt || !sh.applies(v, f) || !f.required && rapid.Bool().Draw(t, "left out") {
			continue
		}
		drawField(t, v.Field(f.index), f, f.class)
	}
	if sh.keptAt < 0 || len(sh.keptInOrder) == 0 {
		return
	}
	if k := rapid.SampledFrom(sh.keptInOrder).Draw(t, "kept"); k.refused == "" && !k.dropped && k.words == nil && k.number == nil {
		text := []string{`"x"`, "true", "7", `[{"pool_ref":"p"},1]`, `{"deep":{"ssl_profile_ref":"s"}}`}[k.is]
		if text != k.defaultJSON() {
			v.Field(sh.keptAt).Set(reflect.ValueOf(Kept{k.name: json.RawMessage(text)}))
		}
	}
}

func drawField(t *rapid.T, v reflect.Value, f *field, c class) {
	switch c {
	case classBool:
		v.SetBool(rapid.Bool().Draw(t, f.name))
	case classNumber:
		setNumber(v, rapid.Int64Range(f.min, f.max).Draw(t, f.name))
	case classText:
		v.SetString(rapid.StringMatching(`[ -~é\n]{1,9}`).Draw(t, f.name))
	case classWord:
		words := slices.DeleteFunc(slices.Clone(f.words.words), func(w word) bool { return w.refused })
		v.SetString(rapid.SampledFrom(words).Draw(t, f.name).long)
	case classAddr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, f.name)})))
	case classStruct:
		drawStruct(t, v, f.of)
	case classList:
		n := rapid.IntRange(f.minItems, max(f.minItems, 3)).Draw(t, f.name)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			if f.of != nil {
				v.Index(i).Set(f.of.zero)
			}
			drawField(t, v.Index(i), f, f.elem)
		}
		if n == 0 {
			v.SetZero()
		}
	}
}

// TestEveryObjectComesBack holds that what is written is read as the same, in either form; and that references are
// seen and mapped all.
func TestEveryObjectComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawObject(t)
		for _, form := range []Form{Full, SkipDefault} {
			text := a.JSON(JSONOptions{Form: form, Secrets: true})
			again, err := Decode(a.Kind(), text)
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			if !Equal(a, again) || !reflect.DeepEqual(a.Value(), again.Value()) {
				t.Fatalf("%s\ncomes back as\n%s", text, again.JSON(JSONOptions{Form: form, Secrets: true}))
			}
		}
		refs := a.Refs()
		n := 0
		mapped := a.MapRefs(func(r Ref) string { n++; return "uuid-of-" + r.Value })
		for i, r := range mapped.Refs() {
			if r.Value != "uuid-of-"+refs[i].Value || r.Path != refs[i].Path || r.Kind != refs[i].Kind {
				t.Fatalf("%+v became %+v", refs[i], r)
			}
		}
		if back := mapped.MapRefs(func(r Ref) string { return r.Value[len("uuid-of-"):] }); n != len(refs) || !Equal(a, back) {
			t.Fatalf("%d of %d references mapped, or not back", n, len(refs))
		}
		hidden, err := Decode(a.Kind(), a.JSON(JSONOptions{}))
		if err != nil || !Equal(a, KeepSecrets(a, hidden)) {
			t.Fatalf("what is shown and sent back is not the same: %v", err)
		}
	})
}

// FuzzOne asserts that no text makes Decode or Check panic, and that what Decode takes comes back.
func FuzzOne(f *testing.F) {
	f.Add("pool", []byte(`{"name": "p", "servers": ["10.0.0.1:5060"]}`))
	f.Add("healthmonitor", []byte(`{"name": "m", "type": "sip"}`))
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		a, err := Decode(kind, data)
		if err != nil {
			return
		}
		_ = Check(a)
		again, err := Decode(kind, a.JSON(JSONOptions{Secrets: true}))
		if err != nil || !Equal(a, again) {
			t.Fatalf("does not come back: %v", err)
		}
	})
}
