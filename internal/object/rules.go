package object

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxPorts bounds the ports of one virtual service, ranges counted out, as Avi does.
const maxPorts = 2048

// rules checks what the fields of an object mean together.
func (c *checker) rules(a Any) {
	switch o := a.Value().(type) {
	case *VirtualService:
		c.virtualService(o)
	case *VsVip:
		c.vsVip(o)
	case *Pool:
		c.pool(o)
	case *HealthMonitor:
		c.healthMonitor(o)
	}
}

func (c *checker) virtualService(vs *VirtualService) {
	root := (*path)(nil)
	if vs.FQDN != "" && len(vs.DNSInfo) > 0 {
		c.fail(root.field("fqdn"), "give fqdn or dns_info, not both")
	}
	for i, sv := range vs.Services {
		at := root.field("services").item(i)
		switch {
		case sv.PortRangeEnd != 0 && sv.PortRangeEnd < sv.Port:
			c.fail(at.field("port_range_end"), strconv.Itoa(int(sv.PortRangeEnd))+" is below port "+strconv.Itoa(int(sv.Port)))
		case sv.PortRangeEnd != 0 && sv.Port == 0:
			c.fail(at.field("port"), "0 takes any free port, and cannot start a range")
		}
	}
	if total, _ := vs.portCount(); total > maxPorts {
		c.fail(root.field("services"), strconv.Itoa(total)+" ports: must be at most "+strconv.Itoa(maxPorts))
	}
}

// portCount is how many ports a virtual service listens on, and whether all of that is right.
func (vs *VirtualService) portCount() (total int, good bool) {
	good = true
	for i := range vs.Services {
		first, last := int(vs.Services[i].Port), int(vs.Services[i].PortRangeEnd)
		good = good && (last == 0 || last >= first && first > 0)
		total += max(first, last) - first + 1
	}
	return total, good && total <= maxPorts
}

func (c *checker) vsVip(v *VsVip) {
	ids := map[string]bool{}
	addrs := map[netip.Addr]bool{}
	for i := range v.Vip {
		vip := &v.Vip[i]
		at := (*path)(nil).field("vip").item(i)
		if vip.VipID != "" && ids[vip.VipID] {
			c.fail(at.field("vip_id"), quote(vip.VipID)+" is there twice")
		}
		ids[vip.VipID] = true
		if !vip.IPAddress.IsValid() && !vip.IP6Address.IsValid() {
			c.fail(at.field("ip_address"), "missing: expected an IP address here or in ip6_address")
		}
		if vip.IP6Address.IsValid() && !vip.IP6Address.Is6() {
			c.fail(at.field("ip6_address"), vip.IP6Address.String()+" is not an IPv6 address")
		}
		c.floating(at, "floating_ip", vip.FloatingIP, "ip_address", vip.IPAddress)
		c.floating(at, "floating_ip6", vip.FloatingIP6, "ip6_address", vip.IP6Address)
		for name, a := range map[string]netip.Addr{"ip_address": vip.IPAddress, "ip6_address": vip.IP6Address} {
			if a.IsValid() && addrs[a] {
				c.fail(at.field(name), a.String()+" is there twice")
			}
			addrs[a] = true
		}
	}
}

// floating checks an address that is advertised for another.
func (c *checker) floating(at *path, name string, a netip.Addr, forName string, forAddr netip.Addr) {
	switch {
	case !a.IsValid():
	case !forAddr.IsValid():
		c.fail(at.field(name), "there is no "+forName+" to advertise it for")
	case a.IsUnspecified():
		c.fail(at.field(name), a.String()+" cannot be advertised: expected an address that others can reach")
	case a.Is4() != forAddr.Is4():
		c.fail(at.field(name), a.String()+" is of type "+familyOf(a)+", but "+forName+" "+forAddr.String()+" is of type "+familyOf(forAddr))
	}
}

func (c *checker) pool(p *Pool) {
	root := (*path)(nil)
	c.servers(p)
	header := p.LBAlgorithm == ConsistentHash && p.LBAlgorithmHash == HashHeader
	switch {
	case header && p.HashHeaderName == "":
		c.fail(root.field("lb_algorithm_consistent_hash_hdr"), "missing: expected the name of the header field to hash")
	case p.HashHeaderName != "" && !isToken(p.HashHeaderName):
		c.fail(root.field("lb_algorithm_consistent_hash_hdr"), quote(p.HashHeaderName)+" is not the name of a header field")
	}
	if n := len(p.HealthMonitorRefs); p.MinHealthMonitorsUp > n {
		c.fail(root.field("min_health_monitors_up"), strconv.Itoa(p.MinHealthMonitorsUp)+" is more than the "+strconv.Itoa(n)+" in health_monitor_refs")
	}
}

// servers checks that every server has an address of its own.
func (c *checker) servers(p *Pool) {
	if len(p.Servers) > theSchema().kind("Pool").shape.byName["servers"].maxItems {
		return // told already
	}
	seen := make(map[netip.AddrPort]int, len(p.Servers))
	for i := range p.Servers {
		addr := p.ServerAddr(i)
		at := (*path)(nil).field("servers").item(i)
		if !addr.Addr().IsValid() {
			continue // told already
		}
		if addr.Addr().IsUnspecified() {
			c.fail(at.field("ip"), addr.Addr().String()+" is no server's address")
			continue
		}
		if first, twice := seen[addr]; twice {
			c.fail(at, addr.String()+" is servers["+strconv.Itoa(first)+"] already")
			continue
		}
		seen[addr] = i
		if !p.IgnoreServerPort {
			continue
		}
		alone := netip.AddrPortFrom(addr.Addr(), 0)
		if first, twice := seen[alone]; twice {
			c.fail(at, addr.Addr().String()+" is the address of servers["+strconv.Itoa(first)+"] too, and ignore_server_port makes them one")
			continue
		}
		seen[alone] = i
	}
}

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

// isToken reports whether text is a token, which the name of a header field is (RFC 3261 section 25.1).
func isToken(text string) bool {
	for _, b := range []byte(text) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, b) >= 0 {
			return false
		}
	}
	return text != ""
}

// isURI reports whether text can stand as a Request-URI: our own reader of URIs is on this floor, out of reach.
func isURI(text string) bool {
	scheme, rest, _ := strings.Cut(text, ":")
	known := slices.Contains([]string{"sip", "sips", "tel"}, strings.ToLower(scheme))
	return known && rest != "" && !strings.ContainsAny(rest, "<>\"") && !hasSpace(rest)
}

// hasSpace reports spaces, control characters and anything else that ends a URI.
func hasSpace(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// fromFault says what is wrong with a From value: it must be a URI, <URI> or name <URI>, its tag left to the probe.
func fromFault(text string) string {
	uri := text
	if open := strings.LastIndexByte(text, '<'); open >= 0 {
		var after string
		uri, after, _ = strings.Cut(text[open+1:], ">")
		if strings.TrimSpace(after) != "" {
			return quote(strings.TrimSpace(after)) + " stands behind the URI: expected sip:user@host or Name <sip:user@host>"
		}
		if !strings.Contains(text[open:], ">") {
			return "< has no >: expected Name <sip:user@host>"
		}
	} else if strings.Contains(uri, ";") {
		return "a URI with parameters must stand in < and >"
	}
	if text == "" || isURI(uri) && !hasControl(text) {
		return ""
	}
	return quote(text) + " is not a From: expected sip:user@host or Name <sip:user@host>"
}

// probeOwn are the header fields that a SIP probe writes itself, with their short forms.
var probeOwn = strings.Fields("via v from f to t call-id i cseq max-forwards contact m content-length l")

// headerFault says what is wrong with "Name: value".
func headerFault(line string) string {
	name, _, ok := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	switch {
	case !ok || !isToken(name) || hasControl(line):
		return quote(line) + " is not a header field: expected 'Name: value' on one line"
	case slices.Contains(probeOwn, strings.ToLower(name)):
		return "the probe writes " + name + " itself; see sip_from, sip_request_uri and max_forwards"
	}
	return ""
}

// CodeRange is the status codes Low to High, both included.
type CodeRange struct{ Low, High int }

// parseCodes reads 200, 200-299 or 2xx. A probe waits for a final response, so none is below 200.
func parseCodes(text string) (r CodeRange, fault string) {
	low, high, isRange := strings.Cut(text, "-")
	switch {
	case len(text) == 3 && strings.EqualFold(text[1:], "xx"):
		low, high = text[:1]+"00", text[:1]+"99"
	case !isRange:
		high = low
	}
	r.Low, r.High = code(low), code(high)
	if r.Low == 0 || r.High == 0 || r.High < r.Low {
		return r, quote(text) + " is no final status code: expected one such as 200, 200-299 or 4xx, within 200 to 699"
	}
	return r, ""
}

// code reads a final status code, 0 when it is none.
func code(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || n < 200 || n > 699 {
		return 0
	}
	return n
}

// Codes returns the status codes that count as good, in the order given; nil means any final one but 408 and 503.
// Words that Validate would refuse are left out.
func (m *SIPMonitor) Codes() []CodeRange {
	var out []CodeRange
	for _, text := range m.SIPResponseCodes {
		if r, fault := parseCodes(text); fault == "" {
			out = append(out, r)
		}
	}
	return out
}

// Accepts reports whether a probe that got a response of that status is good.
func (m *SIPMonitor) Accepts(status int) bool {
	if len(m.SIPResponseCodes) == 0 {
		return status >= 200 && status <= 699 && status != 408 && status != 503
	}
	return slices.ContainsFunc(m.Codes(), func(r CodeRange) bool { return status >= r.Low && status <= r.High })
}
