package snapshot

import (
	"maps"
	"slices"

	"github.com/carillon-sip/carillon/internal/token"
)

// drier copies what belongs to one service, so that a message can be decided about and nothing is changed by it.
type drier struct {
	service   *Service
	faces     map[*Face]*Face
	listeners map[*Listener]*Listener
}

// Dry returns the snapshot with a copy of one service and its pool in their place: State, counters and budget of the
// copy are its own, and so are those of the servers of other pools that known names.
func (s *Snapshot) Dry(v *Service, known ...Handle) *Snapshot {
	svc := *v
	d := &drier{service: &svc, faces: map[*Face]*Face{}, listeners: map[*Listener]*Listener{}}
	out := &Snapshot{Revision: s.Revision, Services: slices.Clone(s.Services), Listeners: slices.Clone(s.Listeners), Pools: s.Pools,
		servers: slices.Clone(s.servers), faces: maps.Clone(s.faces), byKey: maps.Clone(s.byKey), byPool: s.byPool, byService: s.byService,
		groups: s.groups, gone: s.gone}
	copies := d.pools(&svc, v, out)
	for _, h := range known {
		if sv := out.Server(h); sv != nil && copies[sv.Pool] == nil && !svc.Has(sv.Pool) {
			out.servers[h] = sv.dry(sv.Pool)
		}
	}
	svc.Listeners = nil
	for _, l := range v.Listeners {
		svc.Listeners = append(svc.Listeners, d.listener(l))
	}
	for _, l := range svc.Listeners {
		d.refer(l)
		others := map[*Pool][]*Face{}
		for p, toward := range l.others {
			others[copies[p]] = d.all(toward)
		}
		l.others = others
		out.Listeners[l.Index], out.byKey[l.Key] = l, l
	}
	out.Services[svc.Index] = &svc
	for old, f := range d.faces {
		if out.faces[f.ID] == old {
			out.faces[f.ID] = f
		}
	}
	out.own = d.own(&s.own)
	for i := range s.wildcards {
		out.wildcards[i] = maps.Clone(s.wildcards[i])
		for port, l := range out.wildcards[i] {
			if n := d.listeners[l]; n != nil {
				out.wildcards[i][port] = n
			}
		}
	}
	return out
}

// pools puts copies of the service's pools, group and what it knows of their servers into its copy, and gives them by
// the pools that they are of.
func (d *drier) pools(svc, v *Service, out *Snapshot) map[*Pool]*Pool {
	copies := map[*Pool]*Pool{}
	for _, p := range v.Pools() {
		copies[p] = p.dry(out)
	}
	svc.Pool = copies[v.Pool]
	copied := func(pools []*Pool) []*Pool {
		pools = slices.Clone(pools)
		for i, p := range pools {
			pools[i] = copies[p]
		}
		return pools
	}
	if v.Group != nil {
		g := &Group{ID: v.Group.ID, Name: v.Group.Name, Object: v.Group.Object, Members: slices.Clone(v.Group.Members), secret: v.Group.secret, below: v.Group.below}
		for i := range g.Members {
			g.Members[i].Pool = copies[g.Members[i].Pool]
		}
		st := *v.Group.stage.Load()
		st.pools, st.spill = copied(st.pools), copied(st.spill)
		g.stage.Store(&st)
		svc.Group = g
	}
	if v.reach != nil {
		svc.reach = newReach(copied(v.reach.pools), v.reach.own)
	}
	return copies
}

// dry returns a copy of a pool, whose servers it puts into a snapshot.
func (p *Pool) dry(out *Snapshot) *Pool {
	q := &Pool{ID: p.ID, Name: p.Name, Object: p.Object, Hash: p.Hash, Header: p.Header, Shared: p.Shared, Large: p.Large, Auto: p.Auto, TLS: p.TLS, toward: p.toward, Reselect: p.Reselect, Prolongs: p.Prolongs, Rated: p.Rated,
		Budget: p.Budget.Dry(), places: p.places, byID: map[uint64]*Server{}, Servers: make([]*Server, len(p.Servers))}
	view := p.View.Load().Dry()
	q.View.Store(view)
	for sv := range p.addrs.all {
		c := sv.dry(q)
		if c.Index >= 0 {
			c.State = view.Servers()[c.Index].State
			q.Servers[c.Index] = c
		}
		q.addrs.put(c)
		if p.byID[sv.ID&token.ServerBits] == sv {
			q.byID[sv.ID&token.ServerBits] = c
		}
		if out.Server(c.Handle) == sv {
			out.servers[c.Handle] = c
		}
	}
	return q
}

func (s *Server) dry(p *Pool) *Server {
	c := *s
	c.Pool, c.State, c.Traffic = p, s.State.Dry(), new(Traffic)
	c.Traffic.Heard.Store(s.Traffic.Heard.Load())
	return &c
}

func (d *drier) listener(l *Listener) *Listener {
	c := *l
	c.Service = d.service
	d.listeners[l] = &c
	for _, f := range l.faces() {
		n := *f
		n.Out = &c
		d.faces[f] = &n
	}
	return &c
}

// face is the copy of a face, or itself if it is none of the service.
func (d *drier) face(f *Face) *Face {
	if n := d.faces[f]; n != nil {
		return n
	}
	return f
}

// refer has a copied listener refer to copied faces.
func (d *drier) refer(l *Listener) {
	l.face = d.face(l.face)
	l.byLocal = maps.Clone(l.byLocal)
	for a, f := range l.byLocal {
		l.byLocal[a] = d.face(f)
	}
	for i, e := range l.exits {
		if e == nil {
			continue
		}
		n := &exits{links: slices.Clone(e.links), rest: d.face(e.rest)}
		for j := range n.links {
			n.links[j].face = d.face(n.links[j].face)
		}
		l.exits[i] = n
	}
	l.toward = slices.Clone(l.toward)
	for i, f := range l.toward {
		l.toward[i] = d.face(f)
	}
}

func (d *drier) own(t *addrTable[ownAddr]) addrTable[ownAddr] {
	out := addrTable[ownAddr]{slots: slices.Clone(t.slots), count: t.count}
	for i := range out.slots {
		o := &out.slots[i].value
		o.faces = d.all(o.faces)
		o.byPort = maps.Clone(o.byPort)
		for port, faces := range o.byPort {
			o.byPort[port] = d.all(faces)
		}
	}
	return out
}

// all are the copies of faces; the list itself where there is none.
func (d *drier) all(faces []*Face) []*Face {
	if !slices.ContainsFunc(faces, func(f *Face) bool { return d.faces[f] != nil }) {
		return faces
	}
	out := slices.Clone(faces)
	for i, f := range out {
		out[i] = d.face(f)
	}
	return out
}
