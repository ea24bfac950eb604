package object

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestAviDefaults holds defaults and ranges to those that Avi documents, written down here a second time, by hand.
func TestAviDefaults(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(`
VirtualService.enabled true
VirtualService.traffic_enabled true
VirtualService.type VS_TYPE_NORMAL
VirtualService.services items 1..2048
Service.port 0 0..65535
Service.port_range_end 0 0..65535
Vip.enabled true
Pool.enabled true
Pool.default_server_port 80 1..65535
Pool.lb_algorithm LB_ALGORITHM_LEAST_CONNECTIONS
Pool.lb_algorithm_hash LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS
Pool.lb_algorithm_consistent_hash_hdr -
Pool.ignore_server_port false
Pool.health_monitor_refs items 0..50
Pool.min_health_monitors_up 0 0..50
Pool.min_servers_up 0 0..10000
Pool.graceful_disable_timeout 1 1..7200 0 -1
Pool.max_concurrent_connections_per_server 0 0..2147483647
Server.port 0 0..65535
Server.enabled true
Server.ratio 1 1..20
HealthMonitor.type -
HealthMonitor.send_interval 10 1..3600
HealthMonitor.receive_timeout 4 1..2400
HealthMonitor.successful_checks 2 1..50
HealthMonitor.failed_checks 2 1..50
HealthMonitor.monitor_port 0 0..65535
HealthMonitor.disable_quickstart false
SIPMonitor.sip_request_code SIP_OPTIONS
SIPMonitor.sip_response SIP/2.0
SIPMonitor.sip_monitor_transport SIP_UDP_PROTO
ApplicationProfile.type -
SIPServiceProfile.transaction_timeout 32 2..512
Profile.type PROTOCOL_TYPE_TCP_PROXY
UDPProxyProfile.session_idle_timeout 10 2..3600
UDPFastPathProfile.session_idle_timeout 10 2..3600
UDPFastPathProfile.per_pkt_loadbalance false
UDPFastPathProfile.snat true
TCPFastPathProfile.session_idle_timeout 300 5..14400 0
TCPProxyProfile.automatic true
TCPProxyProfile.idle_connection_type KEEP_ALIVE
TCPProxyProfile.idle_connection_timeout 600 5..14400 0
TCPProxyProfile.max_retransmissions 8 3..8
TCPProxyProfile.max_syn_retransmissions 8 3..8
TCPProxyProfile.receive_window 64 2..65536
TCPProxyProfile.time_wait_delay 2000 500..2000 0
TCPProxyProfile.ip_dscp 0 0..63
TCPProxyProfile.cc_algo CC_ALGO_NEW_RENO
TCPProxyProfile.max_segment_size 0 512..9000 0
PoolGroupMember.ratio 1 1..1000 0
AnalyticsProfile.sip_log_depth 20 1..1000
AnalyticsProfile.healthscore_max_server_limit 20 0..5000
AnalyticsProfile.hs_max_anomaly_penalty 10 0..100
AnalyticsProfile.hs_max_resources_penalty 25 0..100
AnalyticsProfile.hs_max_security_penalty 100 0..100
AnalyticsProfile.hs_min_dos_rate 1000 0..4294967295
ApplicationPersistenceProfile.persistence_type PERSISTENCE_TYPE_CLIENT_IP_ADDRESS
ApplicationPersistenceProfile.server_hm_down_recovery HM_DOWN_PICK_NEW_SERVER
IPPersistenceProfile.ip_persistent_timeout 5 1..720
IPPersistenceProfile.ip_mask 0 0..128
SSLProfile.accepted_ciphers AES:3DES:RC4
SSLProfile.enable_ssl_session_reuse true
SSLProfile.ssl_session_timeout 86400 0..2147483647
SSLProfile.send_close_notify true
SSLProfile.ec_named_curve auto
SSLProfile.signature_algorithm auto
SSLProfile.type SSL_PROFILE_TYPE_APPLICATION
SSLKeyAndCertificate.type SSL_CERTIFICATE_TYPE_VIRTUALSERVICE
SSLKeyAndCertificate.format SSL_PEM
PKIProfile.crl_check true
`), "\n") {
		words := strings.Fields(line)
		object, name, _ := strings.Cut(words[0], ".")
		sh, f := findField(object, name)
		if f == nil {
			t.Errorf("%s: no such field", words[0])
			continue
		}
		if f.own {
			t.Errorf("%s is Avi's", words[0])
		}
		if got := describeField(sh, f); got != strings.Join(words[1:], " ") {
			t.Errorf("%s: %s, Avi has %s", words[0], got, strings.Join(words[1:], " "))
		}
	}
}

// TestOwnDefaults holds our own fields, which must change nothing for a user of Avi's alone.
func TestOwnDefaults(t *testing.T) {
	want := strings.TrimSpace(`
FailAction.retry_after 0 0..86400
FailAction.sip_status 0 400..699 0
HealthMonitor.jitter_percent 10 0..50
Pool.dialog_state_shared false
Pool.inline_health_max_ejected 50 0..100
Pool.retry_budget_per_second 10 0..100000
Pool.retry_budget_percent 20 0..100
Pool.server_transport SERVER_TRANSPORT_SAME
SIPMonitor.max_forwards 70 1..255
SIPMonitor.sip_from -
SIPMonitor.sip_headers items 0..32
SIPMonitor.sip_request_uri -
SIPMonitor.sip_response_codes items 0..64
SIPMonitor.ssl_attributes -
SIPServiceProfile.failover_retransmissions 2 0..10
SIPServiceProfile.max_calls 1000000 1000..50000000
SIPServiceProfile.max_transactions 1000000 1000..50000000
SIPServiceProfile.path SIP_PATH_NEVER
SIPServiceProfile.record_route false
SIPServiceProfile.retry_on_503 true
TCPProxyProfile.handshake_timeout 10 1..300
TCPProxyProfile.lenient_content_length false
TCPProxyProfile.max_connections_per_source 10000 1..1000000
TCPProxyProfile.max_message 65535 1024..65535
TCPProxyProfile.message_timeout 30 1..300
TCPProxyProfile.write_timeout 10 1..300
VirtualService.pki_profile_ref -`)
	var got []string
	for _, sh := range theSchema().shapes {
		for i := range sh.fields {
			if f := &sh.fields[i]; f.own {
				got = append(got, sh.name+"."+f.name+" "+describeField(sh, f))
			}
		}
	}
	slices.Sort(got)
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func findField(object, name string) (*shape, *field) {
	for _, sh := range theSchema().shapes {
		if sh.name == object {
			return sh, sh.byName[name]
		}
	}
	return nil, nil
}

// describeField writes "default range", "-" for an empty default, "items 1..9" for a list.
func describeField(sh *shape, f *field) string {
	if f.class == classList {
		return fmt.Sprintf("items %d..%d", f.minItems, f.maxItems)
	}
	text := fmt.Sprint(sh.zero.Field(f.index).Interface())
	if text == "" || f.class == classStruct {
		text = "-"
	}
	if f.class == classNumber {
		text += fmt.Sprintf(" %d..%d", f.min, f.max)
		for _, n := range f.extra {
			text += fmt.Sprintf(" %d", n)
		}
	}
	return text
}

// TestSchemaIsSound looks for slips in the tags and tables.
func TestSchemaIsSound(t *testing.T) {
	s := theSchema()
	used := map[string]bool{}
	for typ, sh := range s.shapes {
		used[typ.Name()] = true
		for i := range sh.fields {
			f := &sh.fields[i]
			at := sh.name + "." + f.name
			if f.name == "" || f.doc == "" || strings.HasSuffix(f.doc, ".") {
				t.Errorf("%s: doc %q", at, f.doc)
			}
			if f.ref != "" && s.kind(f.ref) == nil {
				t.Errorf("%s: ref %q is no kind", at, f.ref)
			}
			if sh.kept[f.name] != nil {
				t.Errorf("%s: kept as well", at)
			}
			if f.when != "" && (sh.typeAt < 0 || typeField(sh).words.find(f.when) == nil) {
				t.Errorf("%s: when %q", at, f.when)
			}
			if f.class == classNumber && !f.required && !f.inRange(number(sh.zero.Field(f.index))) {
				t.Errorf("%s: default out of range", at)
			}
			if d := sh.zero.Field(f.index); f.class == classWord && d.String() != "" && f.words.find(d.String()).long != d.String() {
				t.Errorf("%s: default %q", at, d.String())
			}
		}
		if sh.keptAt < 0 {
			t.Errorf("%s has no Kept", sh.name)
		}
	}
	for name, fields := range keptFields {
		if !used[name] {
			t.Errorf("kept fields of %s, which there is not", name)
		}
		seen := map[string]bool{}
		for i := range fields {
			k := &fields[i]
			if seen[k.name] || !k.takes([]byte(k.defaultJSON())) {
				t.Errorf("kept %s.%s: twice, or its default %s is of another kind", name, k.name, k.defaultJSON())
			}
			seen[k.name] = true
		}
	}
}

// typeField is the field that "when" speaks of.
func typeField(sh *shape) *field {
	for i := range sh.fields {
		if sh.fields[i].index == sh.typeAt {
			return &sh.fields[i]
		}
	}
	return nil
}

// TestEnumerations holds that every spelling means one word, and that all words are found by all of theirs.
func TestEnumerations(t *testing.T) {
	for typ, e := range enumerations {
		for i := range e.words {
			w := &e.words[i]
			for _, text := range append([]string{w.long, strings.ToLower(w.long), e.short(w), strings.ToUpper(e.short(w)),
				strings.TrimPrefix(w.long, e.prefix)}, w.also...) {
				if e.find(text) != w {
					t.Errorf("%s: %q is not %s", typ.Name(), text, w.long)
				}
			}
		}
		if e.find("") != nil || e.find("nothing-such") != nil {
			t.Errorf("%s finds nothing-such", typ.Name())
		}
	}
}

// TestGoBuiltSet checks what only a set built in Go can have wrong.
func TestGoBuiltSet(t *testing.T) {
	p := New[Pool]("edge")
	p.Servers = []Server{NewServer(netip.MustParseAddrPort("10.0.0.1:5060")), {}}
	p.LBAlgorithm = "consistent-hash"
	p.LBAlgorithmHash = ""
	p.Kept = Kept{"lb_algorithms": []byte("1"), "routing_pool": []byte("1"), "autoscale_policy_ref": []byte(`"x`)}
	p.HealthMonitorRefs = []string{"/api/healthmonitor?name=System-SIP", ""}
	p.Description = "\xff"
	s := &Set{Pools: []*Pool{&p, {}}}
	want := strings.TrimSpace(`
Pool/edge: description: is not UTF-8
Pool/edge: servers[1].ip: missing: expected an IP address
Pool/edge: servers[1].ratio: 0 is out of range: must be 1 to 20
Pool/edge: lb_algorithm: "consistent-hash" must be written LB_ALGORITHM_CONSISTENT_HASH
Pool/edge: lb_algorithm_hash: missing: expected call-id, source-address, source-address-port, uri, header or custom-string
Pool/edge: health_monitor_refs[1]: missing: expected the name of a HealthMonitor
Pool/edge: autoscale_policy_ref: expected text
Pool/edge: lb_algorithms: unknown field; did you mean lb_algorithm?
Pool/edge: routing_pool: expected true or false
Pool[1]: name: missing: expected text
Pool[1]: default_server_port: 0 is out of range: must be 1 to 65535
Pool[1]: lb_algorithm: missing: expected consistent-hash, least-connections, round-robin, random, fewest-tasks, fastest-response, least-load, fewest-servers or core-affinity
Pool[1]: lb_algorithm_hash: missing: expected call-id, source-address, source-address-port, uri, header or custom-string
Pool[1]: server_disable_type: missing: expected disallow-new-connection or allow-new-connection-if-persistence-present
Pool[1]: max_conn_rate_per_server.rate_limiter.count: 0 is out of range: must be 1 to 1000000000
Pool[1]: max_conn_rate_per_server.rate_limiter.period: 0 is out of range: must be 1 to 1000000000
Pool[1]: server_transport: missing: expected same, udp, tcp or auto
Pool/edge: health_monitor_refs[0]: must be the name, "System-SIP"`)
	if got := fmt.Sprint(s.Validate()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if s.YAML(Full) == nil || s.JSON(SkipDefault) == nil { // a refused set can be printed, to be looked at
		t.Error("not printed")
	}
	s.Resolve()
	if s.Pools[0].HealthMonitorRefs[0] != "System-SIP" {
		t.Error(s.Pools[0].HealthMonitorRefs)
	}
}

// TestNewIsAlone checks that values from New share nothing that one of them could change.
func TestNewIsAlone(t *testing.T) {
	a, b := New[Pool]("a"), New[Pool]("a")
	a.Servers = append(a.Servers, NewServer(netip.MustParseAddrPort("10.0.0.1:1")))
	a.Kept = Kept{"autoscale_policy_ref": []byte(`""`)}
	if !reflect.DeepEqual(b, New[Pool]("a")) {
		t.Error("a change of one shows in another")
	}
}
