package controller

import (
	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// Everybodys reports whether objects of a kind belong to no tenant: they are kept with admin, and all see them.
func Everybodys(kind string) bool {
	switch kind {
	case "Tenant", "User", "Role", "Cloud":
		return true
	}
	return false
}

// inCloud are the kinds with a cloud_ref.
var inCloud = map[string]bool{"Pool": true, "PoolGroup": true, "VsVip": true, "VirtualService": true}

// lent are the kinds whose objects of admin every tenant sees and may refer to.
var lent = map[string]bool{"ApplicationProfile": true, "NetworkProfile": true, "HealthMonitor": true, "AnalyticsProfile": true,
	"ApplicationPersistenceProfile": true, "SSLProfile": true, "PKIProfile": true, "IpAddrGroup": true, "NetworkSecurityPolicy": true,
	"Tenant": true, "Cloud": true, "Role": true, "ServiceEngineGroup": true, "ServiceEngine": true, "VrfContext": true}

// Visible reports whether somebody in a tenant sees an object: it is of the tenant, or admin's and lent to all.
func Visible(r *catalog.Record, tenant string) bool {
	return r.Tenant == tenant || r.Tenant == catalog.AdminTenant && (lent[r.Kind()] || object.IsSystem(r.Kind(), r.Name()))
}
