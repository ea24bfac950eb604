package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carillon-sip/carillon/internal/object"
)

// compiled is the schema of a kind, ready to judge.
func compiled(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	data, err := json.Marshal(Schema(kind))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(kind+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(kind + ".json")
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return s
}

func judge(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// objects are those of all pages of docs/objects, and those that are always there.
func objects(t *testing.T) []object.Any {
	t.Helper()
	files, err := filepath.Glob("../object/testdata/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, "---\n"...), data...)
	}
	set, err := object.Load("examples", all)
	if err != nil {
		t.Fatal(err)
	}
	return append(set.Objects(), object.SystemObjects()...)
}

// TestObjectsFit holds that what we give fits the schema we tell, in either form.
func TestObjectsFit(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{}
	for _, k := range object.Kinds() {
		schemas[k.Name] = compiled(t, k.Name)
	}
	for _, a := range objects(t) {
		for _, form := range []object.Form{object.Full, object.SkipDefault} {
			text := a.JSON(object.JSONOptions{Form: form, More: map[string]json.RawMessage{"url": json.RawMessage(`"https://h/api/x"`)}})
			if err := judge(t, schemas[a.Kind()], text); err != nil {
				t.Errorf("%s: %v\n%s", a, err, text)
			}
		}
	}
	if Schema("nothing") != nil {
		t.Error("a schema of no kind")
	}
}

// TestBothRefuse holds that the schema refuses what Decode refuses: each field of an object itself with a value outside
// its range, not among its words, or of another type. And that both take what is right.
func TestBothRefuse(t *testing.T) {
	for _, k := range object.Kinds() {
		s := compiled(t, k.Name)
		whole, _ := object.Describe(k.Name, "")
		base := objectOf(t, k.Name)
		for _, name := range append(whole.Members, "no_such_field") {
			f, _ := object.Describe(k.Name, name)
			for _, value := range wrongValues(f) {
				text := with(t, base, name, value)
				_, err := object.Decode(k.Name, text)
				if fits := judge(t, s, text); err == nil || fits == nil {
					t.Errorf("%s.%s: %s: Decode says %v, the schema %v", k.Name, name, value, err, fits)
				}
			}
		}
	}
}

func objectOf(t *testing.T, kind string) []byte {
	t.Helper()
	for _, a := range objects(t) {
		if a.Kind() == kind {
			return a.JSON(object.JSONOptions{Form: object.SkipDefault})
		}
	}
	t.Fatalf("no example of %s", kind)
	return nil
}

// with returns the JSON of an object with a member set.
func with(t *testing.T, text []byte, name, value string) []byte {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	members[name] = json.RawMessage(value)
	out, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wrongValues are some that a field cannot have. "1" for a number and "true" for true are taken, as text is what templates make; the
// schema tells the one right form.
func wrongValues(f object.FieldInfo) []string {
	switch {
	case f.Name == "":
		return []string{"1"}
	case f.List:
		return []string{`{}`, `"x"`, "1"}
	case f.Type == "true or false":
		return []string{`"yes"`, "0", "[]"}
	case f.Type == "number" && f.Max > 0:
		return []string{fmt.Sprint(f.Max + 1), `"one"`, "1.5", "true"}
	case f.Type == "number":
		return []string{`"one"`, "[]"}
	case len(f.Words) > 0:
		return []string{`"NO_SUCH_WORD"`, "[]", "{}"}
	case strings.HasPrefix(f.Type, "reference"), f.Type == "text":
		return []string{"[]", "{}"}
	case f.Type == "mapping":
		return []string{"[]", "1"}
	}
	return nil
}
