package engine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// A hot restart, as the engine sees it: one process hands over to another what it serves with (docs/adr/0013-hot-restart.md).
// This file is what changes hands while the one still serves and the other is being made ready: sockets, and what is known
// of servers. leave.go is the giving side of the rest, takeover.go the taking one.

// estate is what an engine serves with, as it tells its successor.
type estate struct {
	Epoch    int64                       `json:"epoch"` // handover.Now when the clock of soft state began
	Groups   []estateGroup               `json:"groups"`
	Services []estateService             `json:"services"`
	Servers  []serverName                `json:"servers"` // by handle
	Health   []health.Known              `json:"health"`
	Ramps    []serverTime                `json:"ramps"`
	Drains   []serverTime                `json:"drains"`
	Backoffs []serverTime                `json:"backoffs"`
	Outed    map[string][]health.Outed   `json:"outed"` // by ID of the pool
	files    map[snapshot.Key][]*os.File // that are not adopted yet
	adopted  int
}

// estateGroup is the sockets of one listener.
type estateGroup struct {
	Key     snapshot.Key   `json:"key"`
	Bound   netip.AddrPort `json:"bound"`
	Sockets int            `json:"sockets"`
}

// estateService is how much is known of a service.
type estateService struct {
	ID           string `json:"id"`
	Transactions int    `json:"transactions"`
	Calls        int    `json:"calls"`
}

// serverName names a server in any process.
type serverName struct {
	Pool string         `json:"pool"` // its ID
	Addr netip.AddrPort `json:"addr"`
}

type serverTime struct {
	serverName
	At handover.Moment `json:"at"`
}

// describe is what the engine serves with, and the descriptors of its sockets, which are the caller's to close. order is the
// groups as they are told. The caller holds e.mu.
func (e *Engine) describe() (es *estate, order []*group, fds []int, err error) {
	es = &estate{Epoch: handover.Now() - int64(time.Since(e.start)), Health: e.health.Known(), Outed: map[string][]health.Outed{},
		Ramps: serverTimes(e.ramps), Drains: serverTimes(e.drains), Backoffs: serverTimes(e.backoffs)}
	add := func(fd int) {
		var n int
		if n, err = handover.Dup(fd); err == nil {
			fds = append(fds, n)
		}
	}
	for k, g := range e.groups {
		n := len(fds)
		if g.stream != nil {
			err = first(err, g.stream.Descriptor(add))
		}
		for _, l := range g.lanes {
			err = first(err, l.sock.Descriptor(add))
		}
		if err != nil {
			handover.CloseAll(fds)
			return nil, nil, nil, fmt.Errorf("sockets of %v: %w", g.bound, err)
		}
		es.Groups, order = append(es.Groups, estateGroup{k, g.bound, len(fds) - n}), append(order, g)
	}
	for _, sv := range e.live.Load().snap.Servers() {
		name := serverName{}
		if sv != nil {
			name = serverName{sv.Pool.ID, sv.Addr}
		}
		es.Servers = append(es.Servers, name)
	}
	for id, s := range e.states {
		transactions, calls := s.Held()
		es.Services = append(es.Services, estateService{id, transactions, calls})
	}
	for id, p := range e.passive {
		if out := p.Outed(); len(out) > 0 {
			es.Outed[id] = out
		}
	}
	return es, order, fds, nil
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func serverTimes(m map[drainKey]time.Time) (out []serverTime) {
	for k, t := range m {
		out = append(out, serverTime{serverName{k.pool, k.addr}, handover.MomentOf(t)})
	}
	return out
}

// askEstate asks the engine that is to be taken over for what it serves with. Nothing changes there by it.
func (e *Engine) askEstate(from *handover.Conn) error {
	if from == nil {
		return nil
	}
	if err := from.Send(handover.AskSockets, nil); err != nil {
		return err
	}
	m, err := from.Expect(handover.Sockets)
	if err != nil {
		return err
	}
	es := &estate{files: map[snapshot.Key][]*os.File{}}
	if err := json.Unmarshal(m.Data, es); err != nil {
		m.CloseFiles()
		return fmt.Errorf("handover: %w", err)
	}
	files := m.Files
	for _, g := range es.Groups {
		if g.Sockets > len(files) {
			break
		}
		es.files[g.Key], files = files[:g.Sockets], files[g.Sockets:]
	}
	e.estate = es
	e.start = time.Now().Add(-time.Duration(handover.Now() - es.Epoch))
	for _, d := range es.Drains {
		e.drains[drainKey{d.Pool, d.Addr}] = d.At.Time()
	}
	return nil
}

// inherited is a listener's group with the sockets that another engine had for it; nil if there are none.
func (e *Engine) inherited(k snapshot.Key) (*group, error) {
	if e.estate == nil || len(e.estate.files[k]) == 0 {
		return nil, nil
	}
	files := e.estate.files[k]
	delete(e.estate.files, k)
	g := &group{key: k}
	for i, f := range files {
		if k.Transport.Stream() {
			ln, err := transport.AdoptStream(f, k.Transport == sip.TLS, e.cfg.Stream)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", k.Addr, err)
			}
			g.bound, g.stream = ln.LocalAddr(), ln
			continue
		}
		s, err := transport.AdoptUDP(f, e.cfg.UDP)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", k.Addr, err)
		}
		g.bound, g.lanes = s.LocalAddr(), append(g.lanes, newLane(s, i))
	}
	e.estate.adopted++
	return g, nil
}

// settleEstate has what was known of servers count here: nobody is to get calls before a probe says again that it is down.
func (e *Engine) settleEstate() {
	es := e.estate
	e.health.Learn(es.Health)
	e.mu.Lock()
	defer e.mu.Unlock()
	now, l := time.Now(), e.live.Load()
	for _, s := range es.Services {
		if st := e.states[s.ID]; st != nil {
			st.Reserve(s.Transactions, s.Calls)
		}
	}
	e.settleConditions(l.snap.Pools)
	for _, r := range es.Ramps {
		e.ramps[drainKey{r.Pool, r.Addr}] = r.At.Time()
	}
	e.stepRamps(now)
	for _, b := range es.Backoffs {
		if p, sv := e.find(drainKey{b.Pool, b.Addr}); sv != nil && now.Before(b.At.Time()) {
			e.backoffs[drainKey{b.Pool, b.Addr}] = b.At.Time()
			e.setCondition(p, sv, balance.Backoff, true)
		}
	}
	for id, out := range es.Outed {
		p := l.snap.Pool(id)
		if p == nil || !p.Object.InlineHealthMonitor {
			continue
		}
		w := new(passive)
		w.Learn(out)
		e.passive[id] = w
		for _, o := range out {
			if sv := p.ServerAt(o.Server); sv != nil && sv.Index >= 0 && o.Until != 0 {
				why := o.Why
				sv.Traffic.Ejected.Store(&why)
				e.setCondition(p, sv, balance.Ejected, true)
			}
		}
	}
}

// close closes sockets that nobody adopted.
func (es *estate) close() {
	if es == nil {
		return
	}
	for _, files := range es.files {
		for _, f := range files {
			f.Close()
		}
	}
	es.files = nil
}
