// Package tap copies messages for who wants to see them, with what was decided about them: traces. Workers hold each message
// against the filters of the taps that are open, and copy what fits; a reader turns it into words. docs/adr/0011-taps.md has the
// reasons.
package tap

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Limits of taps.
const (
	MaxTaps = 8
	// tapLife is how long a tap lives that nobody renews.
	tapLife = time.Minute
	// A page is what workers have copied and nobody has read yet; a tap has two.
	pageOctets   = 4 << 20
	pageMessages = 8192
	// followed is how many Call-IDs a tap follows at a time; a newer one may take the place of an older one.
	followed = 4096
)

// ErrManyTaps says that MaxTaps are there.
var ErrManyTaps = fmt.Errorf("%d traces are under way already, more are not allowed; end one", MaxTaps)

// ErrClosed says that nobody has renewed the tap in time, or that the engine ends.
var ErrClosed = errors.New("the trace has ended")

// Taps are the traces of an engine.
type Taps struct {
	mu   sync.Mutex // of who changes now
	now  atomic.Pointer[List]
	Note func(*report.TraceMessage) // is told of each message that was read, by its reader; may be nil
}

// List is what workers look at: the taps that there are; nil when there is none.
type List struct{ list []*Tap }

// Now is the list for a batch.
func (ts *Taps) Now() *List { return ts.now.Load() }

// Show holds a message against all taps, and copies it for those which want it. m is nil for what is no SIP message.
func (l *List) Show(s *Sighting, m *sip.Msg, came, left []byte) {
	for _, t := range l.list {
		if t.wants(s, m) {
			t.put(s, came, left)
		}
	}
}

// Tap copies messages that somebody wants to see. Workers put in, one reader takes out.
type Tap struct {
	of     *Taps
	fits   criteria
	before bool
	secret bool
	timer  *time.Timer
	closed chan struct{}
	once   sync.Once
	some   chan struct{} // of capacity one: the page holds something

	follow [followed]atomic.Uint64 // hashes of Call-IDs, each at its place

	mu   sync.Mutex // guards what follows; workers hold it for a copy of one message
	page *page
	seq  uint64
	lost uint64

	read reader // of who calls Read
}

// page is messages that were copied.
type page struct {
	text []byte
	list []Sighting
}

func newPage() *page {
	return &page{make([]byte, 0, pageOctets), make([]Sighting, 0, pageMessages)}
}

func (p *page) reset() {
	clear(p.list) // they hold snapshots
	p.text, p.list = p.text[:0], p.list[:0]
}

// Sighting is one message and what became of it, as a worker knows it.
type Sighting struct {
	What       string // of report.TraceMessage
	Listener   *snapshot.Listener
	Server     *snapshot.Server // of the verdict
	Face       *snapshot.Face   // it left from; nil: it did not leave
	From, To   netip.AddrPort
	Local      netip.Addr
	Action     string // the verdict's, as a word
	Answered   bool   // we answered it ourselves
	FromServer bool   // it came from a server, out of a dialog of ours or in one
	Reason     string
	Sentence   string // the reason in words
	Status     int    // of the verdict
	LatencyUS  uint64

	// valid in a page only
	at         int64 // ns since 1970
	seq        uint64
	came, left [2]int // where the texts are in the page
}

var callSeed = maphash.MakeSeed()

// wants reports whether the tap is to have a message; m is nil for what is none.
func (t *Tap) wants(s *Sighting, m *sip.Msg) bool {
	if t.before {
		return t.fits.service(s.Listener.Service)
	}
	if m == nil {
		return t.fits.all(s, nil)
	}
	if t.fits.only || m.CallID.Len() == 0 {
		return t.fits.all(s, m)
	}
	h := max(maphash.Bytes(callSeed, m.Bytes(m.CallID)), 1)
	place := &t.follow[h%followed]
	if place.Load() == h {
		return t.fits.service(s.Listener.Service)
	}
	if !t.fits.all(s, m) {
		return false
	}
	place.Store(h)
	return true
}

// put copies a message, or counts it as lost.
func (t *Tap) put(s *Sighting, came, left []byte) {
	at := time.Now().UnixNano() // a batch has one time, and people look at each message
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.page
	t.seq++
	if len(p.list) == cap(p.list) || len(came)+len(left) > cap(p.text)-len(p.text) {
		t.lost++
		return
	}
	p.list = append(p.list, *s)
	c := &p.list[len(p.list)-1]
	c.at, c.seq = at, t.seq
	n := len(p.text)
	p.text = append(append(p.text, came...), left...)
	c.came, c.left = [2]int{n, n + len(came)}, [2]int{n + len(came), len(p.text)}
	if len(p.list) == 1 {
		select {
		case t.some <- struct{}{}:
		default:
		}
	}
}

// Open begins a trace. Who reads it renews it, and closes it at the end.
func (ts *Taps) Open(f report.TraceFilter) (*Tap, error) {
	t := &Tap{of: ts, fits: compileFilter(&f), before: f.Before, secret: f.Secrets, closed: make(chan struct{}), some: make(chan struct{}, 1)}
	t.read.past.calls = map[string][]*report.TraceMessage{}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var list []*Tap
	if now := ts.now.Load(); now != nil {
		list = now.list
	}
	if len(list) >= MaxTaps {
		return nil, ErrManyTaps
	}
	t.page, t.read.page = newPage(), newPage()
	t.timer = time.AfterFunc(tapLife, t.Close)
	ts.now.Store(&List{append(slices.Clone(list), t)})
	return t, nil
}

// Renew lets the tap live for another minute.
func (t *Tap) Renew() { t.timer.Reset(tapLife) }

// Close ends the trace.
func (t *Tap) Close() {
	t.once.Do(func() {
		t.timer.Stop()
		close(t.closed)
		t.of.mu.Lock()
		defer t.of.mu.Unlock()
		list := slices.DeleteFunc(slices.Clone(t.of.now.Load().list), func(o *Tap) bool { return o == t })
		if len(list) == 0 {
			t.of.now.Store(nil)
			return
		}
		t.of.now.Store(&List{list})
	})
}

// Close ends all traces.
func (ts *Taps) Close() {
	if now := ts.now.Load(); now != nil {
		for _, t := range now.list {
			t.Close()
		}
	}
}
