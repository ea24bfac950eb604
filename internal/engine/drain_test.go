package engine

import (
	"strings"
	"testing"
	"time"
)

// The status of a server that drains says how many calls are left, how fast they end and until when they may.
func TestDrainStatus(t *testing.T) {
	set := load(t, strings.Replace(rampYAML, `{name: vs, `, `{name: vs, application_profile_ref: app, `, 1)+`
ApplicationProfile: [{name: app, type: sip, sip_service_profile: {record_route: true}}]
`)
	set.Pools[0].Servers[0].Enabled = false
	set.Pools[0].GracefulDisableTimeoutMin = 30
	e := startQuietly(t, set)
	e.mu.Lock()
	p := e.live.Load().snap.Pools[0]
	sv := p.Servers[0]
	clear(e.ebbs)                                    // of seconds that have passed already
	for _, calls := range []int64{100, 99, 98, 97} { // one ends each second
		sv.State.Dialogs.Store(calls)
		e.noteDrains()
	}
	d := e.drainStatus(p, sv)
	said := ""
	if d != nil {
		said = d.String()
	}
	other := e.drainStatus(p, p.Servers[1])
	e.mu.Unlock()
	if d == nil || d.Calls != 97 || d.PerMinute != 60 || d.Expected != 97*time.Second || time.Until(d.Deadline) > 30*time.Minute {
		t.Errorf("%+v", d)
	}
	if other != nil {
		t.Errorf("one that does not drain: %+v", other)
	}
	if want := "97 calls left, 60.0 end a minute, empty in about 1m37s, disabled at "; !strings.HasPrefix(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if s := e.Status().Pools[0].Servers[0]; s.CallsUp != 97 || !strings.HasPrefix(s.Reason, "97 calls left, ") { // the rate falls with each second from now on
		t.Errorf("%d calls up, %q", s.CallsUp, s.Reason)
	}
}
