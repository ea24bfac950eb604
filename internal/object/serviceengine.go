package object

import "slices"

// ServiceEngine is one engine, as it registered itself.
type ServiceEngine struct {
	Name        string `json:"name" required:"" doc:"unique among engines"`
	UUID        string `json:"uuid" doc:"references may name the object by it"`
	Description string `json:"description" doc:"free text"`
	EnableState string `json:"enable_state" default:"SE_STATE_ENABLED" words:"SE_STATE_ ENABLED DISABLED_FOR_PLACEMENT DISABLED DISABLED_FORCE" idle:"" doc:"whether the engine takes virtual services"`
	SEGroupRef  string `json:"se_group_ref" default:"Default-Group" ref:"ServiceEngineGroup" idle:"" doc:"group of the engine"`
	Kept        Kept   `json:"-"`
}

var serviceEngineKept = slices.Concat(
	inCloud,
	quiet(keptText, `availability_zone container_type controller_ip flavor host_ref hypervisor`),
	quiet(keptBool, `container_mode controller_created nsxt_no_hotplug`),
	quiet(keptList, `data_vnics`),
	quiet(keptObject, `mgmt_vnic resources`),
)
