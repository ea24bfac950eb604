package object

import "slices"

// Cloud is where engines run. There is one, Default-Cloud; nothing acts on its settings.
type Cloud struct {
	Name        string `json:"name" required:"" doc:"unique among clouds"`
	UUID        string `json:"uuid" doc:"references may name the object by it"`
	Description string `json:"description" doc:"free text"`
	VType       string `json:"vtype" default:"CLOUD_NONE" words:"CLOUD_ NONE VCENTER OPENSTACK AWS VCA APIC MESOS LINUXSERVER DOCKER_UCP RANCHER OSHIFT_K8S AZURE GCP NSXT" idle:"" doc:"kind of cloud"`
	MTU         int    `json:"mtu" default:"1500" range:"1..65535" unit:"bytes" idle:"" doc:"largest packet"`
	DHCPEnabled bool   `json:"dhcp_enabled" default:"false" idle:"" doc:"addresses are given by DHCP"`
	Kept        Kept   `json:"-"`
}

var cloudKept = slices.Concat(
	quiet(keptText, `dns_provider_ref east_west_dns_provider_ref east_west_ipam_provider_ref ipam_provider_ref
		license_tier license_type obj_name_prefix se_group_template_ref`),
	quiet(keptBool, `dns_resolution_on_se enable_vip_on_all_interfaces=true enable_vip_static_routes ip6_autocfg_enabled
		maintenance_mode mgmt_ip_v4_enabled mgmt_ip_v6_enabled prefer_static_routes resolve_fqdn_to_ipv6 state_based_dns_registration=true vmc_deployment`),
	quiet(keptNumber, `autoscale_polling_interval=60:60..3600 metrics_polling_interval=300:60..3600`),
	quiet(keptList, `custom_tags dns_resolvers`),
	quiet(keptObject, `aws_configuration azure_configuration cloudstack_configuration docker_configuration gcp_configuration linuxserver_configuration ntp_configuration nsxt_configuration rancher_configuration vca_configuration
		openstack_configuration proxy_configuration vcenter_configuration`),
)
