package controller

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestGuessesAtOnce holds that guesses which come side by side have no more tries than those one after the other.
func TestGuessesAtOnce(t *testing.T) {
	c := start(t)
	var wg sync.WaitGroup
	var looked atomic.Int32
	for range 100 {
		wg.Go(func() {
			if _, err := c.Basic(AdminUser, "a guess", "192.0.2.1"); CodeOf(err) == Unauthorized {
				looked.Add(1)
			}
		})
	}
	wg.Wait()
	if n := looked.Load(); n > MaxFailedLogins+maxHashing {
		t.Errorf("%d guesses were looked at", n)
	}
	if _, err := c.Basic(AdminUser, "a good password", "192.0.2.2"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

// TestLoginsKept holds that who fails is known by what he cannot change at will, and takes little room.
func TestLoginsKept(t *testing.T) {
	l, now := newLogins(), time.Now()
	for i := range MaxFailedLogins {
		l.failed(strings.Repeat("x", 1<<16), "2001:db8::"+string(rune('1'+i)), now)
	}
	if l.wait("other", "2001:db8::ffff", now) <= 0 || l.wait("other", "2001:db8:0:1::1", now) > 0 {
		t.Error("a host with many addresses")
	}
	for key := range l.fails {
		if len(key) > 2*maxLoginName {
			t.Errorf("%d octets are kept of a name", len(key))
		}
	}
}

// TestOldSessions holds that a session does not outlive the clock that it was made by.
func TestOldSessions(t *testing.T) {
	c := start(t)
	u := account(c.View(), AdminUser)
	for _, s := range []struct {
		id    string
		until time.Duration
		good  bool
	}{
		{"other.1", SessionIdle, true},
		{"other.1", -time.Second, false},
		{"other.1", 24 * time.Hour, false}, // made before the clock was set back a day
		{"no number", SessionIdle, false},
	} {
		if got := c.Session(c.sealUntil(u, s.id, time.Now().Add(s.until)), ""); (got != nil) != s.good {
			t.Errorf("%+v: %v", s, got)
		}
	}
}
