package health

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// TestMachineTable walks the machine through results written as letters: + passed, - failed, ? not sent. After each stands the state
// expected: u unknown, U up, D down.
func TestMachineTable(t *testing.T) {
	for _, test := range []struct {
		name, walk string
		rise, fall int
	}{
		{"two up, two down, as Avi's defaults", "+u+U+U-U-D-D+D+U", 2, 2},
		{"a lone failure is forgiven, again and again", "+u+U-U+U-U+U", 2, 2},
		{"a lone pass is not believed", "-u-D+D-D+D-D", 2, 2},
		{"the first state needs its counts too", "+u-u+u-u+u+U", 2, 2},
		{"one each", "+U-D+U-D", 1, 1},
		{"rise 3, fall 1", "+u+u+U-D+D+D+U", 3, 1},
		{"not sent counts neither way", "+u?u+U-U?U-D?D", 2, 2},
		{"not sent alone settles nothing", "?u?u?u?u", 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			mon := &Monitor{Rise: test.rise, Fall: test.fall, Interval: 10 * time.Second}
			m := machine{}
			m.begin(mon)
			for i := 0; i < len(test.walk); i += 2 {
				before := m.state
				changed := m.observe(epoch, codeOfLetter(test.walk[i]), mon)
				if got := "uUD"[m.state]; got != test.walk[i+1] {
					t.Fatalf("after %q: state %c, want %c", test.walk[:i+1], got, test.walk[i+1])
				}
				if changed != (before != m.state) {
					t.Fatalf("after %q: changed = %v, but %v -> %v", test.walk[:i+1], changed, before, m.state)
				}
			}
		})
	}
}

func codeOfLetter(c byte) Code {
	switch c {
	case '+':
		return Success
	case '?':
		return ProbeNotSent
	}
	return NoResponse
}

// TestMachineModel holds the machine against what its words mean: up iff the last that settled anything was a run of rise passes.
func TestMachineModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mon := &Monitor{
			Rise: rapid.IntRange(1, 5).Draw(t, "rise"), Fall: rapid.IntRange(1, 5).Draw(t, "fall"),
			Interval: time.Duration(rapid.IntRange(1, 60).Draw(t, "interval")) * time.Second, JitterPercent: rapid.IntRange(0, 50).Draw(t, "jitter"),
		}
		m, want, history := machine{}, Unknown, ""
		m.begin(mon)
		for i, c := range rapid.SliceOf(rapid.SampledFrom([]byte("++--?k"))).Draw(t, "results") {
			now := epoch.Add(time.Duration(i) * time.Second)
			if c == 'k' {
				m.begin(mon)
				history += "k"
				continue
			}
			wasQuick := m.quick > 0
			m.observe(now, codeOfLetter(c), mon)
			if c != '?' {
				history += string(c)
			}
			before := want
			if passes, failures := runAtEnd(history); passes >= mon.Rise {
				want = Up
			} else if failures >= mon.Fall {
				want = Down
			}
			if m.state != want {
				t.Fatalf("after %q: %v, want %v", history, m.state, want)
			}
			if want != before && (m.since != now || m.transitions[0].State != want || m.transitions[0].At != now) {
				t.Fatalf("after %q: transition not noted: %+v", history, m)
			}
			checkDelay(t, &m, mon, wasQuick, rapid.Float64Range(0, 0.999999).Draw(t, "random"))
		}
	})
}

// runAtEnd counts the passes at the end since anything else, and the failures since any pass.
func runAtEnd(history string) (passes, failures int) {
	for i := len(history) - 1; i >= 0 && history[i] == '+'; i-- {
		passes++
	}
	for i := len(history) - 1; i >= 0 && history[i] != '+'; i-- {
		if history[i] == '-' {
			failures++
		}
	}
	return passes, failures
}

func checkDelay(t *rapid.T, m *machine, mon *Monitor, wasQuick bool, random float64) {
	t.Helper()
	d := m.delay(mon, wasQuick, random)
	low, high := mon.Interval*time.Duration(100-mon.JitterPercent)/100, mon.Interval*time.Duration(100+mon.JitterPercent)/100
	switch {
	case m.quick > 0:
		low, high = QuickStartInterval, QuickStartInterval
	case wasQuick:
		low, high = QuickStartInterval, mon.Interval
	}
	if d < low-1 || d > high+1 {
		t.Fatalf("delay %v, want %v to %v", d, low, high)
	}
	if m.quick < 0 || m.quick > quickChecksPerCount*5 {
		t.Fatalf("quick %d", m.quick)
	}
}

// TestMachineQuickEnds: a server that passes and fails in turn is not checked at quick-start pace for ever.
func TestMachineQuickEnds(t *testing.T) {
	mon := &Monitor{Rise: 2, Fall: 2, Interval: 10 * time.Second}
	m := machine{}
	m.begin(mon)
	for i := range quickChecksPerCount * 2 {
		if m.quick == 0 {
			t.Fatalf("quick start ended after %d checks", i)
		}
		m.observe(epoch, codeOfLetter("+-"[i%2]), mon)
	}
	if d := m.delay(mon, false, 0.5); d != mon.Interval {
		t.Errorf("delay %v, want %v", d, mon.Interval)
	}
}

func TestMachineKeepsThreeTransitions(t *testing.T) {
	mon := &Monitor{Rise: 1, Fall: 1, Interval: time.Second}
	m := machine{}
	for i, c := range "+-+-+" {
		m.observe(epoch.Add(time.Duration(i)*time.Second), codeOfLetter(byte(c)), mon)
	}
	for i, want := range []Transition{
		{epoch.Add(4 * time.Second), Up, Success}, {epoch.Add(3 * time.Second), Down, NoResponse}, {epoch.Add(2 * time.Second), Up, Success},
	} {
		if m.transitions[i] != want {
			t.Errorf("transition %d: %v, want %v", i, m.transitions[i], want)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name string
		prev State
		t    tally
		need int
		want State
	}{
		{"no monitor", Unknown, tally{}, 0, Up},
		{"no monitor, but some wanted", Down, tally{}, 2, Up},
		{"all up", Unknown, tally{up: 2, all: 2}, 0, Up},
		{"one of two down", Up, tally{up: 1, down: 1, all: 2}, 0, Down},
		{"one is enough", Down, tally{up: 1, down: 2, all: 3}, 1, Up},
		{"two are wanted", Up, tally{up: 1, down: 2, all: 3}, 2, Down},
		{"more wanted than there are", Unknown, tally{up: 2, all: 2}, 5, Up},
		{"undecided keeps unknown", Unknown, tally{up: 1, all: 2}, 0, Unknown},
		{"undecided keeps up: a monitor was added", Up, tally{up: 1, all: 2}, 0, Up},
		{"undecided keeps down", Down, tally{all: 1}, 0, Down},
		{"down decides before the rest has spoken", Up, tally{down: 1, all: 2}, 0, Down},
		{"enough can still come", Unknown, tally{down: 1, all: 3}, 2, Unknown},
	} {
		if got := judge(test.prev, test.t, test.need); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestJudgeOrder: with every monitor decided, the state is a matter of the counts alone, and more monitors up never make it worse.
func TestJudgeOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.IntRange(0, 8).Draw(t, "all")
		up := rapid.IntRange(0, all).Draw(t, "up")
		need := rapid.IntRange(0, 9).Draw(t, "need")
		states := []State{Unknown, Up, Down}
		got := judge(rapid.SampledFrom(states).Draw(t, "prev"), tally{up, all - up, all}, need)
		if got != judge(rapid.SampledFrom(states).Draw(t, "other prev"), tally{up, all - up, all}, need) {
			t.Fatal("depends on the state before")
		}
		if got == Up && up < all && judge(Unknown, tally{up + 1, all - up - 1, all}, need) != Up {
			t.Fatal("one more up made it worse")
		}
	})
}
