package snapshot

import (
	"maps"
	"slices"

	"github.com/carillon-sip/carillon/internal/token"
)

// drier copies what belongs to one service, so that a message can be decided about and nothing is changed by it.
type drier struct {
	service *Service
	faces   map[*Face]*Face
}

// Dry returns the snapshot with a copy of one service and its pool in their place: State, counters and budget of the
// copy are its own, and so are those of the servers of other pools that known names.
func (s *Snapshot) Dry(v *Service, known ...Handle) *Snapshot {
	svc := *v
	d := &drier{service: &svc, faces: map[*Face]*Face{}}
	out := &Snapshot{Revision: s.Revision, Services: slices.Clone(s.Services), Listeners: slices.Clone(s.Listeners), Pools: s.Pools,
		servers: s.servers.edit(), faceList: slices.Clone(s.faceList), groups: s.groups, gone: s.gone,
		faces: s.faces, byKey: s.byKey, byPool: s.byPool, byService: s.byService, own: s.own, wildcards: s.wildcards}
	copies := d.pools(&svc, v, out)
	for _, h := range known {
		if sv := out.Server(h); sv != nil && copies[sv.Pool] == nil && !svc.Has(sv.Pool) {
			out.servers.set(h, sv.dry(sv.Pool))
		}
	}
	d.listenersOf(v, out)
	for _, l := range svc.Listeners {
		others := map[*Pool][]*Face{}
		for p, toward := range l.others {
			others[copies[p]] = d.all(toward)
		}
		l.others = others
	}
	out.Services[svc.Index] = &svc
	return out
}

// listenersOf gives the copy of a service copies of its listeners and their faces, and puts them into a snapshot whose
// lists are its own.
func (d *drier) listenersOf(v *Service, out *Snapshot) {
	d.service.Listeners = nil
	for _, l := range v.Listeners {
		d.service.Listeners = append(d.service.Listeners, d.listener(l))
	}
	for _, l := range d.service.Listeners {
		d.refer(l)
		out.Listeners[l.Index] = l
	}
	for _, f := range d.faces {
		out.faceList[f.place] = f
	}
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
			out.servers.set(c.Handle, c)
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
