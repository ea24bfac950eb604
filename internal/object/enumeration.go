package object

import (
	"reflect"
	"strings"
)

// enumeration is the words of one type.
type enumeration struct {
	prefix string // of the long spellings, left out in the short ones
	words  []word
}

type word struct {
	long    string   // Avi's spelling, and the value in Go
	short   string   // shown in errors; empty: long without the prefix, in lower case with hyphens
	also    []string // more spellings
	refused bool     // Avi has it, we do not
}

// enumerations holds the words of every enumerated type, those we refuse behind those we take.
var enumerations = map[reflect.Type]*enumeration{
	reflect.TypeFor[LBAlgorithm](): {"LB_ALGORITHM_", []word{
		{long: string(ConsistentHash)}, {long: string(LeastConnections)}, {long: string(RoundRobin)},
		{long: string(Random)}, {long: string(FewestTasks)},
		{long: string(FastestResponse)}, {long: string(LeastLoad)},
		{long: "LB_ALGORITHM_FEWEST_SERVERS"}, {long: "LB_ALGORITHM_CORE_AFFINITY"},
		{long: "LB_ALGORITHM_NEAREST_SERVER", refused: true}, {long: "LB_ALGORITHM_TOPOLOGY", refused: true}}},
	reflect.TypeFor[LBHash](): {"LB_ALGORITHM_CONSISTENT_HASH_", []word{
		{long: string(HashCallID), short: "call-id"},
		{long: string(HashSourceAddress), short: "source-address", also: []string{"source-ip"}},
		{long: string(HashSourceAddressPort), short: "source-address-port", also: []string{"source-address-and-port"}},
		{long: string(HashURI), also: []string{"request-uri"}},
		{long: string(HashHeader), short: "header"},
		{long: "LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_STRING"}}},
	reflect.TypeFor[ApplicationType](): {"APPLICATION_PROFILE_TYPE_", []word{
		{long: string(ApplicationSIP)},
		{long: "APPLICATION_PROFILE_TYPE_L4"}, {long: "APPLICATION_PROFILE_TYPE_HTTP"},
		{long: "APPLICATION_PROFILE_TYPE_SYSLOG"}, {long: "APPLICATION_PROFILE_TYPE_DNS"},
		{long: "APPLICATION_PROFILE_TYPE_SSL"}}},
	reflect.TypeFor[Protocol](): {"PROTOCOL_TYPE_", []word{
		{long: string(ProtocolUDPProxy)},
		{long: string(ProtocolTCPProxy)}, {long: "PROTOCOL_TYPE_TCP_FAST_PATH"},
		{long: "PROTOCOL_TYPE_UDP_FAST_PATH"}, {long: "PROTOCOL_TYPE_SCTP_PROXY"},
		{long: "PROTOCOL_TYPE_SCTP_FAST_PATH"}}},
	reflect.TypeFor[MonitorType](): {"HEALTH_MONITOR_", append([]word{
		{long: string(MonitorSIP)}, {long: string(MonitorPing)}, {long: string(MonitorUDP)}, {long: string(MonitorTCP)}},
		moreWords("HEALTH_MONITOR_", "HTTP HTTPS EXTERNAL DNS GSLB RADIUS SMTP SMTPS POP3 POP3S IMAP IMAPS FTP FTPS LDAP LDAPS SCTP")...)},
	reflect.TypeFor[SIPRequestCode](): {"SIP_", []word{{long: string(SIPOptions)}}},
	reflect.TypeFor[SIPTransport](): {"SIP_", []word{
		{long: string(SIPOverUDP), short: "udp"}, {long: string(SIPOverTCP), short: "tcp"},
		{long: string(SIPOverTLS), short: "tls"}}},
	reflect.TypeFor[VSType](): {"VS_TYPE_", []word{
		{long: string(VSNormal)}, {long: "VS_TYPE_VH_PARENT", refused: true}, {long: "VS_TYPE_VH_CHILD", refused: true}}},
}

func moreWords(prefix, names string) []word {
	var out []word
	for name := range strings.FieldsSeq(names) {
		out = append(out, word{long: prefix + name})
	}
	return out
}

// wordsOf reads the tag "SSL_VERSION_ TLS1_2 TLS1_3": a prefix, "-" for none, and the words behind it.
func wordsOf(tag string) *enumeration {
	prefix, names, _ := strings.Cut(tag, " ")
	prefix = strings.TrimPrefix(prefix, "-")
	return &enumeration{prefix, moreWords(prefix, names)}
}

func (e *enumeration) short(w *word) string {
	if w.short != "" {
		return w.short
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(w.long, e.prefix), "_", "-"))
}

// find returns the word that text spells, long or short, in any case, with hyphens or underscores; nil for none.
func (e *enumeration) find(text string) *word {
	text = strings.ReplaceAll(strings.ToUpper(text), "-", "_")
	same := func(s string) bool { return strings.ReplaceAll(strings.ToUpper(s), "-", "_") == text }
	for i := range e.words {
		w := &e.words[i]
		if same(w.long) || same(strings.TrimPrefix(w.long, e.prefix)) || same(e.short(w)) {
			return w
		}
		for _, also := range w.also {
			if same(also) {
				return w
			}
		}
	}
	return nil
}

// supported lists the short spellings of the words we take.
func (e *enumeration) supported() []string {
	var out []string
	for i := range e.words {
		if !e.words[i].refused {
			out = append(out, e.short(&e.words[i]))
		}
	}
	return out
}

// parse turns any spelling into the long one. The fault says what would be right; it is empty when text is.
func (e *enumeration) parse(text string) (long, fault string) {
	w := e.find(text)
	switch {
	case w == nil:
		if near := nearest(text, e.supported()); near != "" {
			return "", quote(text) + " is not a known word; did you mean " + near + "?"
		}
		return "", quote(text) + " is not a known word: must be " + orList(e.supported())
	case w.refused:
		return "", w.long + " is not supported yet: must be " + orList(e.supported())
	}
	return w.long, ""
}
