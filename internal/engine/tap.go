package engine

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
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

// ErrTapClosed says that nobody has renewed the tap in time, or that the engine ends.
var ErrTapClosed = errors.New("the trace has ended")

// taps is what workers look at: nil, or the taps that there are.
type taps struct{ list []*Tap }

// Tap copies messages that somebody wants to see. Workers put in, one reader takes out.
type Tap struct {
	e      *Engine
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
	list []sighting
}

func newPage() *page {
	return &page{make([]byte, 0, pageOctets), make([]sighting, 0, pageMessages)}
}

func (p *page) reset() {
	clear(p.list) // they hold snapshots
	p.text, p.list = p.text[:0], p.list[:0]
}

// sighting is one message and what became of it, as a worker knows it.
type sighting struct {
	what     string // of report.TraceMessage
	listener *snapshot.Listener
	server   *snapshot.Server // of the verdict
	face     *snapshot.Face   // it left from; nil: it did not leave
	from, to netip.AddrPort
	local    netip.Addr
	action   proxy.Action
	reason   proxy.Reason
	status   int // of the verdict
	latency  uint64

	// valid in a page only
	at         int64 // ns since 1970
	seq        uint64
	came, left [2]int // where the texts are in the page
}

var callSeed = maphash.MakeSeed()

// tapped shows to taps the message that was just decided about. The worker has taps.
func (w *worker) tapped(what string, v *proxy.Verdict, left []byte) {
	s := &w.sighting
	*s = sighting{what: what, listener: w.input.Listener, server: v.Server, from: w.input.From, local: w.input.Local,
		action: v.Action, reason: v.Reason, status: v.Status}
	if v.Final {
		s.latency = max(v.LatencyUS, 1)
	}
	if v.Action == proxy.Forward || v.Action == proxy.Answer {
		s.to, s.face = v.To, v.Face
	} else {
		left = nil
	}
	came := w.msg.Buf
	if what == report.TraceResent || what == report.TraceAck {
		came = nil
	}
	w.show(s, &w.msg, came, left)
}

// tappedAck is tapped for the ACK of a refusal, which no verdict of its own tells of.
func (w *worker) tappedAck(v *proxy.Verdict, ack []byte, to netip.AddrPort, face *snapshot.Face) {
	s := &w.sighting
	*s = sighting{what: report.TraceAck, listener: w.input.Listener, server: v.Server, from: w.input.From, local: w.input.Local,
		action: proxy.Forward, reason: v.Reason, to: to, face: face}
	w.show(s, &w.msg, nil, ack)
}

// tappedJunk is tapped for what is no SIP message.
func (w *worker) tappedJunk(d *transport.Datagram, reason proxy.Reason) {
	s := &w.sighting
	*s = sighting{what: report.TraceNoSIP, listener: w.input.Listener, from: d.From, local: d.Local, reason: reason}
	w.show(s, nil, d.Data, nil)
}

func (w *worker) show(s *sighting, m *sip.Msg, came, left []byte) {
	for _, t := range w.taps.list {
		if t.wants(s, m) {
			t.put(s, came, left)
		}
	}
}

// wants reports whether the tap is to have a message; m is nil for what is none.
func (t *Tap) wants(s *sighting, m *sip.Msg) bool {
	if t.before {
		return t.fits.service(s.listener.Service)
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
		return t.fits.service(s.listener.Service)
	}
	if !t.fits.all(s, m) {
		return false
	}
	place.Store(h)
	return true
}

// put copies a message, or counts it as lost.
func (t *Tap) put(s *sighting, came, left []byte) {
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

// Tap begins a trace. Who reads it renews it, and closes it at the end.
func (e *Engine) Tap(f report.TraceFilter) (*Tap, error) {
	t := &Tap{e: e, fits: compileFilter(&f), before: f.Before, secret: f.Secrets, closed: make(chan struct{}), some: make(chan struct{}, 1)}
	t.read.past.calls = map[string][]*report.TraceMessage{}
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*Tap
	if now := e.taps.Load(); now != nil {
		list = now.list
	}
	if len(list) >= MaxTaps {
		return nil, ErrManyTaps
	}
	t.page, t.read.page = newPage(), newPage()
	t.timer = time.AfterFunc(tapLife, t.Close)
	e.taps.Store(&taps{append(slices.Clone(list), t)})
	return t, nil
}

// Renew lets the tap live for another minute.
func (t *Tap) Renew() { t.timer.Reset(tapLife) }

// Close ends the trace.
func (t *Tap) Close() {
	t.once.Do(func() {
		t.timer.Stop()
		close(t.closed)
		t.e.mu.Lock()
		defer t.e.mu.Unlock()
		now := t.e.taps.Load()
		list := slices.DeleteFunc(slices.Clone(now.list), func(o *Tap) bool { return o == t })
		if len(list) == 0 {
			t.e.taps.Store(nil)
			return
		}
		t.e.taps.Store(&taps{list})
	})
}

// closeTaps ends all traces.
func (e *Engine) closeTaps() {
	if now := e.taps.Load(); now != nil {
		for _, t := range now.list {
			t.Close()
		}
	}
}
