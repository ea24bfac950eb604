package object

// Objects that are always there, as Avi's System-* ones are, unless the set has one of that name. All but their
// names is default.
const (
	SystemSIP      = "System-SIP"       // application profile, and health monitor of type SIP
	SystemUDPProxy = "System-UDP-Proxy" // network profile
	SystemPing     = "System-Ping"      // health monitor
	SystemTCP      = "System-TCP"       // health monitor
	SystemUDP      = "System-UDP"       // health monitor
)

// systemNames are the names of the system's own objects of a kind.
func systemNames(kind string) []string {
	switch kind {
	case "ApplicationProfile":
		return []string{SystemSIP}
	case "NetworkProfile":
		return []string{SystemUDPProxy}
	case "HealthMonitor":
		return []string{SystemSIP, SystemPing, SystemTCP, SystemUDP}
	}
	return nil
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
	m := New[HealthMonitor](name)
	switch name {
	case SystemSIP:
		m.Type = MonitorSIP
	case SystemPing:
		m.Type = MonitorPing
	case SystemTCP:
		m.Type = MonitorTCP
	case SystemUDP:
		m.Type = MonitorUDP
	default:
		return nil
	}
	return &m
}

// systemObject returns the system's own object of that kind and name, the zero Any when there is none.
func systemObject(k *kind, name string) Any {
	switch k.name {
	case "ApplicationProfile":
		if p := systemApplicationProfile(name); p != nil {
			return AnyOf(p)
		}
	case "NetworkProfile":
		if p := systemNetworkProfile(name); p != nil {
			return AnyOf(p)
		}
	case "HealthMonitor":
		if m := systemMonitor(name); m != nil {
			return AnyOf(m)
		}
	}
	return Any{}
}
