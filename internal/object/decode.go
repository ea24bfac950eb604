package object

import (
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what a file may unfold to: an alias of an alias of an alias grows a few lines to any size.
const (
	maxNodes = 1_000_000
	maxDepth = 64 // of lists and mappings within a field that is kept
)

// decoder turns nodes into values. It goes on after a fault, so that all are told at once.
type decoder struct {
	file       string
	object     string // that is being decoded
	faults     []*FieldError
	failed     map[place]failure
	nodes      int  // seen
	overflowed bool // there were too many
}

// place is a field of an object.
type place struct{ object, path string }

// failure says whether the value at a place could not be read, or one within it.
type failure uint8

const (
	failedHere failure = 1 << iota
	failedBelow
)

// fail notes a fault.
func (d *decoder) fail(n *yaml.Node, p *path, msg string) {
	d.tell(n, p, msg)
	if d.failed == nil {
		d.failed = map[place]failure{}
	}
	d.failed[place{d.object, p.String()}] |= failedHere
	for ; p != nil; p = p.up {
		d.failed[place{d.object, p.up.String()}] |= failedBelow
	}
}

// tell notes a fault that explains no other.
func (d *decoder) tell(n *yaml.Node, p *path, msg string) {
	e := &FieldError{File: d.file, Object: d.object, Path: p.String(), Msg: msg}
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	d.faults = append(d.faults, e)
}

// open follows an alias and counts the node. It reports false when the file unfolds to too much.
func (d *decoder) open(n *yaml.Node) (*yaml.Node, bool) {
	d.nodes++
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n, d.nodes <= maxNodes
}

// overflow is told once, however many values follow.
func (d *decoder) overflow(n *yaml.Node) {
	if d.overflowed {
		return
	}
	d.overflowed = true
	d.faults = append(d.faults, &FieldError{File: d.file, Line: n.Line, Column: n.Column,
		Msg: "unfolds to more than " + strconv.Itoa(maxNodes) + " values (aliases of aliases?)"})
}

// pair is one member of a mapping.
type pair struct{ key, value *yaml.Node }

// pairs returns the members of a mapping, with those that "<<" merges in behind its own. A key given twice is a fault.
func (d *decoder) pairs(n *yaml.Node, p *path) []pair {
	out := make([]pair, 0, len(n.Content)/2)
	var merged []*yaml.Node
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		key, _ = d.open(key)
		if key.Kind != yaml.ScalarNode {
			d.fail(key, p, "expected the name of a field, got "+describe(key))
			continue
		}
		if first := seen[key.Value]; first != nil {
			d.tell(key, p.field(key.Value), "given twice, first on line "+strconv.Itoa(first.Line))
			continue
		}
		seen[key.Value] = key
		out = append(out, pair{key, value})
	}
	for _, m := range merged {
		for _, more := range d.merge(m, p, 0) {
			if seen[more.key.Value] == nil {
				seen[more.key.Value] = more.key
				out = append(out, more)
			}
		}
	}
	return out
}

// merge returns what a "<<" brings: the members of a mapping, or of a list of them, the first winning.
func (d *decoder) merge(n *yaml.Node, p *path, depth int) []pair {
	n, ok := d.open(n)
	switch {
	case !ok:
		d.overflow(n)
	case depth > maxDepth:
		d.fail(n, p, "<< within << more than "+strconv.Itoa(maxDepth)+" deep")
	case n.Kind == yaml.MappingNode:
		var own, merged []pair
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; key.ShortTag() == "!!merge" {
				merged = append(merged, d.merge(n.Content[i+1], p, depth+1)...)
			} else if key, _ = d.open(key); key.Kind == yaml.ScalarNode {
				own = append(own, pair{key, n.Content[i+1]})
			}
		}
		return append(own, merged...)
	case n.Kind == yaml.SequenceNode:
		var out []pair
		for _, item := range n.Content {
			out = append(out, d.merge(item, p, depth+1)...)
		}
		return out
	default:
		d.fail(n, p, "<< takes a mapping or a list of mappings, got "+describe(n))
	}
	return nil
}

// structure decodes a mapping, or the short form of one, onto v, which holds the defaults.
func (d *decoder) structure(n *yaml.Node, sh *shape, v reflect.Value, p *path) {
	n, ok := d.open(n)
	if !ok {
		d.overflow(n)
		return
	}
	short, hasShort := shortForms[sh.typ]
	if n.Kind == yaml.ScalarNode && hasShort && !isNull(n) {
		if fault := short.read(v, n.Value); fault != "" {
			d.fail(n, p, fault)
		}
		return
	}
	if n.Kind != yaml.MappingNode {
		want := "expected a mapping of fields"
		if hasShort {
			want += " or " + short.what
		}
		d.fail(n, p, want+", got "+describe(n))
		return
	}
	given := map[string]bool{}
	for _, m := range d.pairs(n, p) {
		given[m.key.Value] = d.member(m, sh, v, p) || given[m.key.Value]
	}
	for i := range sh.fields {
		if f := &sh.fields[i]; f.required && !given[f.name] {
			d.fail(n, p.field(f.name), "missing: "+f.wanted())
		}
	}
}

// member decodes one member of a mapping. It reports whether there was a value, good or bad.
func (d *decoder) member(m pair, sh *shape, v reflect.Value, p *path) bool {
	name := m.key.Value
	f := sh.byName[name]
	if f == nil {
		d.keep(m, sh, v, p)
		return true
	}
	value, ok := d.open(m.value)
	if !ok {
		d.overflow(value)
		return true
	}
	if isNull(value) {
		return false // as if left out
	}
	d.value(value, f, f.class, v.Field(f.index), p.field(name))
	return true
}

// value decodes a field, or with its elem as class an item of one.
func (d *decoder) value(n *yaml.Node, f *field, c class, v reflect.Value, p *path) {
	var fault string
	switch c {
	case classStruct:
		d.structure(n, f.of, v, p)
	case classList:
		d.list(n, f, v, p)
	case classAddr:
		d.addr(n, v, p)
	case classBool:
		fault = decodeBool(n, v)
	case classNumber:
		fault = decodeNumber(n, f, v)
	case classText:
		fault = decodeText(n, f, v)
	case classWord:
		if fault = decodeText(n, f, v); fault == "" {
			var long string
			long, fault = f.words.parse(n.Value)
			v.SetString(long)
		}
	}
	if fault != "" {
		d.fail(n, p, fault)
	}
}

func (d *decoder) list(n *yaml.Node, f *field, v reflect.Value, p *path) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, p, "expected a list, got "+describe(n))
		return
	}
	if len(n.Content) == 0 {
		return
	}
	if len(n.Content) > f.maxItems && f.maxItems > 0 {
		d.fail(n, p, f.itemsFault(len(n.Content)))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if f.of != nil {
			v.Index(i).Set(f.of.zero)
		}
		item, ok := d.open(item)
		if !ok {
			d.overflow(item)
			return
		}
		d.value(item, f, f.elem, v.Index(i), p.item(i))
	}
}

// addr decodes {addr: 10.0.0.1, type: V4} or 10.0.0.1.
func (d *decoder) addr(n *yaml.Node, v reflect.Value, p *path) {
	text, family, at := n, (*yaml.Node)(nil), p
	if n.Kind == yaml.MappingNode {
		text = nil
		for _, m := range d.pairs(n, p) {
			value, _ := d.open(m.value)
			switch m.key.Value {
			case "addr":
				text, at = value, p.field("addr")
			case "type":
				family = value
			default:
				d.fail(m.key, p.field(m.key.Value), "unknown field: an address is {addr, type}")
			}
		}
		if text == nil {
			d.fail(n, p.field("addr"), "missing: expected an IP address")
			return
		}
	}
	if text.Kind != yaml.ScalarNode || isNull(text) {
		d.fail(text, at, "expected an IP address, got "+describe(text))
		return
	}
	if family != nil && strings.EqualFold(family.Value, "DNS") {
		d.fail(family, at, noDNS(text.Value))
		return
	}
	a, fault := parseAddr(text.Value)
	if fault == "" && family != nil && !strings.EqualFold(family.Value, familyOf(a)) {
		fault = text.Value + " is of type " + familyOf(a) + ", not " + family.Value
	}
	if fault != "" {
		d.fail(text, at, fault)
		return
	}
	*addrAt(v) = a
}

// familyOf is Avi's word for the family of an address.
func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "V4"
	}
	return "V6"
}

func noDNS(name string) string {
	return quote(name) + " is a DNS name, which is not supported yet; give its IP addresses"
}

var dnsName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?$`)

// parseAddr reads an IP address. The fault says what would be right.
func parseAddr(text string) (a netip.Addr, fault string) {
	a, err := netip.ParseAddr(text)
	if err == nil {
		return a, addrFault(a)
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return a, quote(text) + " has a port: expected the address alone, " + ap.Addr().String()
	}
	if dnsName.MatchString(text) && strings.ContainsAny(strings.ToLower(text), "ghijklmnopqrstuvwxyz_-") {
		return a, noDNS(text)
	}
	return a, quote(text) + " is not an IP address"
}

// addrFault says what is wrong with an address that can be written but not used.
func addrFault(a netip.Addr) string {
	switch {
	case a.Zone() != "":
		return a.String() + " has a zone, which SIP cannot write; give a global address"
	case a.Is4In6():
		return a.String() + " is an IPv4 address in an IPv6 one; write " + a.Unmap().String()
	case a.IsMulticast():
		return a.String() + " is a multicast address"
	}
	return ""
}

// shortForm is another way to write a struct: as one text.
type shortForm struct {
	what string // for errors
	read func(v reflect.Value, text string) (fault string)
}

// shortForms are those that have one. The fault of read says what would be right.
var shortForms = map[reflect.Type]shortForm{
	reflect.TypeFor[Server](): {"address:port", func(v reflect.Value, text string) string {
		ap, fault := ParseAddrPort(text, 0)
		sv := v.Addr().Interface().(*Server)
		sv.IP, sv.Port = ap.Addr(), ap.Port()
		return fault
	}},
	reflect.TypeFor[Vip](): {"an address", func(v reflect.Value, text string) string {
		a, fault := parseAddr(text)
		v.Addr().Interface().(*Vip).IPAddress = a
		return fault
	}},
	reflect.TypeFor[IPAddrPrefix](): {"a network such as 10.0.0.0/8", func(v reflect.Value, text string) string {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return quote(text) + " is not a network: expected one such as 10.0.0.0/8"
		}
		*v.Addr().Interface().(*IPAddrPrefix) = IPAddrPrefix{IPAddr: p.Addr(), Mask: p.Bits()}
		return ""
	}},
	reflect.TypeFor[IPAddrRange](): {"a range such as 10.0.0.1-10.0.0.9", func(v reflect.Value, text string) string {
		begin, end, _ := strings.Cut(text, "-")
		a, errA := netip.ParseAddr(strings.TrimSpace(begin))
		b, errB := netip.ParseAddr(strings.TrimSpace(end))
		if errA != nil || errB != nil {
			return quote(text) + " is not a range: expected one such as 10.0.0.1-10.0.0.9"
		}
		*v.Addr().Interface().(*IPAddrRange) = IPAddrRange{Begin: a, End: b}
		return ""
	}},
	reflect.TypeFor[Service](): {"a port", func(v reflect.Value, text string) string {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || !decimal.MatchString(text) {
			return quote(text) + " is not a port: must be 0 to 65535"
		}
		v.Addr().Interface().(*Service).Port = uint16(port)
		return ""
	}},
}

// ParseAddrPort reads an address, with a port or without: then it is the one given. fault says what is wrong, and is empty if nothing is.
func ParseAddrPort(text string, port uint16) (ap netip.AddrPort, fault string) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
		return netip.AddrPortFrom(a, port), addrFault(a)
	}
	ap, err := netip.ParseAddrPort(text)
	if err == nil {
		return ap, addrFault(ap.Addr())
	}
	host, after := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		host, after = text[:i], text[i+1:]
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ap, "port " + quote(after) + " of " + a.String() + " is wrong: must be 1 to 65535"
	}
	_, fault = parseAddr(host)
	return ap, fault
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// describe says what a node is, for "expected a number, got ...".
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float", "!!bool":
		return n.Value
	}
	return quote(n.Value)
}

func decodeBool(n *yaml.Node, v reflect.Value) string {
	if word := strings.ToLower(n.Value); n.Style&fromJSON != 0 && n.Tag == "!!str" && (word == "true" || word == "false") {
		v.SetBool(word == "true") // as decodeNumber has it
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		hint := ""
		switch strings.ToLower(n.Value) {
		case "yes", "on", "y":
			hint = "; write true"
		case "no", "off", "n":
			hint = "; write false"
		}
		return "expected true or false, got " + describe(n) + hint
	}
	v.SetBool(strings.EqualFold(n.Value, "true"))
	return ""
}

// decimal is a number as everybody reads it. YAML would take 05060 for octal and 1_000 for a thousand.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func decodeNumber(n *yaml.Node, f *field, v reflect.Value) string {
	tag := n.ShortTag()
	if n.Kind != yaml.ScalarNode {
		tag = ""
	}
	switch plain := decimal.MatchString(n.Value); {
	case plain && (tag == "!!int" || tag == "!!float"): // one too large for YAML's int is a float
	case plain && tag == "!!str" && n.Style&fromJSON != 0: // a template of Ansible's makes text of everything, and Avi takes it
	case plain && tag == "!!str":
		return "expected a number, got the text " + quote(n.Value) + "; leave out the quotes"
	case tag == "!!int":
		return "expected a plain decimal number, got " + n.Value
	case tag == "!!float":
		return "expected a whole number, got " + n.Value
	default:
		return "expected a number, got " + describe(n)
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || !f.inRange(i) {
		return n.Value + " is out of range: must be " + f.numbers()
	}
	setNumber(v, i)
	return ""
}

// decodeText takes numbers too: in YAML `name: 1001` is one. JSON tells text from number, so there one is refused, but for
// `"vip_id": 1`: so it is in many a playbook.
func decodeText(n *yaml.Node, f *field, v reflect.Value) string {
	if n.Style&fromJSON != 0 && n.Kind == yaml.ScalarNode && n.Tag != "!!str" && !isNull(n) && !(f.digits && n.Tag == "!!int") {
		want := "expected text"
		if f.ref != "" || f.words != nil {
			want = f.wanted()
		}
		return want + ", got " + n.Value + " without quotes"
	}
	if n.Kind != yaml.ScalarNode || isNull(n) {
		want := "expected text"
		if f.ref != "" || f.words != nil {
			want = f.wanted()
		}
		return want + ", got " + describe(n)
	}
	v.SetString(strings.Clone(n.Value)) // it is a part of the text that was read
	return ""
}

// wanted says what a field, or an item of one, takes.
func (f *field) wanted() string {
	if f.ref != "" {
		return "expected the name of " + aWord(f.ref)
	}
	switch f.class {
	case classNumber:
		return "expected a number, " + f.numbers()
	case classWord:
		return "expected " + orList(f.words.supported())
	case classAddr:
		return "expected an IP address"
	case classStruct:
		return "expected a mapping of fields"
	case classList:
		return "expected a list with at least " + strconv.Itoa(f.minItems)
	}
	return "expected text"
}

func (f *field) itemsFault(n int) string { return strconv.Itoa(n) + " items: must be " + f.items() }

// items says how many a list may have.
func (f *field) items() string { return strconv.Itoa(f.minItems) + " to " + strconv.Itoa(f.maxItems) }

// unknown says where a field that sh does not have may belong.
func unknown(name string, sh *shape) string {
	own := map[string]string{}
	sh.places("", own)
	for kept := range sh.kept {
		own[kept] = kept
	}
	if at := own[name]; at != "" {
		return "unknown field; did you mean " + at + "?"
	}
	// Sorted, so that the same slip always gets the same answer.
	if near := nearest(name, slices.Sorted(maps.Keys(own))); near != "" {
		return "unknown field; did you mean " + own[near] + "?"
	}
	for _, k := range theSchema().kinds {
		others := map[string]string{}
		k.shape.places("", others)
		switch at := others[name]; at {
		case "":
		case name:
			return "unknown field; " + aWord(k.name) + " has it"
		default:
			return "unknown field; " + aWord(k.name) + " has it: " + at
		}
	}
	return "unknown field; those of " + aWord(sh.name) + " are in docs/objects"
}

// places adds the fields of a struct, and of those in it, by name: "sip_service_profile.record_route" is where
// record_route stands. Outer ones win.
func (sh *shape) places(prefix string, out map[string]string) {
	for i := range sh.fields {
		if f := &sh.fields[i]; out[f.name] == "" {
			out[f.name] = prefix + f.name
		}
	}
	for i := range sh.fields {
		switch f := &sh.fields[i]; {
		case f.class == classStruct:
			f.of.places(prefix+f.name+".", out)
		case f.of != nil:
			f.of.places(prefix+f.name+"[].", out)
		}
	}
}
