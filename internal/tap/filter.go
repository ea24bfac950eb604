package tap

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// criteria is a filter as workers hold messages against it: no allocation, the cheap things first.
type criteria struct {
	services map[string]bool // none: all
	callID   []byte
	method   string
	codes    report.Codes
	source   netip.Prefix
	server   string // as given
	serverIP netip.Addr
	serverAt netip.AddrPort
	from, to userPattern
	user     userPattern
	only     bool
	ofSIP    bool // something is asked of the message itself
}

// userPattern fits a user or number.
type userPattern struct {
	text []byte // without + before a number
	open bool   // anything may follow
}

func compileFilter(f *report.TraceFilter) criteria {
	c := criteria{services: map[string]bool{}, callID: []byte(f.CallID), method: f.Method, codes: f.Codes, source: f.Source, server: f.Server,
		from: pattern(f.From), to: pattern(f.To), user: pattern(f.User), only: f.Only || f.CallID != ""}
	for _, name := range f.Services {
		c.services[name] = true
	}
	if a, err := netip.ParseAddrPort(f.Server); err == nil {
		c.serverAt = a
	} else if a, err := netip.ParseAddr(f.Server); err == nil {
		c.serverIP = a
	}
	c.ofSIP = f.CallID != "" || f.Method != "" || !f.Codes.Any() || f.From != "" || f.To != "" || f.User != ""
	return c
}

func pattern(text string) userPattern {
	text, open := strings.CutSuffix(text, "*")
	return userPattern{[]byte(strings.TrimPrefix(text, "+")), open}
}

func (p *userPattern) any() bool { return len(p.text) == 0 && !p.open }

// fits reports whether the user of a URI fits.
func (p *userPattern) fits(m *sip.Msg, uri sip.Span) bool {
	if p.any() {
		return true
	}
	u, _ := sip.ParseURI(m.Buf, uri) // what cannot be read has no user
	user := bytes.TrimPrefix(m.Bytes(u.User), []byte("+"))
	if p.open {
		return bytes.HasPrefix(user, p.text)
	}
	return bytes.Equal(user, p.text)
}

// service reports whether messages of a service may be seen at all.
func (c *criteria) service(s *snapshot.Service) bool {
	return len(c.services) == 0 || c.services[s.Name]
}

// all holds a message against everything; m is nil for what is no SIP.
func (c *criteria) all(s *Sighting, m *sip.Msg) bool {
	if m == nil {
		return !c.ofSIP && c.service(s.Listener.Service) && c.ends(s)
	}
	if len(c.callID) > 0 && !bytes.Equal(m.Bytes(m.CallID), c.callID) {
		return false
	}
	if !c.codes.Any() && !c.code(s, m) {
		return false
	}
	if c.method != "" && c.method != string(methodIn(m)) {
		return false
	}
	if !c.service(s.Listener.Service) || !c.ends(s) {
		return false
	}
	return c.from.fits(m, m.From.URI) && c.to.fits(m, m.To.URI) &&
		(c.user.any() || c.user.fits(m, m.From.URI) || c.user.fits(m, m.To.URI))
}

// code reports whether a response, or the balancer's own answer to a request, has a status code that fits.
func (c *criteria) code(s *Sighting, m *sip.Msg) bool {
	return !m.IsRequest && c.codes.Has(m.Status) || m.IsRequest && s.Status >= 100 && s.Status <= 699 && s.Face != nil && c.codes.Has(s.Status)
}

// methodIn is the method of a request, or of a response's CSeq.
func methodIn(m *sip.Msg) []byte {
	if m.IsRequest {
		return m.Bytes(m.MethodText)
	}
	return m.Bytes(m.CSeqMethodText)
}

// ends holds where a message came from and went to against the filter.
func (c *criteria) ends(s *Sighting) bool {
	if c.source.IsValid() && !c.source.Contains(s.From.Addr()) && !c.source.Contains(s.To.Addr()) {
		return false
	}
	if c.server == "" {
		return true
	}
	if s.Server != nil && s.Server.Name == c.server {
		return true
	}
	for _, a := range [2]netip.AddrPort{s.From, s.To} {
		switch {
		case !a.IsValid():
		case a == c.serverAt || a.Addr() == c.serverIP:
			return true
		case !c.serverAt.IsValid() && !c.serverIP.IsValid():
			if sv := s.Listener.Service.ServerAt(a); sv != nil && sv.Name == c.server {
				return true
			}
		}
	}
	return false
}
