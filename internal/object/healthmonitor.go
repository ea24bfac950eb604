package object

import (
	"slices"
	"strconv"
)

// HealthMonitor says how servers are probed.
type HealthMonitor struct {
	Name              string      `json:"name" required:"" doc:"unique among health monitors"`
	UUID              string      `json:"uuid" doc:"references may name the object by it"`
	Description       string      `json:"description" doc:"free text"`
	Type              MonitorType `json:"type" required:"" doc:"kind of probe"`
	SendIntervalS     int         `json:"send_interval" default:"10" range:"1..3600" unit:"s" doc:"time between probes"`
	ReceiveTimeoutS   int         `json:"receive_timeout" default:"4" range:"1..2400" unit:"s" doc:"time for an answer; less than send_interval"`
	SuccessfulChecks  int         `json:"successful_checks" default:"2" range:"1..50" doc:"good probes in a row that bring a server up"`
	FailedChecks      int         `json:"failed_checks" default:"2" range:"1..50" doc:"failed probes in a row that take a server down"`
	MonitorPort       uint16      `json:"monitor_port" default:"0" range:"0..65535" special:"0 is the server's port" doc:"port to probe"`
	DisableQuickstart bool        `json:"disable_quickstart" default:"false" doc:"true: no quick succession of probes after start to settle the first state"`
	JitterPercent     int         `json:"jitter_percent" default:"10" range:"0..50" unit:"%" own:"" doc:"spread of send_interval, so that probes do not march in step"`
	SIPMonitor        SIPMonitor  `json:"sip_monitor" when:"HEALTH_MONITOR_SIP" doc:"the SIP probe"`
	UDPMonitor        UDPMonitor  `json:"udp_monitor" when:"HEALTH_MONITOR_UDP" doc:"the UDP probe"`
	TCPMonitor        TCPMonitor  `json:"tcp_monitor" when:"HEALTH_MONITOR_TCP" doc:"the TCP probe"`
	Kept              Kept        `json:"-"`
}

// SIPMonitor is the probe of a HealthMonitor of type HEALTH_MONITOR_SIP.
type SIPMonitor struct {
	SIPRequestCode   SIPRequestCode `json:"sip_request_code" default:"SIP_OPTIONS" doc:"request to send"`
	SIPResponse      string         `json:"sip_response" default:"SIP/2.0" doc:"text that must stand in the first 2 KB of the response; empty: any"`
	Transport        SIPTransport   `json:"sip_monitor_transport" default:"SIP_UDP_PROTO" doc:"transport of the probe, whatever that of the calls is; TCP and TLS: a connection for each"`
	SSLAttributes    SSLAttributes  `json:"ssl_attributes" own:"" optional:"" doc:"what TLS is spoken with where the probe goes over it; none: what the pool has for calls"`
	SIPRequestURI    string         `json:"sip_request_uri" own:"" doc:"Request-URI; empty: sip: and the server's address and port"`
	SIPFrom          string         `json:"sip_from" own:"" doc:"From without its tag, as a URI or name and <URI>; empty: our own"`
	SIPHeaders       []string       `json:"sip_headers" own:"" items:"0..32" doc:"more header fields, each 'Name: value'"`
	SIPResponseCodes []string       `json:"sip_response_codes" own:"" digits:"" items:"0..64" doc:"status codes that count as good: 200, 200-299 or 4xx; empty: any final response but 408 and 503"`
	MaxForwards      int            `json:"max_forwards" default:"70" range:"1..255" own:"" doc:"Max-Forwards of the probe"`
	Kept             Kept           `json:"-"`
}

// SSLAttributes is what TLS is spoken with.
type SSLAttributes struct {
	SSLProfileRef           string `json:"ssl_profile_ref" required:"" ref:"SSLProfile" doc:"versions and ciphers"`
	SSLKeyAndCertificateRef string `json:"ssl_key_and_certificate_ref" ref:"SSLKeyAndCertificate" doc:"certificate that is shown to servers"`
	PKIProfileRef           string `json:"pki_profile_ref" ref:"PKIProfile" doc:"servers must show a certificate that these authorities have signed, for server_name, or their hostname or address (RFC 5922); none: any is taken"`
	ServerName              string `json:"server_name" doc:"name that the certificate of every server must have, and that is asked for; none: its hostname or address"`
	Kept                    Kept   `json:"-"`
}

// UDPMonitor is the probe of a HealthMonitor of type HEALTH_MONITOR_UDP.
type UDPMonitor struct {
	UDPRequest          string `json:"udp_request" doc:"datagram to send"`
	UDPResponse         string `json:"udp_response" doc:"text that must stand in the first 2 KB of the answer; empty: any, and silence without an ICMP error is good"`
	MaintenanceResponse string `json:"maintenance_response" doc:"text in the answer that says the server is in maintenance"`
	Kept                Kept   `json:"-"`
}

// TCPMonitor is the probe of a HealthMonitor of type HEALTH_MONITOR_TCP.
type TCPMonitor struct {
	TCPRequest          string `json:"tcp_request" doc:"bytes to send; empty: the connection alone is the probe"`
	TCPResponse         string `json:"tcp_response" doc:"text that must stand in the first 2 KB of the answer; empty: any"`
	MaintenanceResponse string `json:"maintenance_response" doc:"text in the answer that says the server is in maintenance"`
	Kept                Kept   `json:"-"`
}

var healthMonitorKept = slices.Concat(
	noted(keptObject, `dns_monitor external_monitor ftp_monitor ftps_monitor http_monitor https_monitor imap_monitor imaps_monitor
		ldap_monitor ldaps_monitor pop3_monitor pop3s_monitor radius_monitor sctp_monitor smtp_monitor smtps_monitor`),
	quiet(keptBool, `allow_duplicate_monitors is_federated`),
	noted(keptObject, `authentication`),
)

var tcpMonitorKept = slices.Concat(
	noted(keptBool, `tcp_half_open`),
)

func (c *checker) healthMonitor(m *HealthMonitor) {
	root := (*path)(nil)
	if m.ReceiveTimeoutS >= m.SendIntervalS {
		c.fail(root.field("receive_timeout"), strconv.Itoa(m.ReceiveTimeoutS)+" s must be less than send_interval, "+strconv.Itoa(m.SendIntervalS)+" s")
	}
	if m.Type != MonitorSIP {
		return
	}
	s, at := &m.SIPMonitor, root.field("sip_monitor")
	if s.SIPRequestURI != "" && !isURI(s.SIPRequestURI) {
		c.fail(at.field("sip_request_uri"), quote(s.SIPRequestURI)+" is not a URI: expected sip:..., sips:... or tel:...")
	}
	if fault := fromFault(s.SIPFrom); fault != "" {
		c.fail(at.field("sip_from"), fault)
	}
	for i, line := range s.SIPHeaders {
		if fault := headerFault(line); fault != "" {
			c.fail(at.field("sip_headers").item(i), fault)
		}
	}
	for i, text := range s.SIPResponseCodes {
		if _, fault := parseCodes(text); fault != "" {
			c.fail(at.field("sip_response_codes").item(i), fault)
		}
	}
}
