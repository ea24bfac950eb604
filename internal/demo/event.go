package demo

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/demo/ua"
)

// tone of an event.
type tone uint8

const (
	info tone = iota
	good
	warn
	bad
)

// event is a line of the log.
type event struct {
	at    time.Duration // when it began, since the start
	last  time.Duration // when its text changed last
	tone  tone
	text  string
	stamp uint64 // counts up with each event, and each change of one
	key   string // events of one key within mergeTime are one, with its text made new; empty: on its own
	sum   uint64 // valid iff key is not empty
}

// mergeTime is how long events of one kind run together, so that calls lost one by one do not push out all else.
const mergeTime = 10 * time.Second

// note enters an event.
func (w *watch) note(now time.Time, t tone, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enter(event{at: now.Sub(w.started), tone: t, text: text})
}

func (w *watch) enter(e event) {
	w.stamp++
	e.stamp, e.last = w.stamp, e.at
	w.events = append(w.events, e)
	if extra := len(w.events) - maxEvents; extra > 0 {
		w.events = slices.Delete(w.events, 0, extra)
	}
}

// merge adds n to the running event of a key, or enters a new one; text writes it from the sum.
func (w *watch) merge(now time.Time, t tone, key string, n uint64, text func(sum uint64) string) {
	at := now.Sub(w.started)
	for i := len(w.events) - 1; i >= 0 && at-w.events[i].at < mergeTime; i-- {
		if e := &w.events[i]; e.key == key {
			e.sum += n
			e.text = text(e.sum)
			w.stamp++
			e.stamp, e.last = w.stamp, at
			return
		}
	}
	w.enter(event{at: at, tone: t, text: text(n), key: key, sum: n})
}

// compare notes what changed between two readings.
func (w *watch) compare(was, is *reading) {
	shares := func(r *reading) []float64 {
		all := make([]float64, len(w.names))
		for i, name := range w.names {
			s, _ := r.server(name)
			all[i] = s.HashShare
		}
		return all
	}
	before, after := shares(was), shares(is)
	for i, name := range w.names {
		old, ok := was.server(name)
		now, still := is.server(name)
		if ok && still && old.State != now.State {
			w.noteState(is.at, i, old.State, now, moved(w.names, before, after, i))
		}
		if w.servers[i].draining && now.State != stateUp && is.servers[i].Calls == 0 {
			w.servers[i].draining = false
			w.enter(event{at: is.at.Sub(w.started), tone: good, text: name + " drained: no call left"})
		}
	}
}

// noteState enters the event of a server's new state.
func (w *watch) noteState(at time.Time, i int, old string, now ServerStatus, keys string) {
	s, name := &w.servers[i], w.names[i]
	e := event{at: at.Sub(w.started)}
	switch {
	case now.State == stateDown:
		e.tone, e.text = bad, name+" down"
		if now.Reason != "" {
			e.text += " (" + now.Reason + ")"
		}
		if !s.died.IsZero() {
			e.text += fmt.Sprintf(", %.1f s after its death", max(at.Sub(s.died), 0).Seconds()) // it may have been noticed within the reading
		}
		s.died, s.downAt = time.Time{}, at
	case now.State == stateUp && old == stateDown:
		e.tone, e.text = good, name+" up"
		if !s.downAt.IsZero() {
			e.text += fmt.Sprintf(" again after %.1f s", at.Sub(s.downAt).Seconds())
		}
		s.downAt = time.Time{}
	case now.State == stateUp:
		e.tone, e.text = good, name+" up"
		s.draining = false
	default:
		e.tone, e.text = warn, name+" "+now.State
	}
	if keys != "" {
		e.text += ": " + keys
	}
	w.enter(e)
}

// movedLeast is the share of the keys below which nothing is said to have moved.
const movedLeast = 0.0005

// moved tells where the keys of a server went, or where those it got came from, all in percent of the hash.
func moved(names []string, before, after []float64, who int) string {
	change := after[who] - before[who]
	if math.Abs(change) < movedLeast {
		return ""
	}
	var others []int
	even := true
	for i := range names {
		d := after[i] - before[i]
		if i == who || math.Abs(d) < movedLeast {
			continue
		}
		if len(others) > 0 {
			even = even && math.Abs(d-(after[others[0]]-before[others[0]])) < 0.001
		}
		others = append(others, i)
	}
	var b strings.Builder
	if change < 0 {
		fmt.Fprintf(&b, "its %.1f %% of the keys moved", -100*change)
	} else {
		fmt.Fprintf(&b, "it has %.1f %% of the keys", 100*after[who])
	}
	switch {
	case len(others) == 0:
	case even && len(others) > 1:
		fmt.Fprintf(&b, ", %+.1f %% each", 100*(after[others[0]]-before[others[0]]))
	default:
		for _, i := range others {
			fmt.Fprintf(&b, ", %s %+.1f %%", names[i], 100*(after[i]-before[i]))
		}
	}
	return b.String()
}

// noteTroubles enters the calls that went wrong since the last edge of a second.
func (w *watch) noteTroubles(r *reading) {
	was, is := &w.edge.totals, &r.totals
	w.noteByStatus(r.at, "lost", was.LostWith, is.LostWith, func(n uint64, why string) string {
		return fmt.Sprintf("%s lost with the server that had them (%s)", count(int(n), "call"), why)
	})
	w.noteByStatus(r.at, "failed", was.FailedWith, is.FailedWith, func(n uint64, why string) string {
		return fmt.Sprintf("%s failed: %s", count(int(n), "call"), why)
	})
	if n := is.Strayed - was.Strayed; n > 0 {
		w.merge(r.at, bad, "strayed", n, func(sum uint64) string {
			return fmt.Sprintf("%s answered by another server than the one that took it", count(int(sum), "call"))
		})
	}
	if n := is.ExtraChallenges - was.ExtraChallenges; n > 0 {
		w.merge(r.at, warn, "nonce", n, func(sum uint64) string {
			return fmt.Sprintf("%s met another server than its challenge and was challenged again", count(int(sum), "REGISTER"))
		})
	}
	if n := is.RegisterFailed - was.RegisterFailed; n > 0 {
		w.merge(r.at, warn, "register", n, func(sum uint64) string {
			return fmt.Sprintf("%s failed", count(int(sum), "REGISTER"))
		})
	}
	if n := unqualified(r) - unqualified(&w.edge); n > 0 {
		w.merge(r.at, warn, "qualify", n, func(sum uint64) string {
			return fmt.Sprintf("%s of a server to a phone got no answer", count(int(sum), "OPTIONS request"))
		})
	}
	if n := is.Of(ua.Aborted) - was.Of(ua.Aborted); n > 0 {
		w.merge(r.at, warn, "aborted", n, func(sum uint64) string { return fmt.Sprintf("%s broken off", count(int(sum), "call")) })
	}
}

func unqualified(r *reading) (n uint64) {
	for i := range r.servers {
		n += r.servers[i].Unqualified
	}
	return n
}

func (w *watch) noteByStatus(at time.Time, key string, was, is map[int]uint64, text func(n uint64, why string) string) {
	statuses := make([]int, 0, len(is))
	for status := range is {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	for _, status := range statuses {
		n := is[status] - was[status]
		if n == 0 {
			continue
		}
		why := "no response"
		if status > 0 {
			why = fmt.Sprint(status)
		}
		w.merge(at, bad, fmt.Sprintf("%s %d", key, status), n, func(sum uint64) string { return text(sum, why) })
	}
}
