package object

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// keep takes a field that has no effect, when it is one of Avi's.
func (d *decoder) keep(m pair, sh *shape, v reflect.Value, p *path) {
	name := m.key.Value
	k := sh.kept[name]
	p = p.field(name)
	if k == nil {
		d.tell(m.key, p, unknown(name, sh))
		return
	}
	value, ok := d.open(m.value)
	if !ok {
		d.overflow(value)
		return
	}
	if isNull(value) {
		return
	}
	raw, ok := d.raw(value, p, 0)
	if !ok {
		return
	}
	text := compact(raw)
	if !k.takes(text) {
		d.fail(value, p, "expected "+k.is.String()+", got "+describe(value))
		return
	}
	if fault := k.fault(text); fault != "" && !k.dropped {
		d.fail(value, p, fault)
		return
	}
	switch {
	case k.dropped || string(text) == k.defaultJSON():
	case k.refused != "":
		d.tell(value, p, k.refused)
	default:
		keepRaw(v.Field(sh.keptAt), k.name, text)
	}
}

func keepRaw(v reflect.Value, name string, text json.RawMessage) {
	if v.IsNil() {
		v.Set(reflect.ValueOf(Kept{}))
	}
	v.Interface().(Kept)[name] = text
}

// takes reports whether compact JSON is of the kind of the field.
func (k *keptField) takes(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	switch k.is {
	case keptText:
		return text[0] == '"'
	case keptBool:
		return text[0] == 't' || text[0] == 'f'
	case keptNumber:
		return text[0] == '-' || text[0] >= '0' && text[0] <= '9'
	case keptList:
		return text[0] == '['
	}
	return text[0] == '{'
}

// compact writes a value that came from raw, with the keys of mappings in order.
func compact(value any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil // raw makes only what JSON has
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// raw turns a node into what encoding/json writes. It reports false after a fault.
func (d *decoder) raw(n *yaml.Node, p *path, depth int) (any, bool) {
	n, ok := d.open(n)
	if !ok {
		d.overflow(n)
		return nil, false
	}
	if depth > maxDepth {
		d.fail(n, p, "nested more than "+strconv.Itoa(maxDepth)+" deep")
		return nil, false
	}
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			value, ok := d.raw(item, p.item(i), depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, value)
		}
		return list, true
	case yaml.MappingNode:
		members := map[string]any{}
		for _, m := range d.pairs(n, p) {
			value, ok := d.raw(m.value, p.field(m.key.Value), depth+1)
			if !ok {
				return nil, false
			}
			members[m.key.Value] = value
		}
		return members, true
	}
	return rawScalar(n), true
}

// rawScalar turns a scalar into what encoding/json writes. What JSON has no word for stays text.
func rawScalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, ok := new(big.Int).SetString(n.Value, 0); ok && len(n.Value) < 100 {
			return json.Number(i.String())
		}
	case "!!float":
		x, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			break
		}
		text := strconv.FormatFloat(x, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0" // stays a fraction when read again
		}
		return json.Number(text)
	}
	return n.Value
}
