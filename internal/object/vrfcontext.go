package object

import "slices"

// VrfContext is a routing table. There are global and management; nothing acts on them.
type VrfContext struct {
	Name          string `json:"name" required:"" doc:"unique among routing tables"`
	UUID          string `json:"uuid" doc:"references may name the object by it"`
	Description   string `json:"description" doc:"free text"`
	SystemDefault bool   `json:"system_default" default:"false" idle:"" doc:"made by the system"`
	Kept          Kept   `json:"-"`
}

var vrfContextKept = slices.Concat(
	inCloud,
	quiet(keptBool, `lldp_enable=true`),
	quiet(keptList, `attrs gateway_mon labels static_routes`),
	quiet(keptObject, `bfd_profile bgp_profile debugvrfcontext internal_gateway_monitor`),
)
