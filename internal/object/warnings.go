package object

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Warnings tells what of a valid set is likely not meant: fields that are kept but have no effect, and settings that
// are right and yet odd for SIP. They are for people to read, in the order of the objects.
func (s *Set) Warnings() []*FieldError {
	w := &warner{}
	for i := range theSchema().kinds {
		k := &theSchema().kinds[i]
		list := k.list(s)
		for j := range list.Len() {
			w.object = objectID{k, j}.label(s)
			w.structure(list.Index(j), k.shape, nil)
			switch k.name {
			case "Pool":
				w.pool(s.Pools[j])
				w.failAction(&s.Pools[j].FailAction)
			case "PoolGroup":
				w.failAction(&s.PoolGroups[j].FailAction)
			case "SSLProfile":
				w.sslProfile(s.SSLProfiles[j])
			case "PKIProfile":
				w.pkiProfile(s.PKIProfiles[j])
			}
		}
	}
	return w.out
}

type warner struct {
	object string
	out    []*FieldError
}

func (w *warner) warn(p *path, msg string) {
	w.out = append(w.out, &FieldError{Object: w.object, Path: p.String(), Msg: msg})
}

// structure warns of what is kept in a struct, and in those in it.
func (w *warner) structure(v reflect.Value, sh *shape, p *path) {
	if sh.keptAt >= 0 {
		for _, name := range slices.Sorted(maps.Keys(v.Field(sh.keptAt).Interface().(Kept))) {
			if k := sh.kept[name]; k != nil && !k.harmless && !k.dropped {
				w.warn(p.field(name), "is kept, but has no effect yet")
			}
		}
	}
	for i := range sh.fields {
		switch f := &sh.fields[i]; {
		case f.class == classStruct:
			w.structure(v.Field(f.index), f.of, p.field(f.name))
		case f.class == classList && f.of != nil:
			for j := range v.Field(f.index).Len() {
				w.structure(v.Field(f.index).Index(j), f.of, p.field(f.name).item(j))
			}
		}
	}
}

func (w *warner) pool(p *Pool) {
	root := (*path)(nil)
	if len(p.Servers) == 0 {
		w.warn(root.field("servers"), "there are none: every request to the pool is answered 503")
		return
	}
	if len(p.HealthMonitorRefs) == 0 {
		w.warn(root.field("health_monitor_refs"), "there are none: servers count as up even when they are dead; "+SystemSIP+" is always there")
	}
	enabled := 0
	for i := range p.Servers {
		if p.Servers[i].Enabled {
			enabled++
		}
	}
	if p.MinServersUp > enabled {
		w.warn(root.field("min_servers_up"), "enabled are "+strconv.Itoa(enabled)+", fewer than "+strconv.Itoa(p.MinServersUp)+": every new call to the pool is answered 503")
	}
	i := slices.IndexFunc(p.Servers, func(sv Server) bool { return sv.Port == 0 })
	if i >= 0 && p.DefaultServerPort == 80 {
		w.warn(root.field("servers").item(i), "takes port "+strconv.Itoa(int(p.DefaultServerPort))+" from default_server_port; that of SIP is "+strconv.Itoa(5060))
	}
}
