package transport

import (
	"testing"
	"time"
)

// Polling is long where most waits are short, and does not come back with one of them.
func TestPollingFollowsWhatItGains(t *testing.T) {
	p := poller{least: 5 * time.Microsecond, most: 60 * time.Microsecond}
	for _, step := range []struct {
		name        string
		short, long int // of each round
		rounds      int
		want        time.Duration
	}{
		{"at first", 0, 0, 1, p.least},
		{"nothing but long waits", 0, 1, 20, p.least},
		{"one short wait", 1, 0, 1, p.least},
		{"three of four are short", 3, 1, 10, p.most},
		{"one long wait", 0, 1, 1, p.most},
		{"one of three is short", 1, 2, 10, p.least},
	} {
		for range step.rounds {
			for range step.short {
				p.waited(p.most - 1)
			}
			for range step.long {
				p.waited(p.most)
			}
		}
		if got := p.window(); got != step.want {
			t.Errorf("%s: polls for %v, want %v", step.name, got, step.want)
		}
	}
}

// Who was off the CPU while it polled leaves it to others for a while, and then polls again.
func TestPollingGivesWay(t *testing.T) {
	p := poller{least: 5 * time.Microsecond, most: 60 * time.Microsecond}
	p.between(pollGap)
	if p.window() != p.least {
		t.Fatal("an interrupt ended polling")
	}
	p.between(pollGap + 1)
	for i := range pollSits {
		if got := p.window(); got != 0 {
			t.Fatalf("wait %d polls for %v", i, got)
		}
	}
	if p.window() != p.least {
		t.Fatal("it polls no more")
	}
}
