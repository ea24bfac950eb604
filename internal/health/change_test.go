package health

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestApplyKeeps: what a change of configuration leaves alone keeps state, history and schedule.
func TestApplyKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		a, b := sipMonitor("a"), sipMonitor("b")
		apply(t, m, server1(a))
		after(20 * time.Second)
		at := f.probes(time.Now())
		last := at[len(at)-1]
		before, _ := m.ServerStatus("p", server1().Server)
		log.take(time.Now())

		// The same again, in new memory, with another server and another monitor of that.
		other := Target{Pool: "p", Server: netip.MustParseAddrPort("10.0.0.2:5060"), Monitors: []Monitor{b}}
		apply(t, m, other, server1(sipMonitor("a")))
		now := time.Now()
		if got, _ := m.ServerStatus("p", server1().Server); got.Since != before.Since || got.Monitors[0].Checks != before.Monitors[0].Checks {
			t.Errorf("history lost: %+v", got)
		}
		if m.State("p", server1().Server) != Up {
			t.Error("state lost")
		}
		after(10 * time.Second)
		var at1 []time.Duration
		f.mu.Lock()
		for _, p := range f.sent {
			if p.addr == server1().Server {
				at1 = append(at1, p.at.Sub(now))
			}
		}
		f.mu.Unlock()
		same(t, "probes of the server that stayed", at1, []time.Duration{10*time.Second + last})
		if got := log.take(now); len(got) != 1 || !strings.Contains(got[0], "10.0.0.2") {
			t.Errorf("changes %v", got)
		}
	})
}

// TestApplyChangedMonitor: the health stays, the check is made anew at once, the old one under way is given up.
func TestApplyChangedMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		mon := sipMonitor("a")
		apply(t, m, server1(mon))
		after(time.Second)
		f.answer(silent)
		m.Kick("p", server1().Server)
		after(time.Second) // a check is under way
		log.take(time.Now())
		f.probes(time.Now())
		f.answer(failing)
		mon.Interval, mon.Port = 5*time.Second, 5099
		start := time.Now()
		apply(t, m, server1(mon))
		if m.State("p", server1().Server) != Up {
			t.Error("state lost")
		}
		after(400 * time.Millisecond)
		f.mu.Lock()
		if len(f.sent) != 1 || f.sent[0].addr.Port() != 5099 {
			t.Errorf("probes %v", f.sent)
		}
		f.mu.Unlock()
		after(time.Second)
		same(t, "changes", log.take(start), []string{"501ms 10.0.0.1:5060 OPER_DOWN PORT_UNREACHABLE"})
		st, _ := m.ServerStatus("p", server1().Server)
		if st.Monitors[0].Port != 5099 || st.Monitors[0].Checks < 4 {
			t.Errorf("%+v", st.Monitors[0])
		}
	})
}

// TestApplyAddedAndRemovedMonitors: a new monitor takes no server out before it has spoken; with none left the server is up.
func TestApplyAddedAndRemovedMonitors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		start := time.Now()
		apply(t, m, server1())
		synctest.Wait()
		same(t, "without monitors", log.take(start), []string{"0s 10.0.0.1:5060 OPER_UP NO_MONITOR"})
		f.answer(silent)
		apply(t, m, server1(sipMonitor("a")))
		after(7 * time.Second)
		if m.State("p", server1().Server) != Up {
			t.Error("down before the monitor has spoken")
		}
		after(2 * time.Second)
		same(t, "with one that fails", log.take(start), []string{"8s 10.0.0.1:5060 OPER_DOWN NO_RESPONSE"})
		apply(t, m, server1())
		synctest.Wait()
		same(t, "without again", log.take(start), []string{"9s 10.0.0.1:5060 OPER_UP NO_MONITOR"})
		f.probes(start)
		after(time.Minute)
		if n := len(f.probes(start)); n != 0 {
			t.Errorf("%d probes of a monitor that is gone", n)
		}
		apply(t, m)
		if m.State("p", server1().Server) != Unknown {
			t.Error("known, but not watched")
		}
	})
}

// TestSeveralMonitors: all must pass, or as many as min_health_monitors_up says.
func TestSeveralMonitors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		broken := map[string]bool{"b": true}
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			if broken[c.mon.Name] {
				return failing(c)
			}
			return passing(c)
		})
		start := time.Now()
		target := server1(sipMonitor("a"), sipMonitor("b"), sipMonitor("c"))
		apply(t, m, target)
		after(time.Second)
		same(t, "all must pass", log.take(start), []string{"501.5ms 10.0.0.1:5060 OPER_DOWN PORT_UNREACHABLE"})
		target.MinUp = 2
		apply(t, m, target)
		synctest.Wait()
		same(t, "two must pass", log.take(start), []string{"1s 10.0.0.1:5060 OPER_UP SUCCESS"})
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			if c.mon.Name != "a" {
				return failing(c)
			}
			return passing(c)
		})
		after(30 * time.Second)
		got := log.take(start)
		if len(got) != 1 || !strings.HasSuffix(got[0], "OPER_DOWN INSUFFICIENT_HEALTH_MONITORS_UP") {
			t.Errorf("changes %v", got)
		}
	})
}

func TestPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		target := server1(sipMonitor("a"))
		apply(t, m, target)
		after(time.Second)
		f.answer(failing)
		log.take(time.Now())
		target.Paused = true
		apply(t, m, target)
		f.probes(time.Now())
		m.Kick("p", target.Server)
		after(time.Minute)
		if n := len(f.probes(time.Now())); n != 0 || m.State("p", target.Server) != Up {
			t.Errorf("%d probes while paused, state %v", n, m.State("p", target.Server))
		}
		target.Paused = false
		apply(t, m, target)
		start := time.Now()
		after(time.Second)
		same(t, "changes", log.take(start), []string{"501ms 10.0.0.1:5060 OPER_DOWN PORT_UNREACHABLE"})
	})
}

// TestLocalMoves: when the address of the service moves, probes leave from the new one at once; health stays.
func TestLocalMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{})
		target := server1(sipMonitor("a"))
		target.Local = netip.MustParseAddrPort("10.0.0.100:5060")
		apply(t, m, target)
		after(time.Second)
		var from []netip.AddrPort
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			from = append(from, c.local)
			return passing(c)
		})
		target.Local = netip.MustParseAddrPort("10.0.0.101:5060")
		apply(t, m, target)
		if m.State("p", target.Server) != Up {
			t.Error("state lost")
		}
		after(100 * time.Millisecond)
		if len(from) != 1 || from[0] != target.Local {
			t.Errorf("probed from %v", from)
		}
	})
}

// TestNotSent: what this machine can't do says nothing about servers.
func TestNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		apply(t, m, server1(sipMonitor("a")))
		after(time.Second)
		log.take(time.Now())
		f.answer(func(*check) (time.Duration, outcome, bool) {
			return -1, outcome{code: ProbeNotSent, detail: "too many open files"}, true
		})
		after(time.Minute)
		if got := log.take(time.Now()); got != nil {
			t.Errorf("changes %v", got)
		}
		st, _ := m.ServerStatus("p", server1().Server)
		if mon := st.Monitors[0]; mon.State != Up || mon.Failed != 0 || mon.Detail != "too many open files" ||
			len(mon.Counts) != 1 || mon.Counts[0].Code != ProbeNotSent {
			t.Errorf("%+v", mon)
		}
	})
}

// TestOnChangeMayCall: the callback may ask and change the Manager, and while it is busy only the latest change of a server waits.
func TestOnChangeMayCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *Manager
		var heard []Change
		release := make(chan bool)
		m, f, _ := newFake(t, Config{OnChange: func(c Change) {
			m.State(c.Pool, c.Server)
			m.ServerStatus(c.Pool, c.Server)
			heard = append(heard, c)
			<-release
		}})
		mon := sipMonitor("a")
		mon.Rise, mon.Fall, mon.Interval = 1, 1, time.Second
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			if c.hist.checks%2 == 1 {
				return failing(c)
			}
			return passing(c)
		})
		apply(t, m, server1(mon))
		after(time.Minute)
		if len(heard) != 1 {
			t.Fatalf("heard %d", len(heard))
		}
		release <- true
		synctest.Wait()
		if len(heard) != 2 || heard[1].State != m.State("p", mon1Server) || heard[1].At.Sub(heard[0].At) < 50*time.Second {
			t.Errorf("heard %v", heard)
		}
		close(release)
	})
}

var mon1Server = server1().Server

func TestRefusedTargets(t *testing.T) {
	m, _, _ := newFake(t, Config{})
	for _, test := range []struct {
		want string
		edit func(*Target)
	}{
		{"an address without zone, and a port", func(t *Target) { t.Server = netip.AddrPort{} }},
		{"an address without zone, and a port", func(t *Target) { t.Server = netip.MustParseAddrPort("[fe80::1%eth0]:5060") }},
		{"an address without zone, and a port", func(t *Target) { t.Server = netip.MustParseAddrPort("10.0.0.1:0") }},
		{`monitor "a": there twice`, func(t *Target) { t.Monitors = append(t.Monitors, t.Monitors[0]) }},
		{"Interval is 0s", func(t *Target) { t.Monitors[0].Interval = 0 }},
		{"Timeout is 0s", func(t *Target) { t.Monitors[0].Timeout = 0 }},
		{"Rise, Fall is [0 2]", func(t *Target) { t.Monitors[0].Rise = 0 }},
		{"JitterPercent is 51", func(t *Target) { t.Monitors[0].JitterPercent = 51 }},
		{"MaxForwards is 256", func(t *Target) { t.Monitors[0].MaxForwards = 256 }},
		{"RequestURI", func(t *Target) { t.Monitors[0].RequestURI = "sip:a@b SIP/2.0\r\nX: y" }},
		{"From", func(t *Target) { t.Monitors[0].From = "<sip:a@b>\r\nX: y" }},
		{"Headers", func(t *Target) { t.Monitors[0].Headers = "X: y" }},
		{"Headers", func(t *Target) { t.Monitors[0].Headers = "\r\nINVITE sip:a@b SIP/2.0\r\n" }},
		{"Headers", func(t *Target) { t.Monitors[0].Headers = "X: y\nZ: z\r\n" }},
		{"Headers is Call-ID", func(t *Target) { t.Monitors[0].Headers = "call-id: x\r\n" }},
		{"less octets", func(t *Target) { t.Monitors[0].Headers = "X: " + strings.Repeat("y", maxOwnText) + "\r\n" }},
		{"Type", func(t *Target) { t.Monitors[0].Type = 9 }},
	} {
		target := server1(sipMonitor("a"))
		test.edit(&target)
		if err := m.Apply([]Target{target}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	if err := m.Apply([]Target{server1(), server1()}); err == nil || !strings.Contains(err.Error(), "there twice") {
		t.Errorf("error %v", err)
	}
	if n := len(m.Status()); n != 0 {
		t.Errorf("%d servers watched after errors", n)
	}
}

func TestAfterClose(t *testing.T) {
	m, _, _ := newFake(t, Config{})
	apply(t, m, server1(sipMonitor("a")))
	m.Close()
	m.Close()
	if m.Apply(nil) == nil {
		t.Error("Apply works after Close")
	}
	m.Kick("p", mon1Server)
	m.Deliver(mon1Server, []byte("x"))
	if m.Status() != nil {
		t.Error("status after Close")
	}
}
