package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// A server that goes bad while calls run, in each of the ways there are, is taken out with evidence in the API; calls go on
// at the others; it comes back by itself, and is out for longer when it is still bad.
func TestPassiveHealth(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no passive health")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	for _, c := range []struct {
		name     string
		bad      lab.Conduct
		evidence string
		t1       time.Duration // of the caller
		lost     int           // calls that may fail
	}{
		{"503", lab.Conduct{Final: "503 Service Unavailable"}, `\d+ of \d+ requests were answered 503`, lab.Patient, mayBeLate},
		// A 5xx other than 503 is an answer, and goes to the caller.
		{"500", lab.Conduct{Final: "500 Server Internal Error"}, `\d+ of \d+ requests were answered 5xx`, lab.Patient, 1_000_000},
		// Calls that are up there are lost with it, on a machine that stands still for a second twenty; were none moved, 300 would fail.
		{"silent", lab.Conduct{Silent: true}, `\d+ of \d+ requests timed out`, 400 * time.Millisecond, 30},
		{"slow", lab.Conduct{After: 1500 * time.Millisecond}, `half of \d+ responses took more than \d+ ms in 10 s, the others' take \d+ ms`, lab.Patient, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startParty(t, lab.Setup{API: true}, "udp", lab.EdgePool{Name: "pool", Fields: "health_monitor_refs: [options], retry_budget_percent: 100",
				Servers: called("a", "b", "bad")})
			caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: p.b.Addr, Calls: 1_000_000, Rate: 60, T1: c.t1})
			lab.Until(t, "the server has calls", func() bool { return p.servers["bad"].Calls() > 5 })
			p.servers["bad"].Do(c.bad)
			ejections := func() float64 { return p.b.Sum("server_ejections_total", p.servers["bad"].Addr.String()) }
			back := p.awaitEjected("bad", c.evidence)
			if first := time.Until(back); first > 10*time.Second { // less: a busy machine is late to look
				t.Errorf("out for %v the first time, 10 s expected", first)
			}
			out := p.servers["bad"].Calls()
			p.awaitCalls("a", 100) // these are at the others
			if late := p.servers["bad"].Calls() - out; late > 3 && time.Now().Before(back) {
				t.Errorf("%d new calls at a server that is out", late)
			}
			lab.Until(t, "it came back and is out again", func() bool { return ejections() == 2 })
			if n := p.servers["bad"].Calls() - out; n < 5 {
				t.Errorf("it came back, and had %d calls", n)
			}
			second := time.Until(p.awaitEjected("bad", c.evidence))
			if second < 10*time.Second || second > 20*time.Second {
				t.Errorf("out for %v the second time, 20 s expected", second)
			}
			tally := caller.Quit()
			t.Logf("SIPp: %+v", tally)
			if tally.Failed > c.lost {
				t.Errorf("%d calls failed\n%s", tally.Failed, caller.Errors())
			}
		})
	}
}

// runtimeOf is a server's state as the API tells, and its reason in words.
func (p *party) runtimeOf(name string) (state, reason string) {
	p.t.Helper()
	addr := p.servers[name].Addr.String()
	uuid := p.b.API.Named("pool", "pool")["uuid"].(string)
	server := p.b.API.List("/api/pool/" + uuid + "/runtime/server?server=" + addr)[0]
	state, _ = server["state"].(string)
	return state, fmt.Sprint(server["oper_status"])
}

// awaitEjected waits until a server is out, checks the evidence, and tells until when it is out.
func (p *party) awaitEjected(name, evidence string) time.Time {
	p.t.Helper()
	reason := ""
	lab.Until(p.t, name+" is ejected", func() bool {
		var state string
		state, reason = p.runtimeOf(name)
		return state == "ejected"
	})
	m := regexp.MustCompile(evidence + `.*back at (\d\d:\d\d:\d\d)`).FindStringSubmatch(reason)
	if m == nil {
		p.t.Fatalf("the evidence is %q, expected %q", reason, evidence)
	}
	p.t.Log(strings.TrimSpace(reason))
	now := time.Now()
	at, err := time.ParseInLocation(time.DateTime, now.Format(time.DateOnly)+" "+m[1], time.Local)
	if err != nil {
		p.t.Fatal(err)
	}
	if at.Before(now.Add(-time.Hour)) { // past midnight
		at = at.AddDate(0, 0, 1)
	}
	return at
}

func (p *party) awaitState(name, want string) {
	p.t.Helper()
	lab.Until(p.t, name+" is "+want, func() bool {
		state, _ := p.runtimeOf(name)
		return state == want
	})
}

// awaitCalls waits until a server has so many calls more.
func (p *party) awaitCalls(name string, more int) {
	p.t.Helper()
	want := p.servers[name].Calls() + more
	lab.Until(p.t, fmt.Sprintf("%s has %d calls more", name, more), func() bool { return p.servers[name].Calls() >= want })
}

// Of four servers two go bad where a quarter may be out: one is out. Of the two of another pool one is out, and back at
// once when the other dies.
func TestPassiveHealthLimits(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no passive health")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	t.Run("share", func(t *testing.T) {
		t.Parallel()
		p := startParty(t, lab.Setup{API: true}, "udp", lab.EdgePool{Name: "pool", Servers: called("a", "b", "c", "d"),
			Fields: "retry_budget_percent: 100, inline_health_max_ejected: 25, health_monitor_refs: [options], server_reselect: {enabled: true, num_retries: 3}"})
		caller := p.caller(1_000_000, 100)
		p.servers["a"].Do(lab.Conduct{Final: "503 Service Unavailable"})
		p.servers["b"].Do(lab.Conduct{Final: "503 Service Unavailable"})
		lab.Until(t, "a server is out", func() bool { return p.ejected() == 1 })
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); { // five judgements
			if n := p.ejected(); n > 1 {
				t.Fatalf("%d servers are out, of four of which a quarter may be", n)
			}
		}
		if tally := caller.Quit(); tally.Failed > mayBeLate {
			t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
		}
	})
	t.Run("last one", func(t *testing.T) {
		t.Parallel()
		p := startParty(t, lab.Setup{API: true}, "udp", lab.EdgePool{Name: "pool", Servers: called("good", "bad"),
			Fields: "retry_budget_percent: 100, inline_health_max_ejected: 100, health_monitor_refs: [options]"})
		caller := p.caller(1_000_000, 100)
		p.servers["bad"].Do(lab.Conduct{Final: "503 Service Unavailable"})
		p.awaitEjected("bad", "answered 503")
		p.servers["good"].Stop()
		p.awaitState("good", "down")
		p.servers["bad"].Do(lab.Conduct{})
		p.awaitState("bad", "up")
		caller.Quit()
		if got := p.calls(100, 100); got["bad"] != 100 {
			t.Errorf("the last server got %d of 100 calls", got["bad"])
		}
	})
}

// ejected is how many servers are out.
func (p *party) ejected() int { return int(p.b.Sum("server_state", `state="ejected"`)) }

// A server that comes up again gets a tenth of its share at first and then more; known calls never move, and the others
// keep theirs.
func TestSlowStart(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no slow start")
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("takes some time")
	}
	p := startParty(t, lab.Setup{}, "udp", lab.EdgePool{Name: "pool", Servers: called("a", "fresh"), Fields: "connection_ramp_duration: 1, health_monitor_refs: [options]"})
	p.servers["fresh"].Stop()
	p.b.AwaitServers(1)
	finishCalls(t, p.caller(100, 100), 100)
	p.revive("fresh")
	p.b.AwaitServers(2)
	caller := p.caller(1_000_000, 120)
	addr := p.servers["fresh"].Addr.String()
	last := 0.0
	for step := 1; step <= 3; step++ {
		lab.Until(t, fmt.Sprintf("step %d", step), func() bool { return p.b.Sum("server_share_percent", addr) == float64(10*step) })
		before := p.count()
		lab.Until(t, fmt.Sprintf("500 calls or the end of step %d", step), func() bool {
			now := p.count()
			return now["a"]+now["fresh"]-before["a"]-before["fresh"] >= 500 || p.b.Sum("server_share_percent", addr) != float64(10*step)
		})
		now := p.count()
		fresh, total := now["fresh"]-before["fresh"], now["a"]+now["fresh"]-before["a"]-before["fresh"]
		part := float64(step) / 10
		expectShare(t, fmt.Sprintf("in step %d the server", step), fresh, total, part/(1+part))
		if share := float64(fresh) / float64(total); step == 3 && share < 1.2*last { // 2.5 times as many are expected; chance has less than 1.5 once in thousands
			t.Errorf("%.3f of the calls in step 3, %.3f in step 1", share, last)
		} else if step == 1 {
			last = share
		}
	}
	if tally := caller.Quit(); tally.Failed > 0 {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
}
