// Package openapi writes down the objects as schemas of OpenAPI 3.1, which are JSON Schema of 2020-12. All it says comes
// from object.Describe, so it cannot say anything else than the code.
package openapi

import (
	"encoding/json"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
)

// Schema is the schema of a kind of object, as the API takes and gives it; nil when there is no such kind.
func Schema(kind string) map[string]any {
	info, ok := object.Describe(kind, "")
	if !ok {
		return nil
	}
	s := mapping(kind, "", info)
	properties := s["properties"].(map[string]any)
	for name, doc := range map[string]string{"url": "where the object is", "_last_modified": "when it changed last, in microseconds since 1970, as text"} {
		properties[name] = map[string]any{"type": "string", "readOnly": true, "description": doc}
	}
	return s
}

// mapping is the schema of an object, or of a mapping at a path within it.
func mapping(kind, path string, info object.FieldInfo) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, name := range info.Members {
		at := strings.TrimPrefix(path+"."+name, ".")
		member, _ := object.Describe(kind, at)
		properties[name] = field(kind, at, member)
		if member.Required && member.Default == nil {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "description": info.Doc, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// field is the schema of one field.
func field(kind, path string, f object.FieldInfo) map[string]any {
	s := value(kind, path, f)
	if f.List {
		s = map[string]any{"type": "array", "items": s}
		if f.Max > 0 {
			s["minItems"], s["maxItems"] = f.Min, f.Max
		}
	}
	if doc := description(f); doc != "" {
		s["description"] = doc
	}
	if f.Default != nil {
		s["default"] = json.RawMessage(f.Default)
	}
	if f.ReadOnly {
		s["readOnly"] = true
	}
	if f.Secret {
		s["writeOnly"] = true
	}
	if f.Ref != "" {
		s["x-refers-to"] = f.Ref
	}
	return s
}

// description is what a field does, and what becomes of it.
func description(f object.FieldInfo) string {
	doc := f.Doc
	switch f.Effect {
	case object.Refused:
		return "Refused unless at its default: " + doc
	case object.Idle:
		doc += " (kept, with no effect)"
	}
	if f.Unit != "" {
		doc += " (in " + f.Unit + ")"
	}
	if f.When != "" {
		doc += "; with type " + f.When
	}
	return strings.TrimSpace(doc)
}

// value is the schema of a value, or of an item of a list.
func value(kind, path string, f object.FieldInfo) map[string]any {
	t := strings.TrimPrefix(f.Type, "list of ")
	switch {
	case t == "list" || t == "mapping" && len(f.Members) == 0:
		if f.List {
			return map[string]any{} // within what is kept anything may stand
		}
		return map[string]any{"type": "object"}
	case t == "mapping":
		s := mapping(kind, path, f)
		if f.Short != "" {
			s = map[string]any{"anyOf": []any{s, map[string]any{"type": "string", "description": f.Short}}}
		}
		return s
	case t == "true or false":
		return map[string]any{"type": "boolean"}
	case t == "number":
		return number(f)
	case t == "address":
		return address()
	}
	s := map[string]any{"type": "string"}
	if len(f.Words) > 0 {
		var words []any
		for _, w := range f.Words {
			words = append(words, w.Long)
		}
		s["enum"] = words
	}
	return s
}

func number(f object.FieldInfo) map[string]any {
	s := map[string]any{"type": "number"}
	switch {
	case f.List || f.Min == 0 && f.Max == 0:
	case len(f.Also) == 0:
		s = map[string]any{"type": "integer", "minimum": f.Min, "maximum": f.Max}
	default:
		s = map[string]any{"type": "integer", "anyOf": []any{map[string]any{"minimum": f.Min, "maximum": f.Max}, map[string]any{"enum": f.Also}}}
	}
	return s
}

// address is the schema of an IP address: Avi's mapping, or the text alone.
func address() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "object", "required": []string{"addr", "type"}, "additionalProperties": false, "properties": map[string]any{
			"addr": map[string]any{"type": "string"},
			"type": map[string]any{"type": "string", "enum": []string{"V4", "V6"}}}},
		map[string]any{"type": "string"}}}
}
