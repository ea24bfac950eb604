package object

import (
	"slices"
	"strconv"
)

// PoolGroup is pools that share the calls of a virtual service: those of the highest priority that are up, by ratio.
type PoolGroup struct {
	Name                        string            `json:"name" required:"" doc:"unique among pool groups"`
	UUID                        string            `json:"uuid" doc:"references may name the object by it"`
	Description                 string            `json:"description" doc:"free text"`
	Members                     []PoolGroupMember `json:"members" items:"0..1000" key:"pool_ref" doc:"the pools"`
	MinServers                  int               `json:"min_servers" default:"0" range:"0..65535" special:"0 is as 1" doc:"servers that must be up in all pools of a priority together for it to take new calls; where no priority has so many, the highest with any takes them"`
	ImplicitPriorityLabels      bool              `json:"implicit_priority_labels" default:"false" doc:"priorities follow from the order of the members, the first being the highest"`
	DeactivatePrimaryPoolOnDown bool              `json:"deactivate_primary_pool_on_down" default:"false" doc:"once a priority went down its pools take no new calls until this is false; else they take them again as soon as they are up"`
	FailAction                  FailAction        `json:"fail_action" optional:"" doc:"what becomes of requests while no server of any pool may get them"`
	Kept                        Kept              `json:"-"`
}

// PoolGroupMember is one pool of a group.
type PoolGroupMember struct {
	PoolRef       string `json:"pool_ref" required:"" ref:"Pool" doc:"the pool"`
	Ratio         int    `json:"ratio" default:"1" range:"1..1000,0" special:"0 takes no new calls" doc:"share of new calls against the other members of the same priority, by a consistent hash of the Call-ID"`
	PriorityLabel string `json:"priority_label" digits:"" doc:"a number, as text; the highest goes first, and none comes last"`
	Kept          Kept   `json:"-"`
}

var poolGroupKept = slices.Concat(
	inCloud,
	quiet(keptText, `deployment_policy_ref`),
	quiet(keptBool, `enable_http2`),
	refuse(keptText, noLabels, `priority_labels_ref`),
)

var poolGroupMemberKept = quiet(keptText, `deployment_state`)

func (c *checker) poolGroup(g *PoolGroup) {
	seen := map[string]int{}
	for i := range g.Members {
		m, at := &g.Members[i], (*path)(nil).field("members").item(i)
		if first, twice := seen[m.PoolRef]; twice && m.PoolRef != "" {
			c.fail(at.field("pool_ref"), quote(m.PoolRef)+" is that of members["+strconv.Itoa(first)+"] too")
		}
		seen[m.PoolRef] = i
		if m.PriorityLabel != "" && !decimal.MatchString(m.PriorityLabel) {
			c.fail(at.field("priority_label"), quote(m.PriorityLabel)+" is not a number: expected text such as \"10\"; higher goes first")
		}
	}
}
