package controller

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/store"
)

// TestLoginsLeaveNothing holds that logging in and out all day does not make the store larger, and that every
// controller knows of every logout all the same.
func TestLoginsLeaveNothing(t *testing.T) {
	st := openStore(t)
	a, b := startOn(t, st), startOn(t, st)
	stays, stayed, err := a.Login(AdminUser, "a good password", "192.0.2.1")
	if err != nil || stays == nil {
		t.Fatal(err)
	}
	const loops = 2000 // ten thousand leave as much
	cookies := make([]string, loops)
	var wg sync.WaitGroup
	for w := range 8 { // some logouts are at the other controller
		wg.Go(func() {
			for i := w; i < loops; i += 8 {
				s, cookie, err := a.Login(AdminUser, "a good password", "192.0.2.1")
				if err != nil {
					t.Error(err)
					return
				}
				at := a
				if i%10 == 0 {
					at = b
				}
				if err := at.Logout(t.Context(), s); err != nil || at.Session(cookie, "") != nil {
					t.Errorf("logout: %v, and the session is still there", err)
					return
				}
				cookies[i] = cookie
			}
		})
	}
	wg.Wait()
	kvs, _, err := st.List(t.Context(), revokedPrefix)
	if err != nil {
		t.Fatal(err)
	}
	octets := 0
	for _, kv := range kvs {
		octets += len(kv.Key) + len(kv.Value)
	}
	if len(kvs) != 1 || octets > 200 {
		t.Errorf("%d keys of %d octets are left in the store: %q", len(kvs), octets, kvs)
	}
	for _, c := range []*Controller{a, b, startOn(t, st)} {
		waitFor(t, c, func() bool { return c.Session(cookies[loops-1], "") == nil && c.Session(cookies[0], "") == nil })
		for i, cookie := range cookies {
			if c.Session(cookie, "") != nil {
				t.Fatalf("session %d is good again", i)
			}
		}
		if c.Session(stayed, "") == nil {
			t.Error("a session that nobody logged out has ended")
		}
	}
}

// waitFor looks until something is so; the store tells of logouts without waking anybody.
func waitFor(t *testing.T, c *Controller, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); {
		if time.Now().After(end) {
			t.Fatal("it does not become so")
		}
		c.WaitLive(t.Context(), 1<<40, time.Millisecond, nil)
	}
}

// TestLogouts is a model: a set of numbers, of which the oldest stretches may grow together.
func TestLogouts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		var s spans
		out, ended := map[uint64]bool{}, uint64(0)
		numbers := rapid.SliceOfN(rapid.Uint64Range(1, 3000), 0, 1200).Draw(t, "numbers")
		for i, n := range numbers {
			if rapid.IntRange(0, 3).Draw(t, "next") > 0 && i > 0 {
				n = numbers[i-1] + 2 // a stretch of its own
			}
			numbers[i] = n
			var early uint64
			s, early = s.with(n, now)
			out[n], ended = true, ended+early
		}
		for n := range out {
			if !s.has(n) {
				t.Fatalf("%d is forgotten: %s", n, s)
			}
		}
		more := uint64(0)
		for i, a := range s {
			if a.from > a.to || i > 0 && s[i-1].to+1 >= a.from {
				t.Fatalf("stretches touch: %s", s)
			}
			more += a.to - a.from + 1
		}
		if len(s) > MaxLogouts || ended == 0 && more != uint64(len(out)) {
			t.Fatalf("%d stretches, %d numbers for %d, %d ended early", len(s), more, len(out), ended)
		}
		if back := readSpans(s.String()); back.String() != s.String() {
			t.Fatalf("%s is read as %s", s, back)
		}
		for n := range out { // long after, nothing is left but what came then
			if s, _ := s.with(n, now.Add(revokedFor+time.Second)); len(s) > 1 {
				t.Fatalf("still %s", s)
			}
			break
		}
	})
}

// TestLogoutsAreForgotten holds that keys go when no session of theirs can be good, and not before.
func TestLogoutsAreForgotten(t *testing.T) {
	c := start(t)
	now := time.Now()
	for i := range 3 * revokedAtOnce {
		key := revokedKey(fmt.Sprint("gone", i), "user-x")
		if _, _, err := c.st.Commit(t.Context(), store.Txn{Put: []store.KV{{Key: key, Value: []byte("1-5")}}}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, c, func() bool { return c.logouts.len() == 3*revokedAtOnce })
	c.forgetLogouts(t.Context(), now.Add(SessionIdle+sessionRenew))
	if n := c.logouts.len(); n != 3*revokedAtOnce {
		t.Errorf("%d are left while their sessions may be good", n)
	}
	c.forgetLogouts(t.Context(), now.Add(revokedFor+time.Minute))
	kvs, _, err := c.st.List(t.Context(), revokedPrefix)
	if err != nil || len(kvs) > 0 || c.logouts.len() > 0 {
		t.Errorf("%v, %d keys and %d stretches are left", err, len(kvs), c.logouts.len())
	}
}
