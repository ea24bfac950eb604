//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Course is what the wire says about one call of a caller: INVITE to BYE through the balancer.
type Course struct {
	ID       string
	Messages []Message
	Start    time.Time        // of the caller's first INVITE
	Server   netip.AddrPort   // the server that answered the INVITE first; zero if none did
	Reached  []netip.AddrPort // every server that got a request of the call, in order
	Provisional,
	Answered, // the caller got a 200 to its INVITE
	Confirmed, // the server got an ACK
	Ended bool // the caller got a 200 to its BYE
	Moved bool // a request within the dialog went to another server than the one that answered
}

// Complete says that the call went all the way.
func (c *Course) Complete() bool { return c.Answered && c.Confirmed && c.Ended }

// Courses reads the calls that the caller placed, in the order of their start.
func (calls Calls) Courses(caller netip.AddrPort, servers []netip.AddrPort) []*Course {
	var out []*Course
	for _, id := range calls.IDs {
		messages := calls.ByID[id]
		if first := messages[0]; first.Src == caller && first.Method() == "INVITE" && !first.IsResponse() {
			c := &Course{ID: id, Messages: messages, Start: first.At}
			c.read(caller, servers)
			out = append(out, c)
		}
	}
	return out
}

func (c *Course) read(caller netip.AddrPort, servers []netip.AddrPort) {
	// A server that refused the INVITE gets the ACK to that, with the INVITE's branch (RFC 3261 17.1.1.3).
	attempts := make(map[string]bool)
	for _, m := range c.Messages {
		switch {
		case m.IsResponse() && slices.Contains(servers, m.Src):
			if !c.Server.IsValid() && m.Method() == "INVITE" && m.Status() == 200 {
				c.Server = m.Src
			}
		case m.IsResponse() && m.Dst == caller:
			c.Provisional = c.Provisional || m.Status() == 180
			c.Answered = c.Answered || m.Status() == 200 && m.Method() == "INVITE"
			c.Ended = c.Ended || m.Status() == 200 && m.Method() == "BYE"
		case !m.IsResponse() && slices.Contains(servers, m.Dst):
			if !slices.Contains(c.Reached, m.Dst) {
				c.Reached = append(c.Reached, m.Dst)
			}
			switch {
			case m.Method() == "INVITE":
				attempts[m.Branch()] = true
			case m.Method() == "ACK" && attempts[m.Branch()]:
			default:
				c.Confirmed = c.Confirmed || m.Method() == "ACK"
				c.Moved = c.Moved || m.Dst != c.Server
			}
		}
	}
}

// Faults collects what is wrong with calls: each kind of fault is counted, and shown by the ladders of the first two.
type Faults struct {
	Names Names
	kinds []string
	calls map[string][][]Message
}

// Add notes a fault of a call.
func (f *Faults) Add(messages []Message, format string, args ...any) {
	kind := fmt.Sprintf(format, args...)
	if f.calls == nil {
		f.calls = make(map[string][][]Message)
	}
	if !slices.Contains(f.kinds, kind) {
		f.kinds = append(f.kinds, kind)
	}
	f.calls[kind] = append(f.calls[kind], messages)
}

// Report fails the test if there were faults.
func (f *Faults) Report(t testing.TB) {
	t.Helper()
	for _, kind := range f.kinds {
		var ladders []string
		for _, messages := range f.calls[kind][:min(2, len(f.calls[kind]))] {
			ladders = append(ladders, f.Names.Ladder(messages))
		}
		t.Errorf("%d calls: %s\n%s", len(f.calls[kind]), kind, strings.Join(ladders, ""))
	}
}
