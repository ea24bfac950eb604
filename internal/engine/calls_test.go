package engine

import (
	"testing"

	"github.com/carillon-sip/carillon/internal/report"
)

// Each Call-ID is told with its server, its age and the method of its last request, traced or not; what was answered counts as
// up until its BYE is.
func TestCallsTell(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", server)
	set.ApplicationProfiles[0].SIPServiceProfile.RecordRoute = true
	e, lb := start(t, set)
	step := func(method, call, branch string, status int) {
		client.send(lb, client.request(method, call, branch, ""))
		m, from := server.recv()
		server.answer(m, from, status, "So")
		client.recv()
	}
	list := func(q report.CallsQuery) map[string]report.Call {
		t.Helper()
		q.Limit = 10
		out := map[string]report.Call{}
		for _, c := range e.Calls(q).Results {
			out[c.Method] = c
		}
		return out
	}
	step("INVITE", "call-1", "a1", 200)
	step("OPTIONS", "call-2", "a2", 200)
	all := e.Calls(report.CallsQuery{Limit: 10})
	if all.Count != 2 || all.Servers[0].Calls != 2 || all.Servers[0].Up != 1 || all.Servers[0].Recent != 2 {
		t.Errorf("%+v", all)
	}
	calls := list(report.CallsQuery{})
	invite, options := calls["INVITE"], calls["OPTIONS"]
	if !invite.Up || options.Up || invite.Addr != server.addr || invite.Key == options.Key || invite.Seen != nil {
		t.Errorf("%+v\n%+v", invite, options)
	}
	for method, c := range calls {
		if c.AgeS < 0 || c.AgeS > 60 || c.IdleS == nil || *c.IdleS > c.AgeS || c.LeftS <= 0 {
			t.Errorf("%s: %+v", method, c)
		}
	}
	if invite.LeftS < 3600 || options.LeftS > 60 {
		t.Errorf("a call that is up stays for %.0f s, one that is known for %.0f s", invite.LeftS, options.LeftS)
	}
	if up := list(report.CallsQuery{Up: true}); len(up) != 1 || !up["INVITE"].Up {
		t.Errorf("up: %+v", up)
	}
	step("BYE", "call-1", "a3", 200)
	if got := list(report.CallsQuery{}); len(got) != 2 || got["BYE"].Up || got["BYE"].Key != invite.Key {
		t.Errorf("after the BYE: %+v", got)
	}
}
