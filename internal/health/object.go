package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
)

// MonitorFrom makes an object ready for probing, over TLS with what is given for that. The object has passed its own
// validation; an error names what even so can't be probed with.
func MonitorFrom(hm *object.HealthMonitor, secure *identity.TLS) (Monitor, error) {
	mon := Monitor{
		Name:     hm.Name,
		Interval: time.Duration(hm.SendIntervalS) * time.Second, Timeout: time.Duration(hm.ReceiveTimeoutS) * time.Second,
		Rise: hm.SuccessfulChecks, Fall: hm.FailedChecks, Port: hm.MonitorPort,
		DisableQuickstart: hm.DisableQuickstart, JitterPercent: hm.JitterPercent,
	}
	switch hm.Type {
	case object.MonitorSIP:
		mon.Type = SIP
		mon.sipFrom(&hm.SIPMonitor)
		if hm.SIPMonitor.Transport == object.SIPOverTLS {
			mon.TLS, mon.ServerName = secure, hm.SIPMonitor.SSLAttributes.ServerName
			if secure == nil {
				return Monitor{}, fmt.Errorf("health: monitor %q: nothing to speak TLS with", hm.Name)
			}
		}
	case object.MonitorPing:
		mon.Type = Ping
	case object.MonitorUDP:
		u := &hm.UDPMonitor
		mon.Type, mon.Request, mon.Response, mon.Maintenance = UDP, u.UDPRequest, u.UDPResponse, u.MaintenanceResponse
	case object.MonitorTCP:
		t := &hm.TCPMonitor
		mon.Type, mon.Request, mon.Response, mon.Maintenance = TCP, t.TCPRequest, t.TCPResponse, t.MaintenanceResponse
	default:
		return Monitor{}, fmt.Errorf("health: monitor %q: type %s: none that can be probed", hm.Name, hm.Type)
	}
	if err := mon.check(); err != nil {
		return Monitor{}, fmt.Errorf("health: %w", err)
	}
	return mon, nil
}

func (mon *Monitor) sipFrom(s *object.SIPMonitor) {
	mon.SIPOverTCP = s.Transport != object.SIPOverUDP
	mon.SIPResponse, mon.RequestURI, mon.From, mon.MaxForwards = s.SIPResponse, s.SIPRequestURI, s.SIPFrom, s.MaxForwards
	var lines strings.Builder
	for _, h := range s.SIPHeaders {
		lines.WriteString(h + "\r\n")
	}
	mon.Headers = lines.String()
	if len(s.SIPResponseCodes) == 0 {
		mon.Codes = DefaultCodes()
		return
	}
	for status := 200; status <= 699; status++ {
		if s.Accepts(status) {
			mon.Codes.Add(status, status)
		}
	}
}
