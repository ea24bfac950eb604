package main

import (
	"fmt"

	"github.com/spf13/pflag"
)

// ofServers are the flags that shape what --listen and --server make, and where a file has the like.
var ofServers = []struct{ name, inFile string }{
	{"cert", "certificate of an SSLKeyAndCertificate"},
	{"key", "key of an SSLKeyAndCertificate"},
	{"record-route", "sip_service_profile.record_route of an ApplicationProfile"},
	{"algorithm", "lb_algorithm of a Pool"},
	{"no-monitor", "health_monitor_refs of a Pool"},
}

// together refuses flags that would have no effect beside the others: who gave one believes that it counts.
func (f *runFlags) together(fl *pflag.FlagSet) error {
	quick := len(f.listen)+len(f.servers) > 0
	if f.file != "" && quick {
		return usage{fmt.Errorf("give -f, or --listen and --server, not both")}
	}
	for _, o := range ofServers {
		switch {
		case !fl.Changed(o.name) || quick:
		case f.file != "":
			return usage{fmt.Errorf("--%s goes with --listen and --server; with -f the file says it: %s", o.name, o.inFile)}
		default:
			return usage{fmt.Errorf("--%s goes with --listen and --server, and neither is given", o.name)}
		}
	}
	for _, name := range []string{"api", "api-cert", "api-key", "admin-password-file"} {
		if f.store.where == storeNone && fl.Changed(name) && fl.Lookup(name).Value.String() != "" {
			return usage{fmt.Errorf("--%s: with --store none there is no API, and nobody to log in: leave one of them out", name)}
		}
	}
	return f.store.together(fl)
}

// together refuses what only an etcd cluster asks for when there is none.
func (f *storeFlags) together(fl *pflag.FlagSet) error {
	if f.where != storeNone && f.where != storeEmbedded {
		return nil
	}
	for _, name := range []string{"store-ca", "store-cert", "store-key", "store-user", "store-password-file", "store-max-ops"} {
		if fl.Changed(name) {
			return usage{fmt.Errorf("--%s is for an etcd cluster, and --store is %s: give its URLs, as --store https://etcd-1:2379", name, f.where)}
		}
	}
	return nil
}
