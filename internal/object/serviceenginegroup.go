package object

import "slices"

// ServiceEngineGroup is engines that share virtual services. Nothing acts on its settings: every engine runs them all.
type ServiceEngineGroup struct {
	Name             string `json:"name" required:"" doc:"unique among groups"`
	UUID             string `json:"uuid" doc:"references may name the object by it"`
	Description      string `json:"description" doc:"free text"`
	HAMode           string `json:"ha_mode" default:"HA_MODE_SHARED" words:"HA_MODE_ SHARED SHARED_PAIR LEGACY_ACTIVE_STANDBY" idle:"" doc:"how engines stand in for each other"`
	Algo             string `json:"algo" default:"PLACEMENT_ALGO_PACKED" words:"PLACEMENT_ALGO_ PACKED DISTRIBUTED" idle:"" doc:"how virtual services are spread"`
	MaxVSPerSE       int    `json:"max_vs_per_se" default:"10" range:"1..1000" idle:"" doc:"virtual services of one engine"`
	MinScaleoutPerVS int    `json:"min_scaleout_per_vs" default:"1" range:"1..64" idle:"" doc:"least engines of a virtual service"`
	MaxScaleoutPerVS int    `json:"max_scaleout_per_vs" default:"4" range:"1..64" idle:"" doc:"most engines of a virtual service"`
	MaxSE            int    `json:"max_se" default:"10" range:"0..1000" idle:"" doc:"most engines"`
	BufferSE         int    `json:"buffer_se" default:"1" range:"0..1000" idle:"" doc:"engines held in reserve"`
	SENamePrefix     string `json:"se_name_prefix" default:"Avi" idle:"" doc:"how names of engines begin"`
	Kept             Kept   `json:"-"`
}

var serviceEngineGroupKept = slices.Concat(
	inCloud,
	quiet(keptText, `mgmt_network_ref host_attribute_key host_attribute_value hm_on_standby_ref vcenter_folder="AviSeFolder"`),
	quiet(keptBool, `active_standby auto_rebalance auto_redistribute_active_standby_load
		distribute_load_active_standby dedicated_dispatcher_core hm_on_standby=true per_app vss_placement_enabled`),
	quiet(keptNumber, `auto_rebalance_interval=300 connection_memory_percentage=50:10..90 cpu_reserve_mhz disk_per_se=15
		extra_config_multiplier=0.0 max_cpu_usage=80:40..90 memory_per_se=2048:2048..262144 min_cpu_usage=30:20..60
		min_se=1:0..1000 num_flow_cores_sum_changes_to_ignore=8 se_deprovision_delay=120:0..525600 vcpus_per_se=1
		vs_host_redundancy_timeout vs_scalein_timeout=30 vs_scaleout_timeout=600`),
	quiet(keptList, `auto_rebalance_criteria auto_rebalance_capacity_per_se custom_tag labels vip_asg_networks vs_se_scaleout_networks`),
	quiet(keptObject, `realtime_se_metrics vss_placement`),
)
