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
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a file of objects: 10,000 servers written out at length take about 1 MB.
const maxFileBytes = 16 << 20

// read turns a file into the roots of its documents. JSON is read as such, not as the YAML it nearly is: tabs and
// surrogate escapes are right in one and wrong in the other.
func read(name string, data []byte) ([]*yaml.Node, *FieldError) {
	if len(data) > maxFileBytes {
		return nil, &FieldError{File: name, Msg: "larger than " + strconv.Itoa(maxFileBytes>>20) + " MB"}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(data) {
		return []*yaml.Node{readJSON(data)}, nil
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
func readJSON(data []byte) *yaml.Node {
	r := &jsonReader{dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
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

type jsonReader struct {
	dec      *json.Decoder
	newlines []int // offsets
}

// value reads one value. The data is valid, and encoding/json has bounded its depth.
func (r *jsonReader) value() *yaml.Node {
	tok, err := r.dec.Token()
	if err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Style: fromJSON}
	end := int(r.dec.InputOffset()) - 1
	before := sort.SearchInts(r.newlines, end)
	n.Line, n.Column = before+1, end+1
	if before > 0 {
		n.Column = end - r.newlines[before-1]
	}
	switch t := tok.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.dec.More() {
			n.Content = append(n.Content, r.value())
		}
		_, _ = r.dec.Token() // the closing one: the data is valid
	case string:
		n.Tag, n.Value = "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(t)
	case nil:
		n.Tag = "!!null"
	}
	return n
}
