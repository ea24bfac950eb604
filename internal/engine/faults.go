package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

const (
	// retryEvery is how often services with a fault are tried again.
	retryEvery = 3 * time.Second
	// maxHolders is of how many taken ports in one change it is found out who has them, which takes some milliseconds each.
	maxHolders = 4
)

// fault is why a virtual service is not served as the configuration says.
type fault struct {
	text string         // why
	keys []snapshot.Key // that can't be listened on
	down bool           // its last good form can't be served either, or there is none
}

// form is a configuration as this machine can serve it.
type form struct {
	asked  *object.Set
	set    *object.Set       // asked, but for services with faults
	faults map[string]*fault // by ID of the service
}

// faultsOf names the services that want keys which can't be listened on.
func (c *change) faultsOf(wants []snapshot.Want) map[string]*fault {
	faults := map[string]*fault{}
	for _, w := range wants {
		for _, k := range w.Keys {
			err := c.refused[k]
			if err == nil {
				continue
			}
			if faults[w.ID] == nil {
				faults[w.ID] = &fault{text: listenWords(err)}
			}
			faults[w.ID].keys = append(faults[w.ID].keys, k)
		}
	}
	return faults
}

// listenWords says in a sentence why an address can't be listened on.
func listenWords(err error) string {
	var le *transport.ListenError
	if !errors.As(err, &le) {
		return err.Error()
	}
	switch le.Errno {
	case syscall.EADDRINUSE:
		who := le.Why
		if who == "" {
			who = " by another process"
		}
		return fmt.Sprintf("%s %s is taken%s", cmp.Or(le.Network, "udp"), le.Addr, who)
	default:
		return fmt.Sprintf("%s %s can't be listened on: %s%s", cmp.Or(le.Network, "udp"), le.Addr, le.Errno.Error(), le.Why)
	}
}

// yield makes the services with new faults fall back: to their last good form, and from that to none.
func (e *Engine) yield(c *change, faults map[string]*fault) {
	if c.faults == nil {
		c.faults = map[string]*fault{}
	}
	for id, f := range faults {
		if first := c.faults[id]; first != nil {
			first.down = true // what was wrong with its new form is what to say
			continue
		}
		c.faults[id] = f
	}
	c.set = e.fallBack(c.asked, c.faults)
}

// fallBack is asked with the services that have faults in the form in which they are served now, or without those that
// are not served.
func (e *Engine) fallBack(asked *object.Set, faults map[string]*fault) *object.Set {
	out := *asked
	out.VirtualServices = nil
	out.VsVips, out.Pools, out.PoolGroups = slices.Clip(out.VsVips), slices.Clip(out.Pools), slices.Clip(out.PoolGroups)
	out.ApplicationProfiles, out.HealthMonitors = slices.Clip(out.ApplicationProfiles), slices.Clip(out.HealthMonitors)
	var rest []*object.VirtualService
	for i := range asked.VirtualServices {
		vs := asked.VirtualServices[i]
		f := faults[snapshot.ID(vs.UUID, vs.Name)]
		if f == nil {
			rest = append(rest, vs)
			continue
		}
		old := e.served(snapshot.ID(vs.UUID, vs.Name))
		if f.down = f.down || old == nil; !f.down {
			out.VirtualServices = append(out.VirtualServices, e.lastGood(&out, vs, old))
		}
	}
	// those that keep what they have come first: who wants an address that one of them has is told so
	out.VirtualServices = append(out.VirtualServices, rest...)
	return &out
}

// served is a virtual service in the form in which it is served now, or nil.
func (e *Engine) served(id string) *object.VirtualService {
	if e.set == nil || e.faults[id] != nil && e.faults[id].down {
		return nil
	}
	for i := range e.set.VirtualServices {
		if vs := e.set.VirtualServices[i]; snapshot.ID(vs.UUID, vs.Name) == id {
			return vs
		}
	}
	return nil
}

// lastGood puts what old refers to into a set, under names that nobody else has, and gives old with these references.
// Only its pool is the one of the set, if that still has it.
func (e *Engine) lastGood(out *object.Set, vs, old *object.VirtualService) *object.VirtualService {
	kept := *old
	kept.Name = vs.Name
	private := "\x00" + snapshot.ID(vs.UUID, vs.Name)
	if vip := e.set.VsVip(old.VsVipRef); vip != nil {
		v := *vip
		v.Name, kept.VsVipRef = private, private
		out.VsVips = append(out.VsVips, &v)
	}
	if profile := e.set.ApplicationProfile(old.ApplicationProfileRef); profile != nil {
		p := *profile
		p.Name, kept.ApplicationProfileRef = private, private
		out.ApplicationProfiles = append(out.ApplicationProfiles, &p)
	}
	if pool := e.set.Pool(old.PoolRef); pool != nil {
		kept.PoolRef = e.keepPool(out, pool)
	}
	if old.PoolGroupRef != "" {
		kept.PoolGroupRef = e.keepGroup(out, old.PoolGroupRef, private)
	}
	return &kept
}

// keepGroup puts a pool group into a set, under that name.
func (e *Engine) keepGroup(out *object.Set, name, private string) string {
	for i := range e.set.PoolGroups {
		if e.set.PoolGroups[i].Name != name {
			continue
		}
		g := *e.set.PoolGroups[i]
		g.Name, g.Members = private, slices.Clone(g.Members)
		for j := range g.Members {
			if pool := e.set.Pool(g.Members[j].PoolRef); pool != nil {
				g.Members[j].PoolRef = e.keepPool(out, pool)
			}
		}
		out.PoolGroups = append(out.PoolGroups, &g)
	}
	return private
}

// keepPool is the name of a pool in a set, to which it is added if it is not there any more.
func (e *Engine) keepPool(out *object.Set, pool *object.Pool) string {
	for i := range out.Pools {
		if p := out.Pools[i]; snapshot.ID(p.UUID, p.Name) == snapshot.ID(pool.UUID, pool.Name) {
			return p.Name
		}
	}
	p := *pool
	if out.Pool(p.Name) != nil {
		p.Name = "\x00" + snapshot.ID(pool.UUID, pool.Name) // another pool has got its name
	}
	for _, ref := range p.HealthMonitorRefs {
		if hm := e.set.HealthMonitor(ref); hm != nil && out.HealthMonitor(ref) == nil {
			out.HealthMonitors = append(out.HealthMonitors, hm)
		}
	}
	out.Pools = append(out.Pools, &p)
	return p.Name
}

// noteFaults makes faults those that there are, and logs what is new of them.
func (e *Engine) noteFaults(faults map[string]*fault) {
	for _, id := range slices.Sorted(maps.Keys(faults)) {
		f := faults[id]
		if was := e.faults[id]; was == nil || was.text != f.text || was.down != f.down {
			e.log.Error("virtual service not as configured", "virtual_service", id, "error", f.text, "down", f.down, "keeps_last_good_form", !f.down)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.faults)) {
		if faults[id] == nil {
			e.log.Info("virtual service as configured again", "virtual_service", id)
		}
	}
	e.faults = faults
}

// retry applies the configuration anew if an address can be had that could not before. The caller holds e.mu.
func (e *Engine) retry() {
	for _, f := range e.faults {
		for _, k := range f.keys {
			if !e.free(k) {
				continue
			}
			if err := e.apply(e.asked, e.live.Load().snap.Revision); err != nil {
				e.log.Error("the configuration can't be applied again", "error", err)
			}
			return
		}
	}
}

// free reports whether an address can be listened on now.
func (e *Engine) free(k snapshot.Key) bool {
	opt := e.cfg.UDP
	opt.Quiet = true
	sockets, err := transport.ListenUDP(k.Addr, 1, opt)
	if err != nil {
		return false
	}
	sockets[0].Close()
	return true
}

// Faults says why virtual services are not served as they are configured, by their names. Nil: all are.
func (e *Engine) Faults() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.faults) == 0 {
		return nil
	}
	out := map[string]string{}
	for i := range e.asked.VirtualServices {
		vs := e.asked.VirtualServices[i]
		if f := e.faults[snapshot.ID(vs.UUID, vs.Name)]; f != nil {
			out[vs.Name] = f.text
		}
	}
	return out
}
