package health

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Passive health judges servers by what becomes of the requests that they get anyway (inline_health_monitor). It is a pure
// state machine: Step is told once a second what was counted, and says who is to be left alone and who may come back.

// Limits of passive health. Shares are of the requests that came to an end within passiveWindow.
const (
	passiveWindow   = 10               // seconds
	passiveLeast    = 10               // requests in the window below which a share says nothing
	passiveShare    = 50               // percent that must have come to nothing
	passiveRun      = 5                // requests in a row that came to nothing, with none between that was answered
	passiveTimes    = 2                // how many times as bad as the median of the others it must be
	passiveSlow     = 5                // how many times as slow as the median of the others
	passiveSlowMS   = 1000             // and by how much more, in ms
	passiveFinals   = 30               // responses in the window below which a response time says nothing
	passiveFirst    = 10 * time.Second // the first time out; each further one is as much longer
	passiveLongest  = 5 * time.Minute
	passiveForgives = time.Minute // of good behaviour takes one time out off the count
)

// Seen is what was counted of one server since it is there. Sums that fall are those of another one at its address.
type Seen struct {
	Server      netip.AddrPort
	Up          bool                   // its monitors say so and it is enabled: it could have new calls
	Answered    uint64                 // final responses that are no fault of the server's
	Unanswered  uint64                 // requests that were sent again and again without any response
	Unreachable uint64                 // ICMP
	Busy        uint64                 // 503
	Errors      uint64                 // other 5xx that are about the server
	Latency     [passiveBuckets]uint64 // of final responses: bucket i holds what is below 2^(i+6) µs
}

const passiveBuckets = 22

func (s *Seen) bad() uint64 { return s.Unanswered + s.Unreachable + s.Busy + s.Errors }

// minus is what came since an earlier time.
func (s *Seen) minus(o *Seen) Seen {
	d := *s
	d.Answered, d.Unanswered, d.Unreachable, d.Busy, d.Errors = s.Answered-o.Answered, s.Unanswered-o.Unanswered, s.Unreachable-o.Unreachable, s.Busy-o.Busy, s.Errors-o.Errors
	for i := range d.Latency {
		d.Latency[i] -= o.Latency[i]
	}
	return d
}

// medianMS is the response time that half of the responses did not exceed, within a factor of 2.
func (s *Seen) medianMS() (ms float64, finals uint64) {
	for _, n := range s.Latency {
		finals += n
	}
	left := float64(finals) / 2
	for i, n := range s.Latency {
		if n > 0 && left <= float64(n) {
			low := float64(uint64(1)<<(i+5)) * min(1, float64(i))
			return (low + (float64(uint64(1)<<(i+6))-low)*left/float64(n)) / 1000, finals
		}
		left -= float64(n)
	}
	return 0, finals
}

// Ejection is what is to become of one server.
type Ejection struct {
	Server netip.AddrPort
	Out    bool
	Until  time.Time // valid iff Out
	Why    string    // the evidence; of one that comes back: why before its time, or empty
}

// Passive is the state of one pool; the zero value is ready.
type Passive struct {
	servers map[netip.AddrPort]*passiveServer
}

type passiveServer struct {
	ring    [passiveWindow]Seen // sums as they were, by second
	at      int                 // of ring: the next to be written, which is the oldest
	filled  bool
	run     uint64 // came to nothing since the last answer
	times   int    // how often it was out, less what good behaviour took off
	forgive time.Time
	until   time.Time // out until then; zero: it is in
	down    bool      // while it is out: monitors have seen it go down
	why     string
	window  Seen // what came in the window
}

// Step judges the servers of the pool at a moment. Out is how many of them may be out at a time. It is called once a
// second, with servers in any order; one that is not among them is forgotten.
func (p *Passive) Step(now time.Time, seen []Seen, out int) (changes []Ejection) {
	before := p.servers
	p.servers = make(map[netip.AddrPort]*passiveServer, len(seen))
	for i := range seen {
		s := before[seen[i].Server]
		if s == nil {
			s = new(passiveServer)
			s.ring[0], s.at = seen[i], 1
		} else if s.feed(&seen[i]); !seen[i].Up && s.until.IsZero() {
			s.forget(&seen[i]) // what it did before it went down is settled
		}
		p.servers[seen[i].Server] = s
		if s.times > 0 && s.until.IsZero() && now.Sub(s.forgive) >= passiveForgives {
			s.times--
			s.forgive = now
		}
	}
	changes = p.back(now, seen, out)
	return append(changes, p.eject(now, seen, out)...)
}

// fell reports whether sums are below those of before: the pool was taken away and made again in between, and counts anew.
func (s *Seen) fell(before *Seen) bool {
	if s.Answered < before.Answered || s.Unanswered < before.Unanswered || s.Unreachable < before.Unreachable || s.Busy < before.Busy || s.Errors < before.Errors {
		return true
	}
	for i := range s.Latency {
		if s.Latency[i] < before.Latency[i] {
			return true
		}
	}
	return false
}

// feed takes the sums of another second.
func (s *passiveServer) feed(now *Seen) {
	last := &s.ring[(s.at+passiveWindow-1)%passiveWindow]
	if now.fell(last) {
		s.forget(now)
		return
	}
	second := now.minus(last)
	s.run += second.bad()
	if second.Answered > 0 {
		s.run = 0
	}
	oldest := &s.ring[0]
	if s.filled {
		oldest = &s.ring[s.at]
	}
	s.window = now.minus(oldest)
	s.ring[s.at] = *now
	if s.at++; s.at == passiveWindow {
		s.at, s.filled = 0, true
	}
}

// back lets servers have calls again whose time is over, or that are more than may be out.
func (p *Passive) back(now time.Time, seen []Seen, out int) (changes []Ejection) {
	var left []*Seen
	for i := range seen {
		s := p.servers[seen[i].Server]
		switch {
		case s.until.IsZero():
		case !now.Before(s.until):
			changes = append(changes, s.comeBack(now, &seen[i], ""))
		case !seen[i].Up: // it is out anyway
			s.down = true
		case s.down: // what it was taken out for was that
			changes = append(changes, s.comeBack(now, &seen[i], "it went down, and is up again"))
		default:
			left = append(left, &seen[i])
		}
	}
	slices.SortFunc(left, func(a, b *Seen) int { return p.servers[a.Server].until.Compare(p.servers[b.Server].until) })
	for _, o := range left[:max(0, len(left)-out)] {
		changes = append(changes, p.servers[o.Server].comeBack(now, o, "too few others are left"))
	}
	return changes
}

func (s *passiveServer) comeBack(now time.Time, seen *Seen, why string) Ejection {
	s.forget(seen)
	s.forgive, s.until, s.down, s.why = now, time.Time{}, false, ""
	return Ejection{Server: seen.Server, Why: why}
}

// forget has a server judged by what it does from now on.
func (s *passiveServer) forget(seen *Seen) {
	*s = passiveServer{times: s.times, forgive: s.forgive, until: s.until, down: s.down, why: s.why, at: 1}
	s.ring[0] = *seen
}

// eject takes out those that are clearly worse than the others, the worst first.
func (p *Passive) eject(now time.Time, seen []Seen, out int) (changes []Ejection) {
	type suspect struct {
		at  netip.AddrPort
		bad float64
		why string
	}
	var suspects []suspect
	isOut := 0
	u := p.usual(seen)
	for i := range seen {
		s := p.servers[seen[i].Server]
		if !s.until.IsZero() && seen[i].Up {
			isOut++
		}
		if !s.until.IsZero() || !seen[i].Up {
			continue
		}
		if bad, why := p.judge(s, &u); why != "" {
			suspects = append(suspects, suspect{seen[i].Server, bad, why})
		}
	}
	slices.SortStableFunc(suspects, func(a, b suspect) int {
		return cmp.Or(cmp.Compare(b.bad, a.bad), a.at.Compare(b.at))
	})
	for _, o := range suspects[:min(len(suspects), max(0, out-isOut))] {
		s := p.servers[o.at]
		s.times++
		s.until, s.why = now.Add(min(passiveLongest, time.Duration(s.times)*passiveFirst)), o.why
		changes = append(changes, Ejection{o.at, true, s.until, o.why})
	}
	return changes
}

// usual is what the servers of the pool do that are in, each list in order.
type usual struct{ bad, times []float64 }

func (p *Passive) usual(seen []Seen) (u usual) {
	for i := range seen {
		s := p.servers[seen[i].Server]
		if !s.until.IsZero() || !seen[i].Up {
			continue
		}
		if share, n := s.window.share(); n > 0 {
			u.bad = append(u.bad, share)
		}
		if ms, finals := s.window.medianMS(); finals >= passiveFinals {
			u.times = append(u.times, ms)
		}
	}
	slices.Sort(u.bad)
	slices.Sort(u.times)
	return u
}

// share is the part of requests that came to nothing, and of how many.
func (s *Seen) share() (float64, uint64) {
	n := s.Answered + s.bad()
	return float64(s.bad()) / float64(max(1, n)), n
}

// without is the median of a list in order from which one value is taken; 0 if no other is left.
func without(x []float64, value float64) float64 {
	at, found := slices.BinarySearch(x, value)
	n := len(x)
	if found {
		n--
	} else {
		at = n
	}
	if n == 0 {
		return 0
	}
	get := func(k int) float64 {
		if k >= at {
			k++
		}
		return x[k]
	}
	if !found {
		return (x[(n-1)/2] + x[n/2]) / 2
	}
	return (get((n-1)/2) + get(n/2)) / 2
}

// judge says how bad a server is (0 to 1) and why it is to be left alone; "" if it is not.
func (p *Passive) judge(s *passiveServer, u *usual) (bad float64, why string) {
	bad, n := s.window.share()
	faults := s.window.bad()
	worse := bad >= passiveTimes*without(u.bad, bad) // what befalls all is no fault of one
	switch {
	case worse && n >= passiveLeast && faults*100 >= n*passiveShare:
		return bad, s.window.words(n)
	case worse && s.run >= passiveRun && faults >= passiveRun:
		return bad, s.window.words(n) + ", the last " + fmt.Sprint(s.run) + " in a row"
	}
	ms, finals := s.window.medianMS()
	if usual := without(u.times, ms); finals >= passiveFinals && len(u.times) > 1 && ms > passiveSlow*usual && ms > usual+passiveSlowMS {
		return bad, fmt.Sprintf("half of %d responses took more than %.0f ms in %d s, the others' take %.0f ms", finals, ms, passiveWindow, usual)
	}
	return bad, ""
}

// words is the evidence: what most of the faults were.
func (s *Seen) words(n uint64) string {
	most, what := s.Unanswered, "timed out"
	for _, o := range []struct {
		n    uint64
		what string
	}{{s.Unreachable, "were answered by ICMP unreachable"}, {s.Busy, "were answered 503"}, {s.Errors, "were answered 5xx"}} {
		if o.n > most {
			most, what = o.n, o.what
		}
	}
	text := fmt.Sprintf("%d of %d requests %s", most, n, what)
	if rest := s.bad() - most; rest > 0 {
		text += fmt.Sprintf(" and %d failed otherwise", rest)
	}
	return fmt.Sprintf("%s in %d s", text, passiveWindow)
}

// Out tells until when a server is out, and why; ok is false for one that is in.
func (p *Passive) Out(server netip.AddrPort) (until time.Time, why string, ok bool) {
	s := p.servers[server]
	if s == nil || s.until.IsZero() {
		return time.Time{}, "", false
	}
	return s.until, s.why, true
}

// Idle reports whether nothing can come of a step in which nothing was counted.
func (p *Passive) Idle() bool {
	for _, s := range p.servers {
		if !s.until.IsZero() || s.run > 0 || s.window.bad() > 0 {
			return false
		}
	}
	return true
}
