package health

import (
	"net/netip"
	"time"
)

// Limits and paces. Each is a default of the Config field of the same name where there is one.
const (
	// QuickStartInterval is the time between checks of a server whose state is not settled, or that was kicked.
	QuickStartInterval = 500 * time.Millisecond
	// DefaultMaxStarts is how many checks are started a second, over all targets. Checks beyond wait, and are counted as late.
	DefaultMaxStarts = 2000
	// DefaultMaxOpen is how many checks with a socket of their own (TCP, UDP, SIP over TCP) are open at a time.
	DefaultMaxOpen = 1024
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
type Manager struct{}

// New returns a running Manager with no targets. Close ends it.
func New(cfg Config) *Manager { return &Manager{} }

// Close stops all probes and returns when every goroutine and socket of the Manager is gone. No OnChange is called afterwards;
// Close must not be called from OnChange.
func (m *Manager) Close() {}

// Apply makes targets the set that is watched. Servers that stay keep their health; monitors that stay unchanged keep their schedule
// too; a changed monitor keeps the health and checks anew at quick-start pace; what is gone is forgotten. When Apply returns,
// State answers for the new set. An error names the target that cannot be watched; then nothing is changed.
func (m *Manager) Apply(targets []Target) error { return nil }

// State returns what is known of a server: Unknown for one that is not watched. It takes no lock.
func (m *Manager) State(pool string, server netip.AddrPort) State { return Unknown }

// Kick brings the next checks of a server forward to quick-start pace, until they have settled its state anew: for ICMP errors and
// silence that the message path has seen. It never blocks; kicks within KickInterval of the last, and kicks beyond what can be
// taken, are dropped.
func (m *Manager) Kick(pool string, server netip.AddrPort) {}

// Deliver takes a datagram that came in on the engine's socket, when Sender is used, and says whether it was a response to a probe.
// The bytes are copied. It never blocks; a datagram too many is dropped, as the network might.
func (m *Manager) Deliver(from netip.AddrPort, datagram []byte) bool { return false }

// Unreachable tells, when Sender is used, that an ICMP port unreachable came back for something sent to a server.
func (m *Manager) Unreachable(to netip.AddrPort) {}

// IsProbe says whether a top Via branch is one of a probe of this package.
func IsProbe(branch []byte) bool { return false }

// Status returns what is known of all servers, sorted by pool and address.
func (m *Manager) Status() []ServerStatus { return nil }

// ServerStatus returns what is known of one server; false if it is not watched.
func (m *Manager) ServerStatus(pool string, server netip.AddrPort) (ServerStatus, bool) {
	return ServerStatus{}, false
}

// Stats returns the counters of the Manager itself and the latencies by pool and monitor.
func (m *Manager) Stats() Stats { return Stats{} }
