package health

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestChaos drives the loop, without its goroutine and without a clock, through anything that may happen in any order, and looks after
// each step whether its books are in order: they are what later steps trust blindly.
func TestChaos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLoop(Config{MaxOpen: 3, MaxStarts: 50}, rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))
		now := l.begin
		shared, own := &fake{l: l, resend: true, reply: silent}, &fake{l: l, own: true, reply: silent}
		l.probers[probeSIP], l.probers[probePing], l.probers[probeDial] = shared, shared, own
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.SampledFrom([]string{"apply", "answer", "answer", "answer", "unreachable", "kick", "broken", "work", "provisional"}).Draw(t, "step") {
			case "apply":
				pools := byPool(drawTargets(t))
				if rapid.Bool().Draw(t, "gone") {
					pools[rapid.SampledFrom([]string{"p", "q"}).Draw(t, "pool")] = nil
				}
				l.apply(pools, rapid.Bool().Draw(t, "all"), now)
			case "answer":
				if c := drawCheck(t, l, true); c != nil {
					l.event(event{kind: answered, run: c.run, at: now, out: outcome{code: rapid.SampledFrom([]Code{Success, NoResponse}).Draw(t, "code")}})
				}
			case "unreachable":
				code := rapid.SampledFrom([]Code{PortUnreachable, ServerUnreachable}).Draw(t, "code")
				l.event(event{kind: unreachable, from: drawServer(t), at: now, out: outcome{code: code}})
			case "kick":
				if c := drawCheck(t, l, false); c != nil {
					l.kick(c.srv, now)
				}
			case "broken":
				code := rapid.SampledFrom([]Code{ProbeNotSent, ServerUnreachable, Success}).Draw(t, "code")
				shared.answer(func(*check) (time.Duration, outcome, bool) { return -1, outcome{code: code}, code != Success })
			case "provisional":
				if c := drawCheck(t, l, true); c != nil && c.mon.Type == SIP {
					o := options{mon: c.mon, to: c.addr, via: c.addr, run: c.run}
					l.datagram(c.addr, []byte(answerTo(string(o.append(nil)), "100 Trying")), now)
				}
			}
			l.work(now)
			checkBooks(t, l, now)
		}
		l.shut()
		if len(l.runs)+len(l.sameAddr)+len(l.timers)+l.open != 0 {
			t.Fatalf("after shut: %d runs, %d addresses, %d timers, %d open", len(l.runs), len(l.sameAddr), len(l.timers), l.open)
		}
	})
}

func drawServer(t *rapid.T) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "server"))}), 5060)
}

// drawTargets returns up to six servers: few addresses and two pools, so that checks share addresses.
func drawTargets(t *rapid.T) []Target {
	seen := map[serverKey]bool{}
	var ts []Target
	for range rapid.IntRange(0, 6).Draw(t, "targets") {
		target := Target{Pool: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "pool"), Server: drawServer(t), Paused: rapid.IntRange(0, 4).Draw(t, "paused") == 0}
		if k := (serverKey{target.Pool, target.Server}); seen[k] {
			continue
		} else {
			seen[k] = true
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, func(s string) string { return s }).Draw(t, "monitors") {
			mon := sipMonitor(name)
			mon.Type = rapid.SampledFrom([]Type{SIP, SIP, TCP}).Draw(t, "type")
			mon.Interval = time.Duration(rapid.IntRange(1, 3).Draw(t, "interval")) * 5 * time.Second
			mon.DisableQuickstart = rapid.Bool().Draw(t, "no quick start")
			target.Monitors = append(target.Monitors, mon)
		}
		ts = append(ts, target)
	}
	return ts
}

func drawCheck(t *rapid.T, l *loop, inFlight bool) *check {
	q := l.starts
	if inFlight {
		q = l.timers
	}
	if len(q) == 0 {
		return nil
	}
	return q[rapid.IntRange(0, len(q)-1).Draw(t, "check")]
}

func checkBooks(t *rapid.T, l *loop, now time.Time) {
	t.Helper()
	waiting, flying, open, listed := 0, 0, 0, 0
	locals, users := map[netip.Addr]int{}, map[statsKey]int{}
	defer func() {
		for k, st := range l.stats {
			if st.users != users[k] {
				t.Fatalf("%v: %d checks are added up, want %d", k, st.users, users[k])
			}
		}
		if !maps.Equal(locals, l.locals) || len(users) != len(l.stats) {
			t.Fatalf("local addresses in use %v, want %v; %d sums, want %d", l.locals, locals, len(l.stats), len(users))
		}
	}()
	for s := range l.pools.all {
		if State(s.public.Load()) != s.state {
			t.Fatalf("%v: public state %v, state %v", s.key, State(s.public.Load()), s.state)
		}
		for _, c := range s.checks {
			locals[c.local.Addr()]++
			users[statsKey{s.key.pool, c.mon.Name}]++
			switch {
			case c.srv != s || l.probers[c.mon.proberKind()] != c.p:
				t.Fatalf("%v: a check of something else", s.key)
			case s.paused:
				if c.queue != nil || c.run != 0 {
					t.Fatalf("%v: paused and at work", s.key)
				}
			case c.run != 0:
				flying++
				if c.queue != &l.timers || l.timers[c.index] != c || l.runs[c.run] != c || c.at.After(c.deadline) || c.at.Before(now) {
					t.Fatalf("%v: in flight, but its books say otherwise: %+v", s.key, c)
				}
				if c.p.ownSocket() {
					open++
				}
			default:
				waiting++
				if c.queue != &l.starts || l.starts[c.index] != c {
					t.Fatalf("%v: waiting, but not in the queue", s.key)
				}
				if c.urgent && c.at.After(now) {
					t.Fatalf("%v: urgent before its time, so that all others wait", s.key)
				}
			}
		}
	}
	for addr, c := range l.sameAddr {
		for ; c != nil; c = c.sameAddr {
			listed++
			if c.addr != addr || c.run == 0 {
				t.Fatalf("%v: in the list of %v, run %d", c.addr, addr, c.run)
			}
		}
	}
	if len(l.starts) != waiting || len(l.timers) != flying || len(l.runs) != flying || l.open != open || listed != flying-open || open > l.cfg.MaxOpen {
		t.Fatalf("%d waiting, %d in flight, %d open; queues %d, %d, runs %d, open %d, listed %d",
			waiting, flying, open, len(l.starts), len(l.timers), len(l.runs), l.open, listed)
	}
}

// TestSharedAddress: one datagram refused concerns all checks in flight to that address, and no other.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	dead := closedPort(t, "udp", loopback4)
	a, b, p := once(sipMonitor("a")), once(sipMonitor("b")), once(sipMonitor("c"))
	p.SIPOverTCP = true
	w := newWatch(t, Config{},
		Target{Pool: "p", Server: dead, Monitors: []Monitor{a, b}}, Target{Pool: "q", Server: dead, Monitors: []Monitor{a}},
		Target{Pool: "r", Server: dead, Monitors: []Monitor{p}})
	for range 3 {
		c := w.next(t)
		if want := map[string]Code{"p": PortUnreachable, "q": PortUnreachable, "r": ConnectionRefused}[c.Pool]; c.State != Down || c.Reason != want {
			t.Errorf("%+v", c)
		}
	}
}

// TestWords: enumerations are words in JSON, and read back.
func TestWords(t *testing.T) {
	for c := range Code(numCodes) {
		b, err := json.Marshal(c)
		var back Code
		if err != nil || !strings.Contains(string(b), "_") && c != Success || json.Unmarshal(b, &back) != nil || back != c {
			t.Errorf("code %d: %s, %v, back %v", c, b, err, back)
		}
	}
	for _, s := range []State{Unknown, Up, Down} {
		b, _ := json.Marshal(s)
		var back State
		if json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("state %d: %s, back %v", s, b, back)
		}
	}
	var c Code
	var s State
	if c.UnmarshalText([]byte("NONSENSE")) == nil || s.UnmarshalText([]byte("NONSENSE")) == nil {
		t.Error("nonsense read")
	}
	if Code(200).String() != "CODE_200" || State(9).String() != "STATE_9" || Type(9).String() != "TYPE_9" {
		t.Error("words of numbers there are not")
	}
}

func byPool(targets []Target) map[string][]Target {
	pools := map[string][]Target{}
	for _, t := range targets {
		pools[t.Pool] = append(pools[t.Pool], t)
	}
	return pools
}
