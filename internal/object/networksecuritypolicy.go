package object

import (
	"net/netip"
	"slices"
	"strconv"
)

// NetworkSecurityPolicy is rules on who may send to a virtual service. Nothing acts on it yet, so a virtual service
// that names one is refused.
type NetworkSecurityPolicy struct {
	Name        string                `json:"name" required:"" doc:"unique among policies"`
	UUID        string                `json:"uuid" doc:"references may name the object by it"`
	Description string                `json:"description" doc:"free text"`
	Rules       []NetworkSecurityRule `json:"rules" items:"0..1000" key:"index" idle:"" doc:"the rules; the lowest index that fits decides"`
	Kept        Kept                  `json:"-"`
}

// NetworkSecurityRule is one rule: what it looks at and what follows.
type NetworkSecurityRule struct {
	Index     int                  `json:"index" required:"" range:"0..2147483647" idle:"" doc:"place among the rules, each its own"`
	Name      string               `json:"name" required:"" idle:"" doc:"name of the rule"`
	Enable    bool                 `json:"enable" required:"" default:"true" idle:"" doc:"false: as if it were not there"`
	Action    string               `json:"action" required:"" words:"NETWORK_SECURITY_POLICY_ACTION_TYPE_ ALLOW DENY RATE_LIMIT" idle:"" doc:"what becomes of traffic that fits"`
	Log       bool                 `json:"log" default:"false" idle:"" doc:"record what fits"`
	AgeMin    int                  `json:"age" default:"0" range:"1..4294967295,0" special:"0 is for ever" unit:"min" idle:"" doc:"time after which the rule ends"`
	RateLimit RateLimit            `json:"rl_param" optional:"" idle:"" doc:"the limit of RATE_LIMIT"`
	Match     NetworkSecurityMatch `json:"match" required:"" idle:"" doc:"what traffic fits; all parts given must"`
	Kept      Kept                 `json:"-"`
}

// RateLimit is how much may pass.
type RateLimit struct {
	MaxRate   int  `json:"max_rate" required:"" range:"1..4294967295" unit:"per s" idle:"" doc:"most that may pass"`
	BurstSize int  `json:"burst_size" required:"" range:"1..4294967295" idle:"" doc:"most that may pass at once"`
	Kept      Kept `json:"-"`
}

// NetworkSecurityMatch is what a rule looks at.
type NetworkSecurityMatch struct {
	ClientIP   IPAddrMatch `json:"client_ip" optional:"" idle:"" doc:"address of the client"`
	ClientPort PortMatch   `json:"client_port" optional:"" idle:"" doc:"port of the client"`
	VSPort     PortMatch   `json:"vs_port" optional:"" idle:"" doc:"port of the virtual service"`
	Kept       Kept        `json:"-"`
}

// IPAddrMatch is a set of addresses that one must be in, or not in.
type IPAddrMatch struct {
	Criteria  string         `json:"match_criteria" required:"" words:"IS_ IN NOT_IN" idle:"" doc:"must be in the set, or must not"`
	Addrs     []netip.Addr   `json:"addrs" items:"0..5000" idle:"" doc:"single addresses"`
	Prefixes  []IPAddrPrefix `json:"prefixes" items:"0..5000" key:"ip_addr,mask" idle:"" doc:"networks; an item may be just 10.0.0.0/8"`
	Ranges    []IPAddrRange  `json:"ranges" items:"0..5000" key:"begin,end" idle:"" doc:"ranges; an item may be just 10.0.0.1-10.0.0.9"`
	GroupRefs []string       `json:"group_refs" items:"0..100" ref:"IpAddrGroup" idle:"" doc:"groups of addresses"`
	Kept      Kept           `json:"-"`
}

// PortMatch is a set of ports that one must be in, or not in.
type PortMatch struct {
	Criteria string      `json:"match_criteria" required:"" words:"IS_ IN NOT_IN" idle:"" doc:"must be in the set, or must not"`
	Ports    []int       `json:"ports" items:"0..1000" range:"1..65535" idle:"" doc:"single ports"`
	Ranges   []PortRange `json:"ranges" items:"0..1000" key:"start,end" idle:"" doc:"ranges of ports"`
	Kept     Kept        `json:"-"`
}

// PortRange is the ports from start to end, both included.
type PortRange struct {
	Start int  `json:"start" required:"" range:"1..65535" idle:"" doc:"first port"`
	End   int  `json:"end" required:"" range:"1..65535" idle:"" doc:"last port"`
	Kept  Kept `json:"-"`
}

var networkSecurityPolicyKept = slices.Concat(
	quiet(keptText, `geo_db_ref ip_reputation_db_ref`),
	quiet(keptBool, `internal`),
)

var networkSecurityRuleKept = quiet(keptText, `created_by`)

var networkSecurityMatchKept = slices.Concat(
	quiet(keptList, `geo_matches`),
	quiet(keptObject, `ip_reputation_type microservice`),
)

func (c *checker) networkSecurityPolicy(p *NetworkSecurityPolicy) {
	seen := map[int]int{}
	for i := range p.Rules {
		r, at := &p.Rules[i], (*path)(nil).field("rules").item(i)
		if first, twice := seen[r.Index]; twice {
			c.fail(at.field("index"), strconv.Itoa(r.Index)+" is that of rules["+strconv.Itoa(first)+"] too")
		}
		seen[r.Index] = i
		if limited := r.Action == "NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT"; limited && r.RateLimit.MaxRate == 0 {
			c.fail(at.field("rl_param"), "missing: the action is to limit the rate")
		}
		match := at.field("match")
		c.prefixes(match.field("client_ip"), r.Match.ClientIP.Prefixes)
		c.ranges(match.field("client_ip"), r.Match.ClientIP.Ranges)
		for _, ports := range []struct {
			name string
			of   []PortRange
		}{{"client_port", r.Match.ClientPort.Ranges}, {"vs_port", r.Match.VSPort.Ranges}} {
			for j, pr := range ports.of {
				if pr.End < pr.Start {
					c.fail(match.field(ports.name).field("ranges").item(j).field("end"), strconv.Itoa(pr.End)+" is below start, "+strconv.Itoa(pr.Start))
				}
			}
		}
	}
}
