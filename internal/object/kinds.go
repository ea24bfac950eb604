package object

import (
	"slices"
	"sync"
)

// KindInfo tells of a kind of object.
type KindInfo struct {
	Name       string   // "Pool"
	Path       string   // of its collection below /api/: "pool"
	UUIDPrefix string   // before the "-" of a uuid: "pool"
	Title      string   // for people: "pool", "virtual service"
	System     []string // names of the objects that are always there
	InCloud    bool     // has cloud_ref
	InTenant   bool     // names are unique within a tenant, and there is tenant_ref; false: unique everywhere
}

// Kinds lists every kind of object, in the order in which they are written. The caller must not change it.
func Kinds() []KindInfo { return kindInfos() }

var kindInfos = sync.OnceValue(func() []KindInfo {
	var out []KindInfo
	for i := range theSchema().kinds {
		out = append(out, theSchema().kinds[i].info())
	}
	return out
})

// FindKind returns the kind that text spells, in any case: Pool, virtualservice, virtual-service, virtual_service.
func FindKind(text string) (KindInfo, bool) {
	if k := findKind(text); k != nil {
		return kindInfos()[k.index], true
	}
	return KindInfo{}, false
}

func (k *kind) info() KindInfo {
	return KindInfo{Name: k.name, Path: k.path, UUIDPrefix: k.prefix, Title: k.title, System: slices.Clone(systemNames(k.name)),
		InCloud: k.shape.kept["cloud_ref"] != nil, InTenant: k.name != "Tenant" && k.name != "User"}
}

// Get returns the object of a kind with that name, one of the system's own if the set has none; the zero Any when
// there is neither.
func (s *Set) Get(kindName, name string) Any {
	k := findKind(kindName)
	if k == nil {
		return Any{}
	}
	list := k.list(s)
	for i := range list.Len() {
		if list.Index(i).Field(k.nameAt).String() == name {
			return Any{k, list.Index(i)}
		}
	}
	return systemObject(k, name)
}

// Objects returns the objects of the set, kind by kind.
func (s *Set) Objects() []Any {
	var out []Any
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(s)
		for j := range list.Len() {
			out = append(out, Any{k, list.Index(j)})
		}
	}
	return out
}
