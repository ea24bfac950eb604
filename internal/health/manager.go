package health

import (
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits and paces. Each is a default of the Config field of the same name where there is one.
const (
	// QuickStartInterval is the time between checks of a server whose state is not settled, or that was kicked.
	QuickStartInterval = 500 * time.Millisecond
	// DefaultMaxStarts is how many checks are started a second, over all targets. Checks beyond wait, and are counted as late.
	DefaultMaxStarts = 2000
	// DefaultMaxOpen is how many checks with a socket of their own (TCP, UDP, SIP over TCP) are open at a time.
	DefaultMaxOpen = 4096
	// KickInterval is the least time between two kicks of one server that are obeyed.
	KickInterval = time.Second
)

// Config is what a Manager needs; the zero value works.
type Config struct {
	// OnChange hears of every change of a server's state, in order, from one goroutine of its own. It may call the Manager, but
	// must not block: until it returns, further changes wait (of one server only the latest waits).
	OnChange func(Change)
	// Sender, if set, sends SIP probes over UDP from a socket of the engine; see the package comment.
	Sender Sender
	// MaxStarts and MaxOpen bound the load; 0 = DefaultMaxStarts, DefaultMaxOpen.
	MaxStarts, MaxOpen int
	// UserAgent goes into the User-Agent header field; "" = "carillon".
	UserAgent string
}

// Sender sends one datagram to a server from the service's socket at local. It must not block nor keep the datagram. An error
// fails the check as an error of a socket would (unwrap to syscall.Errno where there is one).
type Sender func(local, to netip.AddrPort, datagram []byte) error

// Change is one change of a server's state.
type Change struct {
	Pool   string
	Server netip.AddrPort
	State  State // Up or Down
	Up     bool  // State == Up
	Reason Code  // why: Success, NoMonitor, or the failure that decided
	Detail string
	At     time.Time
}

// Manager probes servers. All methods may be called from any goroutine.
type Manager struct {
	l     *loop
	close sync.Once
	known atomic.Pointer[poolMap] // what State and Kick look up; replaced by Apply and Update
}

// New returns a running Manager with no targets. Close ends it.
func New(cfg Config) *Manager {
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	l := newLoop(cfg, rand.NewChaCha8(seed))
	if cfg.Sender != nil {
		l.probers[probeSIP] = &sipSender{l: l}
	} else {
		l.probers[probeSIP] = newSIPUDP(l)
	}
	l.probers[probeDial] = &dialer{l: l}
	l.probers[probePing] = newPinger(l)
	return start(l)
}

func start(l *loop) *Manager {
	m := &Manager{l: l}
	m.known.Store(&poolMap{})
	l.wg.Add(1)
	go l.run()
	if l.cfg.OnChange != nil {
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.changes.run()
		}()
	}
	return m
}

// Close stops all probes and returns when every goroutine and socket of the Manager is gone. No OnChange is called afterwards;
// Close must not be called from OnChange.
func (m *Manager) Close() {
	m.close.Do(func() {
		m.l.changes.close()
		close(m.l.stop)
	})
	m.l.wg.Wait()
}

// do runs f in the loop and says whether it did: not after Close.
func (m *Manager) do(f func()) bool {
	done := make(chan struct{})
	select {
	case m.l.commands <- func() { f(); close(done) }:
		<-done
		return true
	case <-m.l.stop:
		return false
	}
}

// Apply makes targets the set that is watched. Servers that stay keep their health; monitors that stay unchanged keep their schedule
// too; a changed monitor keeps the health and checks anew at quick-start pace; what is gone is forgotten. When Apply returns,
// State answers for the new set. An error names the target that cannot be watched; then nothing is changed.
func (m *Manager) Apply(targets []Target) error {
	if err := checkTargets(targets); err != nil {
		return err
	}
	pools := map[string][]Target{}
	for _, t := range targets {
		pools[t.Pool] = append(pools[t.Pool], t)
	}
	return m.update(pools, true)
}

// Update is Apply for some pools: what it names is watched as it says, no target at all meaning that the pool is gone,
// and all other pools stay as they are. It costs what it names.
func (m *Manager) Update(pools map[string][]Target) error {
	for _, targets := range pools {
		if err := checkTargets(targets); err != nil {
			return err
		}
	}
	return m.update(pools, false)
}

func (m *Manager) update(pools map[string][]Target, all bool) error {
	ok := m.do(func() {
		m.l.apply(pools, all, time.Now())
		m.known.Store(m.l.pools)
	})
	if !ok {
		return errors.New("health: closed")
	}
	return nil
}

// State returns what is known of a server: Unknown for one that is not watched. It takes no lock.
func (m *Manager) State(pool string, server netip.AddrPort) State {
	if s := m.find(pool, server); s != nil {
		return State(s.public.Load())
	}
	return Unknown
}

func (m *Manager) find(pool string, addr netip.AddrPort) *server {
	return m.known.Load().of(pool)[plain(addr)]
}

// Kick brings the next checks of a server forward to quick-start pace, until they have settled its state anew: for ICMP errors and
// silence that the message path has seen. It never blocks; kicks within KickInterval of the last, and kicks beyond what can be
// taken, are dropped.
func (m *Manager) Kick(pool string, server netip.AddrPort) {
	s := m.find(pool, server)
	if s == nil {
		return
	}
	now, last := int64(time.Since(m.l.begin)), s.kickedNS.Load()
	if now-last < int64(KickInterval) || !s.kickedNS.CompareAndSwap(last, now) {
		m.l.kicksCut.Add(1)
		return
	}
	select {
	case m.l.kicks <- s:
	default:
		m.l.kicksCut.Add(1)
	}
}

// Deliver takes a datagram that came in on the engine's socket, when Sender is used, and says whether it could be a response to a
// probe: the engine has looked at its branch with IsProbe. The bytes are copied. It never blocks; a datagram too many is dropped,
// as the network might.
func (m *Manager) Deliver(from netip.AddrPort, b []byte) bool {
	buf := buffers.Get().(*buffer)
	buf.n = copy(buf.data[:], b)
	select {
	case m.l.events <- event{kind: datagram, from: plain(from), at: time.Now(), buf: buf}:
		return true
	default:
		buffers.Put(buf)
		m.l.dropped.Add(1)
		return false
	}
}

// Unreachable tells, when Sender is used, that an ICMP error came back for something sent to a server: syscall.ECONNREFUSED for port
// unreachable, which fails a check in flight at once, another for less certain news. It never blocks.
func (m *Manager) Unreachable(to netip.AddrPort, errno syscall.Errno) {
	select {
	case m.l.events <- event{kind: unreachable, from: plain(to), at: time.Now(), out: outcomeOf(errno, PortUnreachable)}:
	default:
		m.l.dropped.Add(1)
	}
}

// plain returns a in the form in which addresses are compared: IPv4 never mapped into IPv6.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
