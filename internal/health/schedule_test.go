package health

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func ms(at ...int) []time.Duration {
	var ds []time.Duration
	for _, a := range at {
		ds = append(ds, time.Duration(a)*time.Millisecond)
	}
	return ds
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// after lets d of the bubble's time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestQuickStartUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		start := time.Now()
		if m.State("p", server1().Server) != Unknown {
			t.Error("not watched, yet not unknown")
		}
		apply(t, m, server1(sipMonitor("a")))
		if m.State("p", server1().Server) != Unknown {
			t.Error("not checked, yet not unknown")
		}
		after(700 * time.Millisecond)
		same(t, "probes", f.probes(start), ms(0, 500))
		same(t, "changes", log.take(start), []string{"501ms 10.0.0.1:5060 OPER_UP SUCCESS"})
		if m.State("p", server1().Server) != Up {
			t.Error("not up")
		}
		// From then on one each 10 s, from a time within the first 10 s.
		after(100 * time.Second)
		at := f.probes(start)
		if at[0] < 500*time.Millisecond || at[0] > 10500*time.Millisecond {
			t.Errorf("first probe after quick start at %v", at[0])
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] != 10*time.Second {
				t.Errorf("probes at %v and %v", at[i-1], at[i])
			}
		}
	})
}

func TestQuickStartDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		start := time.Now()
		f.answer(silent)
		apply(t, m, server1(sipMonitor("a")))
		after(8100 * time.Millisecond)
		// Timer E within receive_timeout, twice.
		same(t, "probes", f.probes(start), ms(0, 500, 1500, 3500, 4000, 4500, 5500, 7500))
		same(t, "changes", log.take(start), []string{"8s 10.0.0.1:5060 OPER_DOWN NO_RESPONSE"})
	})
}

func TestNoQuickStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		start := time.Now()
		mon := sipMonitor("a")
		mon.DisableQuickstart = true
		apply(t, m, server1(mon))
		after(20 * time.Second)
		at := f.probes(start)
		if len(at) != 2 || at[0] > 10*time.Second || at[1] != at[0]+10*time.Second {
			t.Errorf("probes at %v", at)
		}
		if got := log.take(start); len(got) != 1 {
			t.Errorf("changes %v", got)
		}
	})
}

// TestRiseFall: at the steady pace an answer more or less is forgiven, and the counts decide.
func TestRiseFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		mon := sipMonitor("a")
		mon.Rise, mon.Fall = 2, 3
		apply(t, m, server1(mon))
		after(time.Second)
		synctest.Wait()
		log.take(time.Now())
		walk := []bool{false, false, true, false, false, false, true, false, true, true}
		n := 0
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			ok := walk[n%len(walk)]
			n++
			if ok {
				return passing(c)
			}
			return failing(c)
		})
		f.probes(time.Now())
		start := time.Now()
		after(110 * time.Second)
		at := f.probes(start)
		want := []string{
			(at[5] + time.Millisecond).String() + " 10.0.0.1:5060 OPER_DOWN PORT_UNREACHABLE",
			(at[9] + time.Millisecond).String() + " 10.0.0.1:5060 OPER_UP SUCCESS",
		}
		same(t, "changes", log.take(start), want)
	})
}

func TestKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		apply(t, m, server1(sipMonitor("a")))
		after(time.Second)
		log.take(time.Now())
		f.answer(failing)
		f.probes(time.Now())
		start := time.Now()
		server := server1().Server
		m.Kick("p", server)
		m.Kick("p", server) // too soon
		m.Kick("p", netip.MustParseAddrPort("10.9.9.9:5060"))
		after(600 * time.Millisecond)
		same(t, "probes", f.probes(start), ms(0, 500))
		same(t, "changes", log.take(start), []string{"501ms 10.0.0.1:5060 OPER_DOWN PORT_UNREACHABLE"})
		st := m.Stats()
		if st.KicksObeyed != 1 || st.KicksCut != 1 {
			t.Errorf("kicks obeyed %d, cut %d", st.KicksObeyed, st.KicksCut)
		}
		// Down and kicked: one look, and if that fails the pace is the interval's again.
		after(time.Second)
		f.probes(time.Now())
		m.Kick("p", server)
		start = time.Now()
		after(499 * time.Millisecond)
		if at := f.probes(start); len(at) != 1 {
			t.Errorf("probes %v", at)
		}
	})
}

// TestKickHealthy: a server kicked for nothing stays up, and goes back to its own pace when it has passed again.
func TestKickHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		apply(t, m, server1(sipMonitor("a")))
		after(time.Second)
		log.take(time.Now())
		f.probes(time.Now())
		start := time.Now()
		m.Kick("p", server1().Server)
		after(time.Second)
		same(t, "probes", f.probes(start), ms(0, 500))
		after(15 * time.Second)
		if n := len(f.probes(start)); n < 1 || n > 3 {
			t.Errorf("%d probes in 15s", n)
		}
		if got := log.take(start); got != nil {
			t.Errorf("changes %v", got)
		}
	})
}

// TestKickInFlight: a kick while a check is under way starts no second one beside it.
func TestKickInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{})
		f.answer(silent)
		apply(t, m, server1(sipMonitor("a")))
		start := time.Now()
		after(100 * time.Millisecond)
		m.Kick("p", server1().Server)
		after(2 * time.Second)
		same(t, "probes", f.probes(start), ms(0, 500, 1500))
	})
}

// TestKickJustChecked: a kick right after a check waits until half a second after its start, and concerns nobody else.
func TestKickJustChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{})
		start := time.Now()
		apply(t, m, many(2, sipMonitor("a"))...)
		after(100 * time.Millisecond)
		m.Kick("p", netip.MustParseAddrPort("10.0.0.0:5060"))
		after(300 * time.Millisecond)
		same(t, "probes", f.probes(start), []time.Duration{0, 500 * time.Microsecond})
		after(time.Second)
		m.Kick("p", netip.MustParseAddrPort("10.0.0.0:5060"))
		f.probes(start)
		after(30 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		per := map[byte]int{}
		for _, p := range f.sent {
			per[p.addr.Addr().As4()[3]]++
		}
		if per[0] < 4 || per[0] > 6 || per[1] < 2 || per[1] > 4 {
			t.Errorf("probes by server in 30s after a kick of the first: %v", per)
		}
	})
}

// TestProceeding: RFC 3261 section 17.1.2.2: after a provisional response, retransmissions come at T2.
func TestProceeding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			if c.attempt == 0 {
				o := options{mon: c.mon, to: c.addr, via: c.addr, run: c.run}
				trying := answerTo(string(o.append(nil)), "100 Trying")
				time.AfterFunc(100*time.Millisecond, func() { m.Deliver(c.addr, []byte(trying)) })
				time.AfterFunc(200*time.Millisecond, func() { m.Deliver(c.addr, []byte(trying)) })
			}
			return silent(c)
		})
		mon := sipMonitor("a")
		mon.Timeout, mon.Interval, mon.Fall = 15*time.Second, 20*time.Second, 1
		start := time.Now()
		apply(t, m, server1(mon))
		after(14900 * time.Millisecond)
		same(t, "probes", f.probes(start), ms(0, 4100, 8100, 12100))
		after(200 * time.Millisecond)
		same(t, "changes", log.take(start), []string{"15s 10.0.0.1:5060 OPER_DOWN NO_RESPONSE"})
	})
}

// TestHostUnreachablePasses: ICMP host unreachable and then an answer is a passed check; and then none, a failed one for that reason.
func TestHostUnreachablePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, log := newFake(t, Config{})
		f.answer(func(c *check) (time.Duration, outcome, bool) {
			addr := c.addr
			time.AfterFunc(time.Millisecond, func() { m.Unreachable(addr, syscall.EHOSTUNREACH) })
			return 3 * time.Second, outcome{}, addr == mon1Server
		})
		mon := sipMonitor("a")
		mon.Rise, mon.Fall = 1, 1
		dead := netip.MustParseAddrPort("10.0.0.2:5060")
		start := time.Now()
		apply(t, m, server1(mon), at(dead, mon))
		after(5 * time.Second)
		same(t, "changes", log.take(start), []string{
			"3s 10.0.0.1:5060 OPER_UP SUCCESS", "4.0005s 10.0.0.2:5060 OPER_DOWN SERVER_UNREACHABLE",
		})
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{})
		mon := sipMonitor("a")
		mon.JitterPercent = 20
		apply(t, m, server1(mon))
		after(20 * time.Second)
		f.probes(time.Now())
		start := time.Now()
		after(2000 * time.Second)
		at := f.probes(start)
		low, high, sum := time.Hour, time.Duration(0), time.Duration(0)
		for i := 1; i < len(at); i++ {
			d := at[i] - at[i-1]
			low, high, sum = min(low, d), max(high, d), sum+d
		}
		mean := sum / time.Duration(len(at)-1)
		if low < 8*time.Second || high > 12*time.Second || high-low < 3*time.Second {
			t.Errorf("intervals %v to %v, want 8s to 12s", low, high)
		}
		if mean < 9700*time.Millisecond || mean > 10300*time.Millisecond {
			t.Errorf("mean interval %v, want about 10s", mean)
		}
	})
}

// TestManyServers: ten thousand servers settle as fast as MaxStarts allows and are then spread over the interval.
func TestManyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		m, f, log := newFake(t, Config{})
		start := time.Now()
		apply(t, m, many(n, sipMonitor("a"))...)
		after(600 * time.Millisecond)
		if got := len(log.take(start)); got < 40 {
			t.Errorf("%d servers settled in 600ms: they wait for the last to have begun", got)
		}
		at := f.probes(start)
		after(12400 * time.Millisecond) // 20,000 checks, and the next ones of those that have settled
		at = append(at, f.probes(start)...)
		burst := most(at, time.Second)
		if limit := DefaultMaxStarts * 102 / 100; burst > limit {
			t.Errorf("%d probes within a second of quick start, limit %d", burst, limit)
		}
		for _, s := range m.Briefs() {
			if s.State != Up {
				t.Errorf("%v is %v after 13s", s.Server, s.State)
			}
		}
		after(20 * time.Second)
		f.probes(start)
		after(20 * time.Second)
		at = f.probes(start)
		if got := len(at); got < 2*n*99/100 || got > 2*n*101/100 {
			t.Errorf("%d probes in two intervals of %d servers", got, n)
		}
		if burst := most(at, 100*time.Millisecond); burst > 200 {
			t.Errorf("%d probes within 100ms, mean is 100", burst)
		}
	})
}

// most returns how many of the times in at fall at most into any window that long.
func most(at []time.Duration, window time.Duration) int {
	slices.Sort(at)
	best, from := 0, 0
	for to := range at {
		for at[to]-at[from] >= window {
			from++
		}
		best = max(best, to-from+1)
	}
	return best
}

// TestOverload: more checks than MaxStarts allows come late, are counted, and all get their turn.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{MaxStarts: 10})
		apply(t, m, many(300, sipMonitor("a"))...)
		after(70 * time.Second)
		if st := m.Stats(); st.Late == 0 || st.Started > 702 {
			t.Errorf("%+v", st)
		}
		f.probes(time.Now())
		after(300 * time.Second) // 3,000 checks, where 9,000 were due
		f.mu.Lock()
		per := map[netip.AddrPort]int{}
		for _, p := range f.sent {
			per[p.addr]++
		}
		f.mu.Unlock()
		if len(per) != 300 {
			t.Errorf("%d servers had a turn", len(per))
		}
		for a, n := range per {
			if n < 8 || n > 12 {
				t.Errorf("%v had %d turns, the others 10", a, n)
			}
		}
		// A kick goes first.
		f.probes(time.Now())
		m.Kick("p", netip.MustParseAddrPort("10.0.0.77:5060"))
		after(time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		if !slices.ContainsFunc(f.sent, func(p sentProbe) bool { return p.addr.String() == "10.0.0.77:5060" }) {
			t.Error("the kicked server had to wait")
		}
	})
}

// TestMaxOpen: no more checks with sockets of their own at a time than allowed, and the others wait for their turn.
func TestMaxOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f, _ := newFake(t, Config{MaxOpen: 5})
		f.resend, f.own = false, true
		f.answer(silent)
		apply(t, m, many(20, sipMonitor("a"))...)
		after(time.Second)
		if st := m.Stats(); st.InFlight != 5 || st.Started != 5 || st.Late == 0 {
			t.Errorf("%+v", st)
		}
		f.answer(passing)
		after(10 * time.Second)
		if st := m.Stats(); st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
		for _, s := range m.Status() {
			if s.State != Up {
				t.Errorf("%v is %v", s.Server, s.State)
			}
		}
	})
}
