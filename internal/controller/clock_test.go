package controller

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wall is a clock that can be set.
type wall struct{ off atomic.Int64 }

func (w *wall) now() time.Time { return time.Now().Round(0).Add(time.Duration(w.off.Load())) }

func (w *wall) jump(d time.Duration) { w.off.Add(int64(d)) }

func startAt(t *testing.T, w *wall) *Controller {
	t.Helper()
	c, err := Start(t.Context(), Config{Store: openStore(t), AdminPassword: "a good password", Clock: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// jumps are what clocks do: little, much, and to before there were any.
var jumps = rapid.SampledFrom([]time.Duration{0, time.Millisecond, -time.Millisecond, time.Second, -time.Second, 4 * time.Minute, -4 * time.Minute,
	59 * time.Minute, -59 * time.Minute, 3 * time.Hour, -3 * time.Hour, 30 * 24 * time.Hour, -30 * 24 * time.Hour, 40 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour})

// TestChangesAndTheClock holds that _last_modified only grows and stays good for comparing, and that changes are
// numbered without gaps, whatever the clock does.
func TestChangesAndTheClock(t *testing.T) {
	w := &wall{}
	c := startAt(t, w)
	pool := do(t, c, create("Pool", `{"name":"edge"}`)).Records[0]
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		w.jump(jumps.Draw(rt, "jump"))
		before := c.View()
		old := before.Get("Pool", pool.UUID())
		n++
		put := Op{Verb: Update, Kind: "Pool", UUID: pool.UUID(), Body: fmt.Appendf(nil, `{"name":"edge","description":"%d","_last_modified":"%d"}`, n, old.Modified)}
		now := do(t, c, put).Records[0]
		v := c.View()
		if now.Modified <= old.Modified || now.Modified <= before.Modified || v.Modified != now.Modified {
			rt.Fatalf("_last_modified %d after %d, of all %d after %d", now.Modified, old.Modified, v.Modified, before.Modified)
		}
		if v.Changes != before.Changes+1 {
			rt.Fatalf("change %d after %d", v.Changes, before.Changes)
		}
		if _, err := c.Do(t.Context(), admin, put); CodeOf(err) != Stale {
			rt.Fatalf("what was made of the version before: %v", err)
		}
	})
	entries, _, err := c.Audit(t.Context(), 0, 10, "")
	if err != nil || len(entries) != 10 {
		t.Fatal(err, len(entries))
	}
	for i, e := range entries {
		if e.Number != c.View().Changes-int64(i) {
			t.Errorf("record %d has the number %d", i, e.Number)
		}
	}
}

// TestSessionsAndTheClock holds that a session that is used goes on, that none is good for longer than it may be by the
// clock that it was made by, and that one which was logged out is never good again.
func TestSessionsAndTheClock(t *testing.T) {
	w := &wall{}
	c := startAt(t, w)
	u := account(c.View(), AdminUser)
	rapid.Check(t, func(rt *rapid.T) {
		s, cookie := c.openSession(u, "")
		made := w.now()
		gone, goneCookie := c.openSession(u, "")
		if err := c.Logout(t.Context(), gone); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 6).Draw(rt, "jumps") {
			w.jump(jumps.Draw(rt, "jump"))
			got, age := c.Session(cookie, ""), w.now().Sub(made)
			if good := age > -sessionRenew+time.Second && age < SessionIdle-time.Second; good && got == nil {
				rt.Fatalf("a session of %s ago is none", age)
			}
			if bad := age > SessionIdle+time.Second || age < -sessionRenew-time.Second; bad && got != nil {
				rt.Fatalf("a session of %s ago is good", age)
			}
			if got != nil && got.Fresh != "" {
				if renewed := c.Session(got.Fresh, ""); renewed == nil || renewed.CSRF != s.CSRF {
					rt.Fatal("a fresh cookie is no good, or of another session")
				}
				cookie, made = got.Fresh, w.now()
			}
			c.forgetLogouts(t.Context(), time.Now())
			if c.Session(goneCookie, "") != nil {
				rt.Fatal("a session that was logged out is good again")
			}
		}
	})
}

// TestLoginsAndTheClock holds that who has failed too often waits his time, however the clock is set: it is counted by
// the monotonic one.
func TestLoginsAndTheClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLogins()
		now := time.Now() // with its monotonic reading, as jumps of the wall leave it
		waited := time.Duration(0)
		for range rapid.IntRange(1, 40).Draw(t, "attempts") {
			pass := time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second
			now = now.Add(pass)
			left := l.wait("eve", "192.0.2.1", now)
			if want := waited - pass; want > 0 && left != want || want <= 0 && left > 0 {
				t.Fatalf("%s left, want %s", left, waited-pass)
			}
			waited = max(0, waited-pass)
			if left <= 0 {
				l.failed("eve", "192.0.2.1", now)
				waited = max(0, l.wait("eve", "192.0.2.1", now))
			}
			if waited > maxLoginWait {
				t.Fatalf("%s to wait", waited)
			}
		}
	})
}
