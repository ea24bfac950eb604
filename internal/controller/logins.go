package controller

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// Limits of logins.
const (
	// MaxFailedLogins is how many failed logins an address has free in a row; from then on each doubles the time until
	// the next may be tried.
	MaxFailedLogins = 5
	// MaxFailedForUser is the same for a user, over all addresses: more, so that nobody locks others out with ease.
	MaxFailedForUser = 50
	// maxLoginWait is the longest such time.
	maxLoginWait = 5 * time.Minute
	// maxLoginsKept is how many users and addresses are remembered; the oldest go first.
	maxLoginsKept = 10_000
	// knownFor is how long a password that was right need not be hashed again.
	knownFor = time.Minute
	// maxHashing is how many passwords are hashed at a time.
	maxHashing = 2
	// maxLoginsWaiting is how many wait for that.
	maxLoginsWaiting = 256
	// maxLoginName is how much of a name counts.
	maxLoginName = 128
)

// logins remembers who failed, and who was right a moment ago.
type logins struct {
	hashing chan struct{}
	waiting chan struct{}
	key     [32]byte

	mu    sync.Mutex
	fails map[string]failures
	known map[[32]byte]time.Time // until when
}

type failures struct {
	n     int
	last  time.Time
	until time.Time
}

func newLogins() *logins {
	l := &logins{hashing: make(chan struct{}, maxHashing), waiting: make(chan struct{}, maxLoginsWaiting), fails: map[string]failures{}, known: map[[32]byte]time.Time{}}
	_, _ = rand.Read(l.key[:]) // never fails: crypto/rand
	return l
}

// print is what is remembered of a password: nothing outside of this process can be learnt from it.
func (l *logins) print(u *user, password string) (out [32]byte) {
	m := hmac.New(sha256.New, l.key[:])
	m.Write([]byte(u.uuid + "\x00" + u.hash + "\x00" + password))
	copy(out[:], m.Sum(nil))
	return out
}

func (l *logins) knows(u *user, password string) bool {
	p := l.print(u, password)
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.known[p]
	return ok && time.Now().Before(until)
}

func (l *logins) good(u *user, password, name, address string) {
	p := l.print(u, password)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= maxLoginsKept {
		clear(l.known)
	}
	l.known[p] = time.Now().Add(knownFor)
	delete(l.fails, userKey(name))
	delete(l.fails, addressKey(address))
}

// wait is how long a user, or an address, must wait.
func (l *logins) wait(name, address string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.fails[userKey(name)].until
	if other := l.fails[addressKey(address)].until; other.After(until) {
		until = other
	}
	return until.Sub(now)
}

func (l *logins) failed(name, address string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, free := range map[string]int{userKey(name): MaxFailedForUser, addressKey(address): MaxFailedLogins} {
		f := l.fails[k]
		if now.Sub(f.last) > 2*maxLoginWait {
			f.n = 0
		}
		f.n, f.last = f.n+1, now
		if over := f.n - free; over >= 0 {
			f.until = now.Add(min(maxLoginWait, time.Second<<min(over, 10)))
		}
		if _, there := l.fails[k]; !there && len(l.fails) >= maxLoginsKept {
			l.forgetOldest()
		}
		l.fails[k] = f
	}
}

// queue takes a place among those who wait, if there is one.
func (l *logins) queue() bool {
	select {
	case l.waiting <- struct{}{}:
		return true
	default:
		return false
	}
}

// userKey is what failures of a user are remembered under. A client chooses the name: it is not kept at any length.
func userKey(name string) string { return "user " + name[:min(len(name), maxLoginName)] }

// addressKey is the same of an address. Of IPv6 it is the link, /64: a host there has as many addresses as it likes.
func addressKey(text string) string {
	if a, err := netip.ParseAddr(text); err == nil && a.Is6() && !a.Is4In6() {
		text = netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
	}
	return "address " + text
}

func (l *logins) forgetOldest() {
	var oldest string
	for k, f := range l.fails {
		if oldest == "" || f.last.Before(l.fails[oldest].last) {
			oldest = k
		}
	}
	delete(l.fails, oldest)
}
