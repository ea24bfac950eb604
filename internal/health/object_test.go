package health

import (
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
)

// monitorOf loads one health monitor from YAML, as a user writes it.
func monitorOf(t *testing.T, fields string) (Monitor, error) {
	t.Helper()
	text := "HealthMonitor:\n- name: hm\n  " + strings.ReplaceAll(strings.TrimSpace(fields), "\n", "\n  ") + "\n"
	set, err := object.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return MonitorFrom(set.HealthMonitor("hm"), identity.Any)
}

// TestMonitorFromDefaults: Avi's defaults, and ours.
func TestMonitorFromDefaults(t *testing.T) {
	got, err := monitorOf(t, "type: HEALTH_MONITOR_SIP")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "monitor", got, Monitor{
		Name: "hm", Type: SIP, Interval: 10 * time.Second, Timeout: 4 * time.Second, Rise: 2, Fall: 2, JitterPercent: 10,
		SIPResponse: "SIP/2.0", MaxForwards: 70, Codes: DefaultCodes(),
	})
	for status, want := range map[int]bool{100: false, 199: false, 200: true, 302: true, 401: true, 408: false, 483: true, 503: false, 500: true, 699: true, 700: false, -1: false} {
		if got.Codes.Has(status) != want {
			t.Errorf("%d passes: %v", status, !want)
		}
	}
}

func TestMonitorFromAllFields(t *testing.T) {
	for _, test := range []struct {
		fields string
		want   Monitor
	}{
		{`
type: sip
send_interval: 30
receive_timeout: 5
successful_checks: 3
failed_checks: 4
monitor_port: 5070
disable_quickstart: true
jitter_percent: 50
sip_monitor:
  sip_request_code: SIP_OPTIONS
  sip_response: OK
  sip_monitor_transport: SIP_UDP_PROTO
  sip_request_uri: sip:ping@example.com
  sip_from: sip:lb@example.com
  sip_headers: ["X-A: 1", "X-B: 2"]
  sip_response_codes: ["200", "404"]
  max_forwards: 1
`, Monitor{
			Name: "hm", Type: SIP, Interval: 30 * time.Second, Timeout: 5 * time.Second, Rise: 3, Fall: 4, Port: 5070, DisableQuickstart: true,
			JitterPercent: 50, SIPResponse: "OK", RequestURI: "sip:ping@example.com", From: "sip:lb@example.com", Headers: "X-A: 1\r\nX-B: 2\r\n",
			MaxForwards: 1, Codes: CodeSet{3: 1 << (200 - 192), 6: 1 << (404 - 384)},
		}},
		{"type: ping", Monitor{Type: Ping}},
		{"type: udp\nudp_monitor: {udp_request: a, udp_response: b, maintenance_response: c}",
			Monitor{Type: UDP, Request: "a", Response: "b", Maintenance: "c"}},
		{"type: tcp\ntcp_monitor: {tcp_request: a, tcp_response: b, maintenance_response: c}",
			Monitor{Type: TCP, Request: "a", Response: "b", Maintenance: "c"}},
	} {
		if test.want.Name == "" {
			d, _ := monitorOf(t, "type: ping")
			d.Type, d.Request, d.Response, d.Maintenance = test.want.Type, test.want.Request, test.want.Response, test.want.Maintenance
			test.want = d
		}
		got, err := monitorOf(t, test.fields)
		if err != nil {
			t.Fatal(err)
		}
		same(t, test.fields, got, test.want)
	}
}

func TestMonitorFromRefuses(t *testing.T) {
	hm := object.HealthMonitor{Name: "hm", Type: "HEALTH_MONITOR_HTTP"}
	if _, err := MonitorFrom(&hm, nil); err == nil || !strings.Contains(err.Error(), "HEALTH_MONITOR_HTTP") {
		t.Errorf("error %v", err)
	}
}

// TestMonitorFromTransport: any spelling of TCP is TCP, and nothing else is.
func TestMonitorFromTransport(t *testing.T) {
	for word, tcp := range map[string]bool{"udp": false, "SIP_UDP_PROTO": false, "tcp": true, "SIP_TCP_PROTO": true, "tls": true, "SIP_TLS_PROTO": true} {
		mon, err := monitorOf(t, "type: sip\nsip_monitor: {sip_monitor_transport: "+word+"}")
		if err != nil || mon.SIPOverTCP != tcp || (mon.TLS != nil) != strings.Contains(strings.ToLower(word), "tls") {
			t.Errorf("%s: over TCP %v, %v", word, mon.SIPOverTCP, err)
		}
	}
}
