package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a file of objects: 10,000 servers written out at length take about 1 MB.
const maxFileBytes = 16 << 20

// read turns a file into the roots of its documents. JSON is read as such, not as the YAML it nearly is: tabs and
// surrogate escapes are right in one and wrong in the other.
func read(name string, data []byte) ([]*yaml.Node, *FieldError) {
	return new(jsonReader).read(name, data)
}

func (r *jsonReader) read(name string, data []byte) ([]*yaml.Node, *FieldError) {
	if len(data) > maxFileBytes {
		return nil, &FieldError{File: name, Msg: "larger than " + strconv.Itoa(maxFileBytes>>20) + " MB"}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(data) {
		return []*yaml.Node{r.root(data)}, nil
	}
	if strings.HasSuffix(name, ".json") { // YAML would take some of it, and make a null of what was forgotten
		return nil, notJSON(name, data)
	}
	return readYAML(name, data)
}

// notJSON says what of JSON cannot be read, and where.
func notJSON(name string, data []byte) *FieldError {
	e := &FieldError{File: name, Msg: "not JSON"}
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(data, new(any)), &syntax) {
		e.Msg += ": " + syntax.Error()
		e.Line, e.Column = placeOf(data, int(syntax.Offset)-1)
	}
	return e
}

func readYAML(name string, data []byte) ([]*yaml.Node, *FieldError) {
	var docs []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, notYAML(name, data, dec, err)
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			docs = append(docs, doc.Content[0])
		}
	}
}

// likeJSON fits what somebody has written as JSON.
var likeJSON = regexp.MustCompile(`^\s*[{[]\s*["{]`)

// notYAML says what cannot be read, and where. The library's error has the line alone, and for some faults that of what
// is around; its parser knows more, so that is looked at as it lies in memory. TestSyntaxPlaces tells when it lies elsewhere.
func notYAML(name string, data []byte, dec *yaml.Decoder, err error) *FieldError {
	if likeJSON.Match(data) {
		return notJSON(name, data)
	}
	e := &FieldError{File: name, Msg: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	p := member(reflect.ValueOf(dec), "parser", "parser")
	problem := member(p, "problem").String()
	line := func(mark string) int { return int(member(p, mark, "line").Int()) + 1 }
	column := func(mark string) int { return int(member(p, mark, "column").Int()) + 1 }
	switch context := member(p, "context").String(); {
	case problem == "": // of an alias, whose event is the last
		p = member(reflect.ValueOf(dec), "parser", "event")
		e.Line, e.Column = line("start_mark"), column("start_mark")
	case strings.Contains(problem, "UTF-8"):
		e.Line, e.Column = placeOf(data, int(member(p, "problem_offset").Int()))
	case strings.Contains(problem, "end of stream"):
		e.Line, e.Column, e.Msg = line("context_mark"), column("context_mark"), "not YAML: "+problem+" "+context+" that begins here"
	default:
		e.Line, e.Column, e.Msg = line("problem_mark"), column("problem_mark"), "not YAML: "+problem
		if around := line("context_mark"); context != "" && around != e.Line {
			e.Msg += " " + context + " that begins on line " + strconv.Itoa(around)
		}
	}
	return e
}

// member follows names through structures and pointers.
func member(v reflect.Value, names ...string) reflect.Value {
	for _, name := range names {
		v = reflect.Indirect(v).FieldByName(name)
	}
	return v
}

// placeOf counts lines and columns up to an octet.
func placeOf(data []byte, at int) (line, column int) {
	before := data[:max(0, min(at, len(data)))]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}

// readJSON turns valid JSON into the nodes that the same YAML would give.
func readJSON(data []byte) *yaml.Node { return new(jsonReader).root(data) }

func (r *jsonReader) root(data []byte) *yaml.Node {
	r.text, r.at, r.newlines = string(data), 0, r.newlines[:0]
	for i, c := range data {
		if c == '\n' {
			r.newlines = append(r.newlines, i)
		}
	}
	return r.value()
}

// fromJSON marks what was JSON, where who wrote it has chosen between text and number; in YAML the quotes of a text that looks
// like a number are forgotten easily. It is a bit that package yaml knows nothing of.
const fromJSON yaml.Style = 1 << 16

// jsonReader reads what json.Valid has let pass. The tokens of encoding/json cost more than all the rest of a change.
// Values are parts of the text: who keeps one clones it.
type jsonReader struct {
	text     string
	at       int
	newlines []int // offsets
	stack    []*yaml.Node
	slabs    [][]yaml.Node // nodes that were given out, and those that are to be
	given    int
}

// Nodes are allocated so many at a time, and a reader with more than a few slabs is not kept to be used again.
const (
	slabNodes = 64
	keptSlabs = 16
)

// readers are those whose nodes nobody looks at any more.
var readers = sync.Pool{New: func() any { return new(jsonReader) }}

// free gives a reader back. None of its nodes may be looked at after that.
func (r *jsonReader) free() {
	if len(r.slabs) > keptSlabs {
		return
	}
	for i := 0; i < r.given; i += slabNodes {
		clear(r.slabs[i/slabNodes])
	}
	clear(r.stack[:cap(r.stack)])
	*r = jsonReader{newlines: r.newlines[:0], stack: r.stack[:0], slabs: r.slabs}
	readers.Put(r)
}

// node gives out a node that stands where the text goes on behind its first part, up to end.
func (r *jsonReader) node(kind yaml.Kind, tag string, end int) *yaml.Node {
	if r.given == len(r.slabs)*slabNodes {
		r.slabs = append(r.slabs, make([]yaml.Node, slabNodes))
	}
	n := &r.slabs[r.given/slabNodes][r.given%slabNodes]
	r.given++
	n.Kind, n.Tag, n.Style = kind, tag, fromJSON
	before := sort.SearchInts(r.newlines, end)
	if n.Line, n.Column = before+1, end+1; before > 0 {
		n.Column = end - r.newlines[before-1]
	}
	return n
}

// skip passes over what stands between values.
func (r *jsonReader) skip() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[r.at]) >= 0 {
		r.at++
	}
}

// value reads one value. The data is valid, and encoding/json has bounded its depth.
func (r *jsonReader) value() *yaml.Node {
	r.skip()
	if r.at == len(r.text) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	switch r.text[r.at] {
	case '{':
		return r.content(r.node(yaml.MappingNode, "!!map", r.at))
	case '[':
		return r.content(r.node(yaml.SequenceNode, "!!seq", r.at))
	case '"':
		return r.quoted()
	}
	from := r.at
	for r.at++; r.at < len(r.text) && strings.IndexByte(" \t\r\n,:]}", r.text[r.at]) < 0; r.at++ {
	}
	n := r.node(yaml.ScalarNode, "!!int", r.at-1)
	switch word := r.text[from:r.at]; {
	case word == "null":
		n.Tag = "!!null"
	case word == "true" || word == "false":
		n.Tag, n.Value = "!!bool", word
	default:
		if n.Value = word; strings.ContainsAny(word, ".eE") {
			n.Tag = "!!float"
		}
	}
	return n
}

// content reads what a mapping or a list holds.
func (r *jsonReader) content(n *yaml.Node) *yaml.Node {
	first := len(r.stack)
	r.at++
	for r.skip(); r.at < len(r.text) && r.text[r.at] != '}' && r.text[r.at] != ']'; r.skip() {
		r.stack = append(r.stack, r.value())
	}
	r.at = min(r.at+1, len(r.text))
	n.Content = append(n.Content, r.stack[first:]...)
	r.stack = r.stack[:first]
	return n
}

// quoted reads a string. Most are plain, and need no decoder.
func (r *jsonReader) quoted() *yaml.Node {
	from, plain := r.at, true
	for r.at++; r.at < len(r.text) && r.text[r.at] != '"'; r.at++ {
		switch c := r.text[r.at]; {
		case c == '\\':
			r.at++
			plain = false
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	r.at = min(r.at+1, len(r.text))
	n := r.node(yaml.ScalarNode, "!!str", r.at-1)
	if plain {
		n.Value = strings.Trim(r.text[from:r.at], `"`)
	} else if json.Unmarshal([]byte(r.text[from:r.at]), &n.Value) != nil {
		n.Tag = "!!null"
	}
	return n
}
