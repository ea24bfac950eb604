package object

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Kept holds fields of Avi's that have no effect here, by name, as compact JSON: they are accepted and given back.
// A field that stands at its default is not in it. Nil when there are none.
type Kept map[string]json.RawMessage

// keptField is a field of Avi's that has no effect here: accepted, kept, given back.
type keptField struct {
	name     string
	is       keptKind
	def      string   // Avi's default as JSON; empty: false, 0, "", [] or {}
	words    []string // of a text: what it may be; nil: anything
	number   *field   // of a number: what is right; nil: any
	refused  string   // not empty: any value but the default is refused, for this reason
	dropped  bool     // taken and forgotten: what an answer of the API says beside the object
	harmless bool     // bookkeeping and placement: no warning that it has no effect
}

// keptKind is what may stand in a kept field.
type keptKind uint8

const (
	keptText keptKind = iota // references too
	keptBool
	keptNumber
	keptList
	keptObject
)

func (k keptKind) String() string {
	return [...]string{"text", "true or false", "number", "list", "mapping"}[k]
}

// Fields whose silent loss would send calls elsewhere, in the clear or past a rule are refused, not kept.
const (
	noTLS      = "TLS is not supported yet"
	noPolicies = "policies are not supported yet, and traffic they would stop must not pass"
	noHTTP     = "this is for HTTP or DNS, and a virtual service takes SIP"
	noClient   = "the client's address cannot be preserved for SIP"
	noNames    = "DNS names of servers are not supported yet; give addresses"
	noLabels   = "labels have no order of their own here, and calls would go to other pools than it says; give each member a priority_label that is a number, the highest first, or set implicit_priority_labels"
	noAllocate = "addresses cannot be allocated here; give ip_address"
)

// The tables of kept fields are lists of words: name, name=default, and behind a colon what is right, as in
// connection_ramp_duration=10:1..300,0 and flow_dist="LOAD_AWARE":LOAD_AWARE|CONSISTENT_HASH_SOURCE_IP_ADDRESS.

// quiet are fields of bookkeeping, placement and analytics: nobody is warned that they have no effect.
func quiet(is keptKind, text string) []keptField {
	return keptWords(keptField{is: is, harmless: true}, text)
}

// noted are fields that a warning names when they are set.
func noted(is keptKind, text string) []keptField { return keptWords(keptField{is: is}, text) }

// refuse are fields that must stay at their default, and why.
func refuse(is keptKind, why, text string) []keptField {
	return keptWords(keptField{is: is, refused: why}, text)
}

// dropped are fields that only answers have.
func dropped(is keptKind, text string) []keptField {
	return keptWords(keptField{is: is, dropped: true}, text)
}

func keptWords(k keptField, text string) []keptField {
	var out []keptField
	for word := range strings.FieldsSeq(text) {
		word, right, _ := strings.Cut(word, ":")
		k.name, k.def, _ = strings.Cut(word, "=")
		k.words, k.number = nil, nil
		switch {
		case right == "":
		case k.is == keptNumber:
			k.number = &field{name: k.name, class: classNumber}
			k.number.setRange(right)
		default:
			k.words = strings.Split(right, "|")
		}
		out = append(out, k)
	}
	return out
}

// keptByAll are the fields that every object has.
var keptByAll = slices.Concat(
	quiet(keptText, `tenant_ref created_by service_metadata cloud_config_cksum`),
	quiet(keptList, `markers`),
	dropped(keptText, `url _last_modified`),
	dropped(keptObject, `configpb_attributes`),
)

// inCloud are the fields of what stands in a cloud.
var inCloud = quiet(keptText, `cloud_ref="Default-Cloud"`)

// keptFields are the others, by the Go name of the struct they stand in.
var keptFields = map[string][]keptField{
	"VirtualService": virtualServiceKept, "PerformanceLimits": performanceLimitsKept, "Service": serviceKept, "DNSInfo": dnsInfoKept,
	"VsVip": vsVipKept, "Vip": vipKept,
	"Pool": poolKept, "FailAction": failActionKept, "Server": serverKept,
	"PoolGroup": poolGroupKept, "PoolGroupMember": poolGroupMemberKept,
	"RateProfile": quiet(keptObject, `action`), "RateLimiter": slices.Concat(quiet(keptText, `name`), quiet(keptNumber, `burst_sz`)),
	"HealthMonitor": healthMonitorKept, "TCPMonitor": tcpMonitorKept,
	"ApplicationProfile": applicationProfileKept,
	"NetworkProfile":     networkProfileKept, "Profile": profileKept, "TCPProxyProfile": tcpProxyProfileKept,
	"AnalyticsProfile": analyticsProfileKept, "ClientLogConfig": clientLogConfigKept,
	"ApplicationPersistenceProfile": persistenceProfileKept,
	"SSLProfile":                    sslProfileKept,
	"SSLKeyAndCertificate":          sslKeyAndCertificateKept, "SSLCertificate": sslCertificateKept,
	"PKIProfile": pkiProfileKept, "CRL": crlKept,
	"NetworkSecurityPolicy": networkSecurityPolicyKept, "NetworkSecurityRule": networkSecurityRuleKept, "NetworkSecurityMatch": networkSecurityMatchKept,
	"IpAddrGroup":        ipAddrGroupKept,
	"Tenant":             tenantKept,
	"Cloud":              cloudKept,
	"ServiceEngineGroup": serviceEngineGroupKept,
	"ServiceEngine":      serviceEngineKept,
	"VrfContext":         vrfContextKept,
	"User":               userKept,
	"Role":               roleKept, "Permission": quiet(keptObject, `subresource`),
}

// defaultJSON is the default of the field as JSON.
func (k *keptField) defaultJSON() string {
	if k.def != "" {
		return k.def
	}
	return [...]string{`""`, "false", "0", "[]", "{}"}[k.is]
}

// filledIn reports whether a full answer has the field when it was left out.
func (k *keptField) filledIn() bool { return !k.dropped && (k.def != "" || k.is == keptBool) }

// fault says what is wrong with compact JSON of the right kind.
func (k *keptField) fault(text []byte) string {
	switch {
	case k.number != nil:
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || !k.number.inRange(n) && string(text) != k.defaultJSON() {
			return string(text) + " is out of range: must be " + k.number.numbers()
		}
	case k.words != nil:
		var word string
		if json.Unmarshal(text, &word) != nil || word != "" && !slices.Contains(k.words, word) {
			return string(text) + " is not a known word: must be " + orList(k.words)
		}
	}
	return ""
}
