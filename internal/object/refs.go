package object

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Ref is one reference in an object.
type Ref struct {
	Path  string // "health_monitor_refs[1]", "services[0].override_network_profile_ref"
	Kind  string // of the object it names: "HealthMonitor"
	Value string // as it stands
}

// refKinds are the kinds that reference fields name, by the name of the field. Fields of the schema say it in their
// tag; kept ones, and members of kept mappings, are known by their name alone. What names a kind that there is not
// (a DataScript, a WAF policy) is text like any other.
var refKinds = map[string]string{
	"analytics_profile_ref":               "AnalyticsProfile",
	"application_persistence_profile_ref": "ApplicationPersistenceProfile",
	"application_profile_ref":             "ApplicationProfile",
	"cloud_ref":                           "Cloud",
	"ca_ref":                              "SSLKeyAndCertificate",
	"default_tenant_ref":                  "Tenant",
	"group_refs":                          "IpAddrGroup",
	"health_monitor_ref":                  "HealthMonitor",
	"health_monitor_refs":                 "HealthMonitor",
	"ipaddrgroup_ref":                     "IpAddrGroup",
	"network_profile_ref":                 "NetworkProfile",
	"network_security_policy_ref":         "NetworkSecurityPolicy",
	"override_application_profile_ref":    "ApplicationProfile",
	"override_network_profile_ref":        "NetworkProfile",
	"pki_profile_ref":                     "PKIProfile",
	"pool_group_ref":                      "PoolGroup",
	"pool_ref":                            "Pool",
	"role_ref":                            "Role",
	"se_group_ref":                        "ServiceEngineGroup",
	"se_ref":                              "ServiceEngine",
	"server_network_profile_ref":          "NetworkProfile",
	"service_pool_group_ref":              "PoolGroup",
	"service_pool_ref":                    "Pool",
	"sp_pool_refs":                        "Pool",
	"ssl_key_and_certificate_ref":         "SSLKeyAndCertificate",
	"ssl_key_and_certificate_refs":        "SSLKeyAndCertificate",
	"ssl_profile_ref":                     "SSLProfile",
	"tenant_ref":                          "Tenant",
	"vh_parent_vs_ref":                    "VirtualService",
	"vrf_context_ref":                     "VrfContext",
	"vrf_ref":                             "VrfContext",
	"vsvip_ref":                           "VsVip",
}

// RefKind is the kind of object that a field of that name refers to ("pool_ref": "Pool"); empty: none.
func RefKind(field string) string { return refKind(field) }

// refKind is the kind that a kept field of that name refers to, empty when it is no reference to a kind there is.
func refKind(name string) string {
	if kind := refKinds[name]; kind != "" && theSchema().kind(kind) != nil {
		return kind
	}
	return ""
}

// Refs lists the references of the object, in the order of its fields, those in kept fields behind the others. One
// that is empty is not there.
func (a Any) Refs() []Ref {
	if a.kind == nil {
		return nil
	}
	var out []Ref
	w := refWalk{fn: func(r Ref) string {
		out = append(out, r)
		return r.Value
	}}
	w.structure(a.v, a.kind.shape, nil)
	return out
}

// MapRefs returns a copy in which each reference reads what fn makes of it.
func (a Any) MapRefs(fn func(Ref) string) Any {
	if a.kind == nil {
		return a
	}
	out := Any{a.kind, reflect.New(a.kind.shape.typ).Elem()}
	out.v.Set(a.v)
	w := refWalk{fn: fn, write: true}
	w.structure(out.v, a.kind.shape, nil)
	return out
}

// refWalk goes over the references of an object.
type refWalk struct {
	fn    func(Ref) string
	acted bool // only those with an effect
	write bool // what fn returns takes the place of what stood there; lists and maps on the way are copied
}

func (w *refWalk) structure(v reflect.Value, sh *shape, p *path) {
	for i := range sh.fields {
		f := &sh.fields[i]
		switch fv := v.Field(f.index); {
		case f.of != nil && !(f.of.refs || f.of.mayRef && !w.acted):
		case f.class == classList && (f.ref != "" || f.of != nil):
			w.list(fv, f, p.field(f.name))
		case f.class == classStruct:
			w.structure(fv, f.of, p.field(f.name))
		case f.class == classText && f.ref != "":
			w.text(fv, f.ref, p.field(f.name))
		}
	}
	if sh.keptAt >= 0 && !w.acted && v.Field(sh.keptAt).Len() > 0 {
		w.kept(v.Field(sh.keptAt), p)
	}
}

func (w *refWalk) list(v reflect.Value, f *field, p *path) {
	if v.Len() == 0 {
		return
	}
	if w.write {
		v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v))
	}
	for i := range v.Len() {
		if f.of != nil {
			w.structure(v.Index(i), f.of, p.item(i))
		} else {
			w.text(v.Index(i), f.ref, p.item(i))
		}
	}
}

func (w *refWalk) text(v reflect.Value, kind string, p *path) {
	if v.String() == "" {
		return
	}
	text := w.fn(Ref{p.String(), kind, v.String()})
	if w.write {
		v.SetString(text)
	}
}

func (w *refWalk) kept(v reflect.Value, p *path) {
	kept, own := v.Interface().(Kept), false
	r := readers.Get().(*jsonReader)
	defer r.free()
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if !mayHoldRef(name, kept[name]) {
			continue
		}
		n := r.root(kept[name])
		if !w.member(n, name, p.field(name)) || !w.write {
			continue
		}
		if !own {
			kept, own = maps.Clone(kept), true
			v.Set(reflect.ValueOf(kept))
		}
		var b jsonWriter
		b.node(n)
		kept[name] = b.out
	}
}

// mayHoldRef spares the reading of what cannot hold a reference.
func mayHoldRef(name string, raw json.RawMessage) bool {
	if len(raw) == 0 || raw[0] == '"' || raw[0] == '[' && refKind(name) != "" {
		return refKind(name) != ""
	}
	return (raw[0] == '{' || raw[0] == '[') && strings.Contains(string(raw), "_ref")
}

// member visits a member of a kept mapping. It reports whether there was a reference.
func (w *refWalk) member(n *yaml.Node, name string, p *path) bool {
	kind, found := refKind(name), false
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			found = w.member(n.Content[i+1], n.Content[i].Value, p.field(n.Content[i].Value)) || found
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			found = w.member(item, name, p.item(i)) || found
		}
	default:
		if kind == "" || n.ShortTag() != "!!str" || n.Value == "" {
			return false
		}
		n.Value = w.fn(Ref{p.String(), kind, n.Value})
		return true
	}
	return found
}
