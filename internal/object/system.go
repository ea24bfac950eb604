package object

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Names of objects that are always there and that a SIP virtual service may use.
const (
	SystemSIP      = "System-SIP"       // application profile, and health monitor of type SIP
	SystemUDPProxy = "System-UDP-Proxy" // network profile
	SystemPing     = "System-Ping"      // health monitor
	SystemTCP      = "System-TCP"       // health monitor
	SystemUDP      = "System-UDP"       // health monitor
)

// systemText holds the objects that are always there, unless a set has one of that name: those that every Avi
// controller has, which users' playbooks point at, and System-SIP and System-UDP-Proxy, which Avi lacks.
const systemText = `
ApplicationProfile:
- {name: System-SIP, type: sip}
- {name: System-HTTP, type: http}
- {name: System-Secure-HTTP, type: http}
- {name: System-L4-Application, type: l4}
- {name: System-SSL-Application, type: ssl}
- {name: System-DNS, type: dns}
NetworkProfile:
- {name: System-UDP-Proxy, profile: {type: udp-proxy}}
- {name: System-TCP-Proxy, profile: {type: tcp-proxy}}
- {name: System-TCP-Fast-Path, profile: {type: tcp-fast-path}}
- {name: System-UDP-Fast-Path, profile: {type: udp-fast-path}}
- {name: System-UDP-Fast-Path-VDI, profile: {type: udp-fast-path}}
- {name: System-SCTP-Proxy, profile: {type: sctp-proxy}}
HealthMonitor:
- {name: System-SIP, type: sip}
- {name: System-Ping, type: ping}
- {name: System-TCP, type: tcp}
- {name: System-UDP, type: udp}
- {name: System-HTTP, type: http}
- {name: System-HTTPS, type: https}
- {name: System-DNS, type: dns}
AnalyticsProfile:
- {name: System-Analytics-Profile}
ApplicationPersistenceProfile:
- {name: System-Persistence-Client-IP}
- {name: System-Persistence-Http-Cookie, persistence_type: http-cookie}
- {name: System-Persistence-App-Cookie, persistence_type: app-cookie}
- {name: System-Persistence-TLS, persistence_type: tls}
SSLProfile:
- {name: System-Standard, accepted_versions: [{type: tls1-2}, {type: tls1-3}]}
- {name: System-Standard-PFS, accepted_versions: [{type: tls1-2}, {type: tls1-3}]}
- {name: System-Standard-Portal, type: system, accepted_versions: [{type: tls1-2}, {type: tls1-3}]}
Tenant:
- {name: admin, uuid: admin}
Cloud:
- {name: Default-Cloud}
ServiceEngineGroup:
- {name: Default-Group}
VrfContext:
- {name: global, system_default: true}
- {name: management, system_default: true}
Role:
- name: admin
  privileges: [{resource: PERMISSION_ALL, type: write-access}]
- name: operator
  description: sees everything, switches it on and off, drains servers
  privileges: [{resource: PERMISSION_ALL, type: read-access}, {resource: PERMISSION_OPERATE, type: write-access}]
- name: viewer
  privileges: [{resource: PERMISSION_ALL, type: read-access}]
`

// systemLater are names that are always there too, of objects that a first start makes: they hold secrets.
var systemLater = map[string][]string{
	"SSLKeyAndCertificate": {"System-Default-Cert", "System-Default-Portal-Cert", "System-Default-Portal-Cert-EC256"},
	"User":                 {"admin"},
}

// systemSet is what systemText says.
type systemSet struct {
	all    []Any
	byName map[string]map[string]Any // kind, name
	byUUID map[string]Any
	names  map[string][]string // kind
}

// theSystem is read once. Its faults are ours alone, so they panic, and any test shows them.
var theSystem = sync.OnceValue(func() *systemSet {
	docs, fault := read("system", []byte(systemText))
	if fault != nil {
		panic("object: " + fault.Error())
	}
	l := &loader{decoder: decoder{file: "system"}, set: &Set{}, nodes: map[objectID]*yaml.Node{}}
	l.document(docs[0])
	if err := join(l.faults); err != nil {
		panic("object: " + err.Error())
	}
	s := &systemSet{byName: map[string]map[string]Any{}, byUUID: map[string]Any{}, names: map[string][]string{}}
	for _, a := range l.set.Objects() {
		if a.kind.name != "Tenant" && a.kind.name != "Cloud" {
			a = a.WithRef("tenant_ref", "admin")
		}
		if a.UUID() == "" {
			a = a.WithUUID(systemUUID(a.kind, a.Name()))
		}
		if s.byName[a.kind.name] == nil {
			s.byName[a.kind.name] = map[string]Any{}
		}
		s.all = append(s.all, a)
		s.byName[a.kind.name][a.Name()] = a
		s.byUUID[a.UUID()] = a
		s.names[a.kind.name] = append(s.names[a.kind.name], a.Name())
	}
	return s
})

// systemUUID is the uuid of a system object: the same everywhere and for ever, in the form of any other.
func systemUUID(k *kind, name string) string {
	sum := sha256.Sum256([]byte("system/" + k.name + "/" + name))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562: version 8, made by rules of one's own
	h := hex.EncodeToString(sum[:16])
	return k.prefix + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// SystemObjects returns the objects that are always there, of tenant admin, with uuids that never change. References
// in them are names.
func SystemObjects() []Any { return slices.Clone(theSystem().all) }

// IsSystem reports whether the object of that kind and name, in tenant admin, is always there: it may be changed, but
// neither removed nor renamed.
func IsSystem(kindName, name string) bool {
	k := findKind(kindName)
	if k == nil {
		return false
	}
	_, ok := theSystem().byName[k.name][name]
	return ok || slices.Contains(systemLater[k.name], name)
}

// systemNames are the names of the system's own objects of a kind.
func systemNames(kind string) []string { return theSystem().names[kind] }

// systemObject returns the system's own object of that kind and name, the zero Any when there is none.
func systemObject(k *kind, name string) Any { return theSystem().byName[k.name][name] }

// systemValue is a pointer to the system's own object, nil when there is none.
func systemValue[T Kind](name string) *T {
	v, _ := theSystem().byName[reflect.TypeFor[T]().Name()][name].Value().(*T)
	return v
}
