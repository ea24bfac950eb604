package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

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
	return readYAML(name, data)
}

// yamlLine finds the line number in an error of the YAML reader.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

func readYAML(name string, data []byte) ([]*yaml.Node, *FieldError) {
	var docs []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			e := &FieldError{File: name, Msg: strings.TrimPrefix(err.Error(), "yaml: ")}
			if m := yamlLine.FindStringSubmatch(e.Msg); m != nil {
				e.Line, _ = strconv.Atoi(m[1])
				e.Msg = e.Msg[len(m[0]):]
			}
			e.Msg = "not YAML: " + e.Msg
			return nil, e
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			docs = append(docs, doc.Content[0])
		}
	}
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
	n := &yaml.Node{Kind: yaml.ScalarNode}
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
