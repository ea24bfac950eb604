package object

import "reflect"

// Objects that are always there, as Avi's System-* ones are, unless the set has one of that name. All but their
// names is default.
const (
	SystemSIP      = "System-SIP"       // application profile, and health monitor of type SIP
	SystemUDPProxy = "System-UDP-Proxy" // network profile
	SystemPing     = "System-Ping"      // health monitor
	SystemTCP      = "System-TCP"       // health monitor
	SystemUDP      = "System-UDP"       // health monitor
)

func isSystem(kind, name string) bool {
	switch kind {
	case reflect.TypeFor[ApplicationProfile]().Name():
		return name == SystemSIP
	case reflect.TypeFor[NetworkProfile]().Name():
		return name == SystemUDPProxy
	case reflect.TypeFor[HealthMonitor]().Name():
		return systemMonitor(name) != nil
	}
	return false
}

func systemApplicationProfile(name string) *ApplicationProfile {
	if name != SystemSIP {
		return nil
	}
	p := New[ApplicationProfile](name)
	p.Type = ApplicationSIP
	return &p
}

func systemNetworkProfile(name string) *NetworkProfile {
	if name != SystemUDPProxy {
		return nil
	}
	p := New[NetworkProfile](name)
	p.Profile.Type = ProtocolUDPProxy
	return &p
}

func systemMonitor(name string) *HealthMonitor {
	types := map[string]MonitorType{SystemSIP: MonitorSIP, SystemPing: MonitorPing, SystemTCP: MonitorTCP, SystemUDP: MonitorUDP}
	t, ok := types[name]
	if !ok {
		return nil
	}
	m := New[HealthMonitor](name)
	m.Type = t
	return &m
}
