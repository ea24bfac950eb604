package object

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const docsDir = "../../docs/objects"

// TestReference holds docs/objects to the schema: an index, and a page a kind.
func TestReference(t *testing.T) {
	if *update {
		if err := os.MkdirAll(docsDir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	docs := typeDocs(t)
	golden(t, filepath.Join(docsDir, "README.md"), indexText(docs))
	want := map[string]bool{"README.md": true}
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		want[k.path+".md"] = true
		golden(t, filepath.Join(docsDir, k.path+".md"), pageText(t, k, docs))
	}
	for _, file := range inputs(t, docsDir+"/*") {
		if !want[filepath.Base(file)] {
			t.Errorf("%s is the page of no kind", file)
		}
	}
}

// TestExamples holds that the examples of all pages load, fit together, and are taken one by one.
func TestExamples(t *testing.T) {
	var all strings.Builder
	for i := range theSchema().kinds {
		all.WriteString("---\n" + exampleText(t, &theSchema().kinds[i]))
	}
	s := mustLoad(t, all.String())
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, a := range s.Objects() {
		seen[a.Kind()] = true
		again, err := Decode(a.Kind(), a.JSON(JSONOptions{Secrets: true}))
		if err != nil || !Equal(a, again) || Check(again) != nil {
			t.Errorf("%s does not come back from its JSON: %v", a, err)
		}
	}
	for _, k := range Kinds() {
		if !seen[k.Name] {
			t.Errorf("the example of %s has none", k.Name)
		}
	}
}

func exampleText(t *testing.T, k *kind) string {
	t.Helper()
	data, err := os.ReadFile("testdata/examples/" + k.path + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// typeDocs reads what the sources say of each type.
func typeDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, name := range inputs(t, "*.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				docs[g.Specs[0].(*ast.TypeSpec).Name.Name] = strings.ReplaceAll(strings.TrimSpace(g.Doc.Text()), "\n", " ")
			}
		}
	}
	return docs
}

const indexHead = `# Objects

Every field of every object, made from the schema in ` + "`internal/object`" + ` by its tests; do not edit.

A file holds lists of objects below their kinds, in YAML or JSON, as Avi exports them: [minimal.yaml](../examples/minimal.yaml),
[lb.yaml](../examples/lb.yaml). An object may also be a document of its own, or an item of one list, with ` + "`kind: Pool`" + ` beside its
fields. Kinds are found in any case, and with ` + "`_` or `-`" + ` between their words. The API takes and gives the same fields, an object
at a time.

* *Words* may be written in Avi's long spelling or the short one, in any case: ` + "`LB_ALGORITHM_ROUND_ROBIN`, `round-robin`" + `.
* *References* are names. Avi's other spellings are turned into them: ` + "`/api/pool?name=edge`, `/api/pool/pool-0a1b`" + `, a bare uuid,
  either with ` + "`https://host`" + ` before it and ` + "`#edge`" + ` after it.
* *Addresses* are ` + "`{addr: 10.0.0.1, type: V4}` or just `10.0.0.1`" + `. A server may be just ` + "`10.0.0.1:5060`" + `, an item of ` + "`vip`" + ` just
  an address, an item of ` + "`services`" + ` just a port, a network just ` + "`10.0.0.0/8`" + `, a range just ` + "`10.0.0.1-10.0.0.9`" + `.
* JSON tells texts from numbers: ` + "`{\"name\": 1}`" + ` is refused, but for ` + "`vip_id`" + `, ` + "`priority_label`" + ` and status codes. Numbers and
  booleans may stand in quotes there, as templates write them. In YAML a text may be a number without quotes; a number has none.
* A field that must be given has **required** as its default. An empty default is shown as –.
* *Whose* says whether a field, or its meaning, is Avi's or Carillon's own.

What becomes of a field is one of three:

* *Acted on*: it does what its meaning says.
* *Kept*: it is checked, kept and given back, but has no effect. ` + "`carillon validate`" + ` names those that are set, but for bookkeeping,
  placement and analytics.
* *Refused*: where its loss would send calls elsewhere, in the clear or past a rule, any value but its default is refused.

Objects of types that a virtual service cannot use are kept all the same, since every Avi controller has some: profiles for HTTP,
monitors for DNS. They are refused where one is used: a virtual service takes an application profile of type SIP and a
network profile of type UDP proxy, and its pool monitors of type SIP, ping, UDP or TCP.

## Kinds

| kind | path | what it is | always there |
| --- | --- | --- | --- |
`

func indexText(docs map[string]string) string {
	var b strings.Builder
	b.WriteString(indexHead)
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		first, _, _ := strings.Cut(docs[k.name], ". ")
		fmt.Fprintf(&b, "| [%s](%s.md) | `/api/%s` | %s | %s |\n", k.name, k.path, k.path, strings.TrimSuffix(first, "."), ticked(systemNames(k.name)))
	}
	b.WriteString("\n## What becomes of every field\n\nFields of lists and mappings within an object stand below it.\n\n| | acted on | kept | refused |\n| --- | --- | --- | --- |\n")
	done := map[*shape]bool{}
	for i := range theSchema().kinds {
		effects(&b, theSchema().kinds[i].shape, "", done)
	}
	return b.String()
}

// effects writes the rows of a struct, and of those in it, that say what becomes of each field.
func effects(b *strings.Builder, sh *shape, path string, done map[*shape]bool) {
	done[sh] = true
	at := sh.name
	if path != "" {
		at = "– `" + path + "`"
	}
	by := map[Effect][]string{}
	for _, name := range sh.members {
		info := FieldInfo{}
		if f := sh.byName[name]; f != nil {
			info = sh.describe(f)
		} else {
			info = sh.kept[name].describe()
		}
		by[info.Effect] = append(by[info.Effect], name)
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", at, ticked(by[Acted]), ticked(by[Idle]), ticked(by[Refused]))
	for i := range sh.fields {
		f := &sh.fields[i]
		if f.of == nil || done[f.of] {
			continue
		}
		name := f.name
		if path != "" {
			name = path + "." + name
		}
		effects(b, f.of, name, done)
	}
}

func ticked(names []string) string {
	var out []string
	for _, name := range names {
		out = append(out, "`"+name+"`")
	}
	return strings.Join(out, ", ")
}

func pageText(t *testing.T, k *kind, docs map[string]string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nMade from the schema in `internal/object` by its tests; do not edit. [How to read this, and all objects](README.md).\n", k.name)
	fmt.Fprintf(&b, "\n%s\n", docs[k.name])
	fmt.Fprintf(&b, "\nPath `/api/%s`, uuids `%s-...`.", k.path, k.prefix)
	if names := systemNames(k.name); len(names) > 0 {
		fmt.Fprintf(&b, " Always there: %s.", ticked(names))
	}
	fmt.Fprintf(&b, "\n\n```yaml\n%s```\n\n## Fields\n", exampleText(t, k))
	writeShape(&b, k.shape, docs, map[*shape]bool{})
	return b.String()
}

func writeShape(b *strings.Builder, sh *shape, docs map[string]string, done map[*shape]bool) {
	done[sh] = true
	b.WriteString("\n| field | type | default | range | whose | meaning |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range sh.fields {
		f := &sh.fields[i]
		info := sh.describe(f)
		whose := "Avi"
		if f.own {
			whose = "own"
		}
		meaning := strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(info.Doc)
		for _, mark := range []struct {
			is   bool
			text string
		}{{info.Effect == Idle, "kept"}, {info.ReadOnly, "filled in by itself"}, {info.Secret, "secret"}} {
			if mark.is {
				meaning += " (*" + mark.text + "*)"
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", f.name, typeText(f, info), defaultText(f, info), rangeText(info), whose, meaning)
	}
	writeKept(b, sh)
	for i := range sh.fields {
		if f := &sh.fields[i]; f.of != nil && !done[f.of] {
			fmt.Fprintf(b, "\n### %s: %s\n\n%s\n", f.of.name, "`"+f.name+"`", docs[f.of.name])
			writeShape(b, f.of, docs, done)
		}
	}
}

func writeKept(b *strings.Builder, sh *shape) {
	var kept []string
	reasons := map[string][]string{}
	for _, k := range sh.keptInOrder {
		switch info := k.describe(); info.Effect {
		case Refused:
			reasons[k.refused] = append(reasons[k.refused], k.name)
		case Idle:
			text := "`" + k.name + "`"
			if k.def != "" {
				text += " " + strings.Trim(k.def, `"`)
			}
			kept = append(kept, text)
		}
	}
	if len(kept) > 0 {
		fmt.Fprintf(b, "\nKept, with no effect, and the default behind it where that is not empty: %s.\n", strings.Join(kept, ", "))
	}
	if len(reasons) > 0 {
		b.WriteString("\nRefused unless at Avi's default:\n\n")
		var lines []string
		for why, names := range reasons {
			lines = append(lines, "* "+ticked(names)+": "+why)
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
}

func typeText(f *field, info FieldInfo) string {
	switch {
	case f.ref != "":
		k := theSchema().kind(f.ref)
		return strings.Replace(info.Type, f.ref, "["+f.ref+"]("+k.path+".md)", 1)
	case f.of != nil:
		return strings.Replace(info.Type, "mapping", "["+f.of.name+"](#"+strings.ToLower(f.of.name)+"-"+f.name+")", 1)
	}
	return info.Type
}

func defaultText(f *field, info FieldInfo) string {
	switch {
	case f.required:
		return "**required**"
	case f.class == classStruct && !f.optional:
		return "its defaults"
	case info.Default == nil:
		return "–"
	case f.class == classWord:
		return "`" + f.words.short(f.words.find(strings.Trim(string(info.Default), `"`))) + "`"
	case f.class == classText:
		return "`" + strings.Trim(string(info.Default), `"`) + "`"
	}
	return strings.TrimSpace(string(info.Default) + " " + info.Unit)
}

func rangeText(info FieldInfo) string {
	var words []string
	for _, w := range info.Words {
		words = append(words, "`"+w.Short+"` (`"+w.Long+"`)")
	}
	switch {
	case len(words) > 0:
		return strings.Join(words, ", ")
	case info.When != "":
		return "with type `" + info.When + "`"
	}
	return info.Range
}
