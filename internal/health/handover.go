package health

import (
	"net/netip"
	"time"

	"github.com/carillon-sip/carillon/internal/handover"
)

// Known is what is known of one server under one monitor, for another process to begin with.
type Known struct {
	Pool    string         `json:"pool"`
	Server  netip.AddrPort `json:"server"`
	Monitor string         `json:"monitor"`
	State   State          `json:"state"` // Up or Down
	Reason  Code           `json:"reason"`
	Since   time.Time      `json:"since"` // to be shown
}

// Known returns what is known, of servers whose state is settled.
func (m *Manager) Known() []Known {
	var out []Known
	m.do(func() {
		for s := range m.l.pools.all {
			for _, c := range s.checks {
				if c.m.state != Unknown {
					out = append(out, Known{s.key.pool, s.key.addr, c.mon.Name, c.m.state, c.m.reason, c.m.since})
				}
			}
		}
	})
	return out
}

// Learn takes on what another process knew, as far as it is about what is watched here and nothing is known of yet. The next
// checks come as they would have: at quick-start pace.
func (m *Manager) Learn(known []Known) {
	m.do(func() {
		now := time.Now()
		for i := range known {
			k := &known[i]
			s := m.l.pools.of(k.Pool)[plain(k.Server)]
			if s == nil || k.State == Unknown {
				continue
			}
			for _, c := range s.checks {
				if c.mon.Name == k.Monitor && c.m.state == Unknown {
					c.m.state, c.m.reason, c.m.since = k.State, k.Reason, k.Since
					m.l.settle(s, now)
				}
			}
		}
	})
}

// Outed is a server that passive health has taken out, or that was out not long ago.
type Outed struct {
	Server  netip.AddrPort  `json:"server"`
	Times   int             `json:"times"`
	Forgive handover.Moment `json:"forgive"`
	Until   handover.Moment `json:"until"` // 0: it is in
	Why     string          `json:"why"`
}

// Outed tells of servers that are out or were.
func (p *Passive) Outed() (out []Outed) {
	for addr, s := range p.servers {
		if s.times > 0 || !s.until.IsZero() {
			out = append(out, Outed{addr, s.times, handover.MomentOf(s.forgive), handover.MomentOf(s.until), s.why})
		}
	}
	return out
}

// Learn takes on what another process knew. Servers are judged by what they do from the first Step on.
func (p *Passive) Learn(known []Outed) {
	if p.servers == nil {
		p.servers = map[netip.AddrPort]*passiveServer{}
	}
	for _, k := range known {
		p.servers[k.Server] = &passiveServer{times: k.Times, forgive: k.Forgive.Time(), until: k.Until.Time(), why: k.Why, at: 1}
	}
}
