package object

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReference holds docs/objects.md to the schema.
func TestReference(t *testing.T) {
	golden(t, "../../docs/objects.md", referenceText(t))
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

const referenceHead = `# Objects

Every field of every object, made from the schema in ` + "`internal/object`" + ` by its tests; do not edit.

A file holds lists of objects below their kinds, in YAML or JSON, as Avi exports them: [minimal.yaml](examples/minimal.yaml),
[lb.yaml](examples/lb.yaml). An object may also be a document of its own, or an item of one list, with ` + "`kind: Pool`" + ` beside its
fields. Kinds are found in any case, and with ` + "`_` or `-`" + ` between their words.

* *Words* may be written in Avi's long spelling or the short one, in any case: ` + "`LB_ALGORITHM_ROUND_ROBIN`, `round-robin`" + `.
* *References* are names. Avi's other spellings are turned into them: ` + "`/api/pool?name=edge`, `/api/pool/pool-0a1b`" + `, a bare uuid,
  either with ` + "`https://host`" + ` before it and ` + "`#edge`" + ` after it.
* *Addresses* are ` + "`{addr: 10.0.0.1, type: V4}` or just `10.0.0.1`" + `. A server may be just ` + "`10.0.0.1:5060`" + `, an item of ` + "`vip`" + ` just
  an address, an item of ` + "`services`" + ` just a port.
* A field that must be given has **required** as its default. An empty default is shown as –.
* *Whose* says whether a field, or its meaning, is Avi's or Carillon's own.
* Fields of Avi's that have no effect are kept and given back; ` + "`carillon validate`" + ` names those that are set,
  but for bookkeeping, placement and analytics. Where the loss of one would send calls elsewhere, in the clear or past a rule, any
  value but its default is refused.

Always there, with defaults throughout, unless the file has objects of those names: the application profile ` + "`System-SIP`" + `, the
network profile ` + "`System-UDP-Proxy`" + `, and the health monitors ` + "`System-SIP`, `System-Ping`, `System-TCP`, `System-UDP`" + `.
`

func referenceText(t *testing.T) string {
	t.Helper()
	docs := typeDocs(t)
	var b strings.Builder
	b.WriteString(referenceHead)
	done := map[*shape]bool{}
	for _, k := range theSchema().kinds {
		fmt.Fprintf(&b, "\n## %s\n", k.name)
		writeShape(&b, k.shape, docs, done)
	}
	return b.String()
}

func writeShape(b *strings.Builder, sh *shape, docs map[string]string, done map[*shape]bool) {
	done[sh] = true
	fmt.Fprintf(b, "\n%s\n\n", docs[sh.name])
	b.WriteString("| field | type | default | range | whose | meaning |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range sh.fields {
		f := &sh.fields[i]
		whose := "Avi"
		if f.own {
			whose = "own"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", f.name, typeText(f), defaultText(sh, f), rangeText(f), whose, strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(f.doc))
	}
	writeKept(b, sh)
	for i := range sh.fields {
		if f := &sh.fields[i]; f.of != nil && !done[f.of] {
			fmt.Fprintf(b, "\n### %s: %s\n", f.of.name, "`"+f.name+"`")
			writeShape(b, f.of, docs, done)
		}
	}
}

func writeKept(b *strings.Builder, sh *shape) {
	var kept, refused []string
	for _, k := range sh.kept {
		if k.refused != "" {
			refused = append(refused, fmt.Sprintf("`%s` (%s)", k.name, k.refused))
		} else {
			kept = append(kept, "`"+k.name+"`")
		}
	}
	slices.Sort(kept)
	slices.Sort(refused)
	if len(kept) > 0 {
		fmt.Fprintf(b, "\nAccepted, kept, no effect: %s.\n", strings.Join(kept, ", "))
	}
	if len(refused) > 0 {
		fmt.Fprintf(b, "\nRefused unless at Avi's default: %s.\n", strings.Join(refused, ", "))
	}
}

func typeText(f *field) string {
	c := f.class
	text := ""
	if c == classList {
		text, c = "list of ", f.elem
	}
	switch {
	case f.ref != "":
		return text + "reference to " + f.ref
	case c == classStruct:
		return text + "[" + f.of.name + "](#" + strings.ToLower(f.of.name) + "-" + f.name + ")"
	}
	return text + [...]string{classBool: "true or false", classNumber: "number", classText: "text", classWord: "word", classAddr: "address"}[c]
}

func defaultText(sh *shape, f *field) string {
	v := sh.zero.Field(f.index)
	switch {
	case f.required:
		return "**required**"
	case f.class == classStruct:
		return "its defaults"
	case v.IsZero() && f.class != classBool && f.class != classNumber:
		return "–"
	case f.class == classWord:
		w := f.words.find(v.String())
		return "`" + f.words.short(w) + "`"
	case f.class == classText:
		return "`" + v.String() + "`"
	}
	return fmt.Sprint(v.Interface()) + unitText(f)
}

func unitText(f *field) string {
	if f.unit == "" {
		return ""
	}
	return " " + f.unit
}

func rangeText(f *field) string {
	switch {
	case f.class == classNumber:
		return f.numbers()
	case f.class == classWord:
		var words []string
		for i := range f.words.words {
			if w := &f.words.words[i]; !w.refused {
				words = append(words, "`"+f.words.short(w)+"` (`"+w.long+"`)")
			}
		}
		return strings.Join(words, ", ")
	case f.class == classList:
		return strconv.Itoa(f.minItems) + " to " + strconv.Itoa(f.maxItems) + " items"
	case f.when != "":
		return "with type `" + f.when + "`"
	}
	return ""
}
