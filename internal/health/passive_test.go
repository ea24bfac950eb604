package health

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// passivePool plays seconds: rates are what each server does in one.
type passivePool struct {
	Passive
	sums []Seen
	now  time.Time
	out  int
}

func newPassivePool(servers, out int) *passivePool {
	p := &passivePool{now: time.Unix(1e9, 0), out: out}
	for i := range servers {
		p.sums = append(p.sums, Seen{Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060), Up: true})
	}
	p.Step(p.now, p.sums, out)
	return p
}

func (p *passivePool) second(rates ...Seen) []Ejection {
	p.now = p.now.Add(time.Second)
	for i, r := range rates {
		s := &p.sums[i]
		s.Answered, s.Unanswered, s.Unreachable, s.Busy, s.Errors = s.Answered+r.Answered, s.Unanswered+r.Unanswered, s.Unreachable+r.Unreachable, s.Busy+r.Busy, s.Errors+r.Errors
		for b := range s.Latency {
			s.Latency[b] += r.Latency[b]
		}
	}
	return p.Step(p.now, p.sums, p.out)
}

func slowly(n uint64, bucket int) Seen {
	s := Seen{Answered: n}
	s.Latency[bucket] = n
	return s
}

// A pool that was made again within a second counts from 0: nothing that its servers did not do is held against them, and what they do then is.
func TestPassiveCountsAnew(t *testing.T) {
	good := slowly(10, 8)
	p := newPassivePool(3, 1)
	for range 5 {
		p.second(Seen{Answered: 9, Unanswered: 1, Busy: 1, Errors: 1, Unreachable: 1, Latency: good.Latency}, good, good)
	}
	for i := range p.sums {
		p.sums[i] = Seen{Server: p.sums[i].Server, Up: true}
	}
	for range 20 {
		if out := p.second(good, good, good); len(out) > 0 {
			t.Fatalf("%+v", out)
		}
	}
	var out []Ejection
	for range 10 {
		out = append(out, p.second(Seen{Unanswered: 3}, good, good)...)
	}
	if len(out) == 0 || !out[0].Out || out[0].Server != p.sums[0].Server {
		t.Errorf("%+v", out)
	}
}

// What a server does for a while, while two others do well, and whether it is taken out for it.
func TestPassiveVerdicts(t *testing.T) {
	good := slowly(10, 8)
	for _, c := range []struct {
		name    string
		one     Seen
		others  Seen
		seconds int
		want    string // part of the evidence; "": it stays
	}{
		{"well", good, good, 30, ""},
		{"silent", Seen{Unanswered: 2}, good, 3, "6 of 6 requests timed out in 10 s, the last 6 in a row"},
		{"half lost", Seen{Unanswered: 2, Answered: 2}, good, 3, "6 of 12 requests timed out in 10 s"},
		{"a third lost", Seen{Unanswered: 1, Answered: 2}, good, 30, ""},
		{"port closed", Seen{Unreachable: 5}, good, 1, "5 of 5 requests were answered by ICMP unreachable"},
		{"busy", Seen{Busy: 4, Answered: 1}, good, 2, "8 of 10 requests were answered 503"},
		{"broken", Seen{Errors: 4, Busy: 1, Answered: 1}, good, 2, "8 of 12 requests were answered 5xx and 2 failed otherwise"},
		{"few", Seen{Errors: 1}, Seen{}, 4, ""},
		{"all are broken", Seen{Errors: 5, Answered: 1}, Seen{Errors: 5, Answered: 1}, 30, ""},
		{"slow", slowly(10, 16), good, 4, "half of 30 responses took more than"},
		{"all are slow", slowly(10, 16), slowly(10, 15), 30, ""},
		{"slower, but quick", slowly(10, 12), good, 30, ""},
	} {
		p := newPassivePool(3, 1)
		var got string
		for range c.seconds {
			for _, e := range p.second(c.one, c.others, c.others) {
				if e.Server != p.sums[0].Server || !e.Out {
					t.Errorf("%s: %+v", c.name, e)
				}
				got = e.Why
			}
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || c.want != "" && got == "" {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Each time out is longer than the one before, up to a limit; good behaviour takes them off again.
func TestPassiveGrows(t *testing.T) {
	p := newPassivePool(2, 1)
	good := slowly(10, 8)
	spell := func(one Seen) (d time.Duration) {
		for range 2000 {
			for _, e := range p.second(one, good) {
				if e.Out {
					return e.Until.Sub(p.now)
				}
			}
		}
		return 0
	}
	for i := 1; i <= 40; i++ {
		want := min(passiveLongest, time.Duration(i)*passiveFirst)
		if got := spell(Seen{Unanswered: 10}); got != want {
			t.Fatalf("time out %d is %v, want %v", i, got, want)
		}
	}
	if got := spell(good); got != 0 {
		t.Fatalf("taken out for nothing, for %v", got)
	}
	if got, want := spell(Seen{Unanswered: 10}), passiveFirst*15; got > want || got < passiveFirst*2 {
		t.Errorf("after %v of good behaviour: %v, want some less than %v", 2000*time.Second, got, want)
	}
}

// A server that was down is not judged by what it did before.
func TestPassiveForgetsWhenDown(t *testing.T) {
	p := newPassivePool(3, 1)
	good := slowly(10, 8)
	p.second(Seen{Unanswered: 4}, good, good)
	p.sums[0].Up = false
	p.second(Seen{Unanswered: 4}, good, good)
	p.sums[0].Up = true
	if got := p.second(Seen{}, good, good); len(got) > 0 {
		t.Error(got)
	}
	p.second(Seen{Unanswered: 4}, good, good)
	if got := p.second(Seen{Unanswered: 4}, good, good); len(got) != 1 {
		t.Errorf("%v, want one that is out", got)
	}
}

// A server that died is taken out, and goes down; once monitors say that it is up again, it need not wait for the end of its time.
func TestPassiveEndsWithTheOutage(t *testing.T) {
	p := newPassivePool(3, 1)
	good := slowly(10, 8)
	p.second(Seen{}, good, good)
	p.second(Seen{Unreachable: 20}, good, good)
	if got := p.second(Seen{Unreachable: 20}, good, good); len(got) > 0 && !got[0].Out {
		t.Fatalf("%v, want one that is out", got)
	}
	if _, _, out := p.Out(p.sums[0].Server); !out {
		t.Fatal("it is in")
	}
	p.sums[0].Up = false
	if got := p.second(Seen{}, good, good); len(got) > 0 {
		t.Fatal(got)
	}
	p.sums[0].Up = true
	if got := p.second(Seen{}, good, good); len(got) != 1 || got[0].Out {
		t.Errorf("%v, want it back", got)
	}
	for range passiveWindow {
		if got := p.second(good, good, good); len(got) > 0 {
			t.Errorf("%v: it is judged by what it did before", got)
		}
	}
}

// Whatever happens: no more are out than may be, nobody is out for longer than the limit, and who is out comes back.
func TestPassiveNeverTooMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "servers")
		p := newPassivePool(n, rapid.IntRange(0, n).Draw(t, "out"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		out := map[netip.AddrPort]time.Time{}
		for range 300 {
			rates := make([]Seen, n)
			for i := range rates {
				rates[i] = slowly(r.Uint64N(10), 6+r.IntN(12))
				switch r.IntN(6) {
				case 0:
					rates[i].Unanswered = r.Uint64N(30)
				case 1:
					rates[i].Errors, rates[i].Answered = r.Uint64N(30), 0
				}
				if r.IntN(40) == 0 {
					p.sums[i].Up = !p.sums[i].Up
				}
			}
			if r.IntN(50) == 0 {
				p.out = r.IntN(n + 1)
			}
			for _, e := range p.second(rates...) {
				if e.Out {
					out[e.Server] = e.Until
					if e.Why == "" || e.Until.Sub(p.now) > passiveLongest {
						t.Fatalf("%+v", e)
					}
				} else {
					delete(out, e.Server)
				}
			}
			count := 0
			for _, s := range p.sums {
				until, _, is := p.Out(s.Server)
				if want, there := out[s.Server]; is != there || is && until != want || is && p.now.After(until) {
					t.Fatalf("%s is out: %v until %v, changes said %v %v", s.Server, is, until, there, want)
				}
				if is && s.Up {
					count++
				}
			}
			if count > p.out {
				t.Fatalf("%d are out, %d may be", count, p.out)
			}
		}
	})
}

func ExamplePassive() {
	p := newPassivePool(3, 1)
	for range 3 {
		for _, e := range p.second(Seen{Unanswered: 4, Answered: 1}, slowly(9, 8), slowly(9, 8)) {
			fmt.Println(e.Server, "is out for", e.Until.Sub(p.now), "since", e.Why)
		}
	}
	// Output: 10.0.0.0:5060 is out for 10s since 8 of 10 requests timed out in 10 s
}
