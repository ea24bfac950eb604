package object

import "slices"

// Tenant is a space of names: objects of one tenant do not see those of another.
type Tenant struct {
	Name           string              `json:"name" required:"" doc:"unique among tenants"`
	UUID           string              `json:"uuid" doc:"references may name the object by it"`
	Description    string              `json:"description" doc:"free text"`
	Local          bool                `json:"local" default:"true" idle:"" doc:"made here, not taken over from elsewhere"`
	ConfigSettings TenantConfiguration `json:"config_settings" idle:"" doc:"how the tenant shares engines"`
	Kept           Kept                `json:"-"`
}

// TenantConfiguration says how a tenant shares engines.
type TenantConfiguration struct {
	TenantVRF                bool `json:"tenant_vrf" default:"false" idle:"" doc:"the tenant has a routing table of its own"`
	SEInProviderContext      bool `json:"se_in_provider_context" default:"true" idle:"" doc:"engines belong to the tenant admin"`
	TenantAccessToProviderSE bool `json:"tenant_access_to_provider_se" default:"true" idle:"" doc:"the tenant may see the engines of admin"`
	Kept                     Kept `json:"-"`
}

var tenantKept = slices.Concat(
	quiet(keptBool, `enforce_label_group`),
	quiet(keptList, `attrs label_group_refs suggested_object_labels`),
)
