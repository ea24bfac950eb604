package health

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a prober without a network. What send does is up to reply.
type fake struct {
	l      *loop
	resend bool
	own    bool

	mu    sync.Mutex
	reply func(c *check) (after time.Duration, out outcome, ok bool) // ok false: silence
	sent  []sentProbe
}

type sentProbe struct {
	at      time.Time
	addr    netip.AddrPort
	attempt int
}

func (f *fake) retransmits() bool        { return f.resend }
func (f *fake) ownSocket() bool          { return f.own }
func (f *fake) sweep(map[netip.Addr]int) {}

func (f *fake) send(c *check) outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, sentProbe{time.Now(), c.addr, c.attempt})
	after, out, ok := f.reply(c)
	if ok && after < 0 {
		return out
	}
	c.sent = true
	if ok {
		e := event{kind: answered, run: c.run, from: c.addr, out: out}
		time.AfterFunc(after, func() { e.at = time.Now(); f.l.post(e) })
	}
	return outcome{}
}

func (f *fake) answer(reply func(c *check) (time.Duration, outcome, bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reply = reply
}

// probes returns when probes left for a server, since start, and forgets them.
func (f *fake) probes(start time.Time) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var at []time.Duration
	for _, p := range f.sent {
		at = append(at, p.at.Sub(start))
	}
	f.sent = nil
	return at
}

func passing(*check) (time.Duration, outcome, bool) { return time.Millisecond, outcome{}, true }
func failing(*check) (time.Duration, outcome, bool) {
	return time.Millisecond, outcome{code: PortUnreachable, detail: "refused"}, true
}
func silent(*check) (time.Duration, outcome, bool) { return 0, outcome{}, false }

// changeLog keeps what OnChange hears.
type changeLog struct {
	mu  sync.Mutex
	all []Change
}

func (c *changeLog) hear(ch Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, ch)
}

// take returns the changes since start, as text, and forgets them.
func (c *changeLog) take(start time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s []string
	for _, ch := range c.all {
		s = append(s, fmt.Sprintf("%v %s %s %s", ch.At.Sub(start), ch.Server, ch.State, ch.Reason))
	}
	c.all = nil
	return s
}

// newFake returns a Manager whose probes are all answered by the fake, and the changes it tells.
func newFake(t *testing.T, cfg Config) (*Manager, *fake, *changeLog) {
	t.Helper()
	log := &changeLog{}
	if cfg.OnChange == nil {
		cfg.OnChange = log.hear
	}
	l := newLoop(cfg, rand.NewPCG(1, 2))
	f := &fake{l: l, resend: true, reply: passing}
	for _, k := range []proberKind{probeSIP, probePing, probeDial} {
		l.probers[k] = f
	}
	m := start(l)
	t.Cleanup(m.Close)
	return m, f, log
}

func sipMonitor(name string) Monitor {
	return Monitor{
		Name: name, Type: SIP, Interval: 10 * time.Second, Timeout: 4 * time.Second, Rise: 2, Fall: 2,
		SIPResponse: "SIP/2.0", MaxForwards: 70, Codes: DefaultCodes(),
	}
}

func server1(monitors ...Monitor) Target {
	return Target{Pool: "p", Server: netip.MustParseAddrPort("10.0.0.1:5060"), Monitors: monitors}
}

// many returns n servers watched by the same monitors.
func many(n int, monitors ...Monitor) []Target {
	ts := make([]Target, n)
	for i := range ts {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		ts[i] = Target{Pool: "p", Server: netip.AddrPortFrom(a, 5060), Monitors: monitors}
	}
	return ts
}

func apply(t *testing.T, m *Manager, targets ...Target) {
	t.Helper()
	if err := m.Apply(targets); err != nil {
		t.Fatal(err)
	}
}
