package view

// kindHelp is what each kind of object is for, in a line.
var kindHelp = map[string]string{
	"VirtualService":                "what callers see: addresses, ports, and the pool behind them",
	"VsVip":                         "addresses of virtual services",
	"Pool":                          "servers, and how one is chosen for a new call",
	"PoolGroup":                     "pools by priority and share",
	"HealthMonitor":                 "how servers are probed",
	"ApplicationProfile":            "how SIP is treated: transactions, Record-Route, limits",
	"NetworkProfile":                "UDP or TCP, and its times",
	"AnalyticsProfile":              "what is recorded of calls",
	"ApplicationPersistenceProfile": "what keeps a client with a server",
	"SSLProfile":                    "versions and ciphers of TLS",
	"SSLKeyAndCertificate":          "a certificate and its key",
	"PKIProfile":                    "authorities and revoked certificates",
	"NetworkSecurityPolicy":         "who may call, by address",
	"IpAddrGroup":                   "addresses by a name",
	"Tenant":                        "a part of the objects with users of its own",
	"Cloud":                         "where it runs; there is one",
	"ServiceEngineGroup":            "engines by a name; there is one",
	"ServiceEngine":                 "an engine: it makes its object itself",
	"VrfContext":                    "a routing table by a name",
	"User":                          "who may log in",
	"Role":                          "what users may do",
}

// KindHelp is what a kind of object is for, in a line.
func KindHelp(kind string) string { return kindHelp[kind] }
