// Package patch applies patches, as Avi's clients send them, to objects.
package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/carillon-sip/carillon/internal/object"
)

// Bounds of what a json_patch may do: how many operations, and how much they may copy.
const (
	maxOperations = 10_000
	maxCopyBytes  = 16 << 20
)

// verbs is the order in which the members of one patch take effect, whatever their order in the text.
var verbs = []string{"replace", "delete", "remove", "add", "json_patch"}

// Apply applies a patch to an object, and returns the JSON of the changed one, for object.Decode:
//
//	{"add": {...}}         appends items to lists, an item that is there already (same key) takes the new values; sets the rest
//	{"replace": {...}}     puts members in the place of those that are there
//	{"delete": {...}}      takes items from lists and clears members; what is not there is no fault; "remove" is the same
//	{"json_patch": [...]}  operations of RFC 6902
//
// Items of lists are known by their key: a server by address and port, a service by port, a member of a pool group by
// its pool. References are the same when one names what the other does by uuid or by name, so those of current should
// be URLs with uuid and #name. A secret reads object.Hidden here, so that no operation copies it to where it can be read,
// or tests what it is; object.KeepSecrets brings it back.
func Apply(current object.Any, text []byte) ([]byte, error) {
	p := patcher{object: current}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, p.fault("", "expected a JSON object with "+strings.Join(verbs, ", ")+": "+err.Error())
	}
	for _, verb := range slices.Sorted(maps.Keys(parts)) {
		if !slices.Contains(verbs, verb) {
			return nil, p.fault(verb, "unknown kind of patch: must be one of "+strings.Join(verbs, ", "))
		}
	}
	doc := current.JSON(object.JSONOptions{Form: object.SkipDefault})
	for _, verb := range verbs {
		if parts[verb] == nil {
			continue
		}
		var err error
		if verb == "json_patch" {
			doc, err = p.operations(doc, parts[verb])
		} else {
			doc, err = p.part(doc, verb, parts[verb])
		}
		if err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// patcher applies the parts of a patch.
type patcher struct{ object object.Any }

func (p *patcher) fault(path, msg string) error {
	return &object.FieldError{Object: p.object.String(), Path: path, Msg: msg}
}

// part applies add, replace, delete or remove.
func (p *patcher) part(doc []byte, verb string, text json.RawMessage) ([]byte, error) {
	to, err := readObject(doc)
	if err != nil {
		return nil, p.fault("", err.Error())
	}
	change, err := readObject(text)
	if err != nil {
		return nil, p.fault(verb, err.Error())
	}
	switch verb {
	case "replace":
		maps.Copy(to, change)
	case "add":
		p.add("", to, change)
	default:
		// a member that the kind does not have would go without a word: Decode is to say that there is none
		for name, value := range change {
			if _, known := object.Describe(p.object.Kind(), name); !known {
				to[name] = value
				delete(change, name)
			}
		}
		p.remove("", to, change)
	}
	return json.Marshal(to)
}

// readObject reads a JSON object, numbers as they are written.
func readObject(data []byte) (out map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err = dec.Decode(&out); err != nil {
		err = fmt.Errorf("expected a JSON object: %w", err)
	}
	return out, err
}

// add merges change into to, the mapping at a path.
func (p *patcher) add(path string, to, change map[string]any) {
	for name, value := range change {
		at := join(path, name)
		switch more := value.(type) {
		case []any:
			have, _ := to[name].([]any)
			to[name] = newItems(p.object.Kind(), at).add(have, more)
		case map[string]any:
			have, ok := to[name].(map[string]any)
			if !ok || p.isAddress(at) {
				to[name] = more
				continue
			}
			p.add(at, have, more)
		default:
			to[name] = value
		}
	}
}

// remove takes change from to, the mapping at a path.
func (p *patcher) remove(path string, to, change map[string]any) {
	for name, value := range change {
		at := join(path, name)
		switch less := value.(type) {
		case []any:
			have, ok := to[name].([]any)
			if !ok {
				continue
			}
			left := newItems(p.object.Kind(), at).remove(have, less)
			if to[name] = left; len(left) == 0 {
				delete(to, name)
			}
		case map[string]any:
			have, ok := to[name].(map[string]any)
			if !ok || len(less) == 0 || p.isAddress(at) {
				delete(to, name)
				continue
			}
			p.remove(at, have, less)
		default:
			delete(to, name)
		}
	}
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// isAddress reports whether the mapping at a path is an IP address, which changes as a whole.
func (p *patcher) isAddress(path string) bool {
	info, _ := object.Describe(p.object.Kind(), path)
	return info.Type == "address"
}

// operations applies those of RFC 6902.
func (p *patcher) operations(doc []byte, text json.RawMessage) ([]byte, error) {
	ops, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, p.fault("json_patch", "expected a list of operations as RFC 6902 has them: "+err.Error())
	}
	if len(ops) > maxOperations {
		return nil, p.fault("json_patch", strconv.Itoa(len(ops))+" operations: must be at most "+strconv.Itoa(maxOperations))
	}
	// a path may name a member at its default, which the short form leaves out
	a, err := object.Decode(p.object.Kind(), doc)
	if err != nil {
		return nil, err
	}
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices = false
	options.AccumulatedCopySizeLimit = maxCopyBytes
	out, err := ops.ApplyWithOptions(a.JSON(object.JSONOptions{Form: object.Full, Secrets: true}), options)
	if err != nil {
		return nil, p.fault("json_patch", err.Error())
	}
	return out, nil
}
