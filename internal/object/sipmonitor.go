package object

import (
	"slices"
	"strconv"
	"strings"
)

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
