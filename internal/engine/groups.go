package engine

import (
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// settleGroups finds anew which pools of the groups with that pool take new calls; nil: of all groups. The caller holds
// e.mu.
func (e *Engine) settleGroups(p *snapshot.Pool) {
	l := e.live.Load()
	if l == nil {
		return
	}
	for _, g := range l.snap.SettleGroups(p) {
		label, ok := g.Priority()
		switch {
		case !ok:
			e.log.Warn("pool group down", "pool_group", g.Name)
		case g.Deactivated():
			e.log.Warn("pool group takes new calls at another priority", "pool_group", g.Name, "priority_label", label, "deactivated", "the priorities above")
		default:
			e.log.Info("pool group takes new calls at another priority", "pool_group", g.Name, "priority_label", label)
		}
	}
}

// GroupStatus is the pool group of a virtual service.
type GroupStatus struct {
	Name        string
	Priority    string // priority_label of the pools that take new calls
	Up          bool   // some pool takes them
	Deactivated bool   // a higher priority is held back by deactivate_primary_pool_on_down
	Members     []MemberStatus
}

// MemberStatus is one pool of a group.
type MemberStatus struct {
	Pool     string
	Priority string // priority_label
	Ratio    int
	Share    float64 // of new calls, 0 to 1
}

// groupStatus tells of the group of a service, and the pool to name in its place: the one that has the largest share.
func groupStatus(s *snapshot.Service) (*GroupStatus, *snapshot.Pool) {
	g := s.Group
	if g == nil {
		return nil, s.Pool
	}
	st := &GroupStatus{Name: g.Name, Deactivated: g.Deactivated()}
	st.Priority, st.Up = g.Priority()
	shares := g.Shares()
	most := 0
	for i, m := range g.Members {
		st.Members = append(st.Members, MemberStatus{m.Pool.Name, m.Label(), int(m.Ratio), shares[i]})
		if shares[i] > shares[most] {
			most = i
		}
	}
	return st, g.Members[most].Pool
}
