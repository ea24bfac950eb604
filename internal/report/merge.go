package report

import (
	"cmp"
	"slices"
	"strings"
)

// Merge makes one report of those of several engines: counters add up, and a thing is up where one engine has it up,
// with the words of those that have not. Nil for none.
func Merge(engines []*Engine) *Engine {
	if len(engines) == 0 {
		return nil
	}
	m := merger{services: map[string]int{}, pools: map[string]int{}}
	for _, e := range engines {
		m.add(e)
	}
	return &m.out
}

type merger struct {
	out      Engine
	services map[string]int
	pools    map[string]int
}

func (m *merger) add(e *Engine) {
	if m.out.At.Before(e.At) {
		m.out.At = e.At
	}
	m.out.Engines = append(m.out.Engines, e.Name)
	m.out.Transactions += e.Transactions
	m.out.Calls += e.Calls
	for i := range e.Services {
		s := &e.Services[i]
		at, there := m.services[s.Name]
		if !there {
			at = len(m.out.Services)
			m.services[s.Name] = at
			m.out.Services = append(m.out.Services, Service{Name: s.Name, Pool: s.Pool, Group: s.Group, Requests: Counts[string]{}, Responses: Counts[int]{},
				Answers: Counts[int]{}, Reasons: Counts[string]{}, Faults: Counts[string]{}})
		}
		m.out.Services[at].add(s, e.Name)
	}
	for i := range e.Pools {
		p := &e.Pools[i]
		at, there := m.pools[p.Name]
		if !there {
			at = len(m.out.Pools)
			m.pools[p.Name] = at
			m.out.Pools = append(m.out.Pools, Pool{Name: p.Name, Algorithm: p.Algorithm, MinServersUp: p.MinServersUp})
		}
		m.out.Pools[at].add(p, e.Name)
	}
}

func (s *Service) add(o *Service, engine string) {
	s.Oper = both(s.Oper, o.Oper, engine)
	s.Listeners = append(s.Listeners, o.Listeners...)
	s.Transactions += o.Transactions
	s.Calls += o.Calls
	s.TransactionsFull += o.TransactionsFull
	s.CallsFull += o.CallsFull
	addCounts(s.Requests, o.Requests)
	addCounts(s.Responses, o.Responses)
	addCounts(s.Answers, o.Answers)
	addCounts(s.Reasons, o.Reasons)
	addCounts(s.Faults, o.Faults)
	s.Latency.add(&o.Latency)
	addRecent(&s.Recent, o.Recent)
	s.Engines = append(s.Engines, engine)
}

func addRecent(to **Recent, from *Recent) {
	if from == nil {
		return
	}
	if *to == nil {
		*to = &Recent{}
	}
	(*to).add(from)
}

func addCounts[K comparable](to, from Counts[K]) {
	for k, n := range from {
		to[k] += n
	}
}

func (l *Latency) add(o *Latency) {
	l.Count += o.Count
	l.SumUS += o.SumUS
	l.P50US = max(l.P50US, o.P50US)
	l.P99US = max(l.P99US, o.P99US)
}

// rank orders states: of two engines the better one counts.
func rank(state string) int {
	return slices.Index([]string{"", Unavailable, Unused, Disabled, Initializing, Down, Up}, state)
}

// both is the state of what one engine more tells of.
func both(was, is Oper, engine string) Oper {
	if was.State == "" {
		return is
	}
	if was.State == is.State {
		was.Reason = slices.Compact(slices.Sorted(slices.Values(append(slices.Clip(was.Reason), is.Reason...))))
		return was
	}
	better, worse, who := was, is, engine
	if rank(is.State) > rank(was.State) {
		better, worse, who = is, was, "another engine"
	}
	words := strings.Join(worse.Reason, "; ")
	if words != "" {
		words = ": " + words
	}
	better.Reason = append(slices.Clip(better.Reason), worse.State+" as "+who+" sees it"+words)
	return better
}

func (p *Pool) add(o *Pool, engine string) {
	p.Oper = both(p.Oper, o.Oper, engine)
	p.Total, p.Up, p.Enabled = max(p.Total, o.Total), max(p.Up, o.Up), max(p.Enabled, o.Enabled)
	p.RetriesRefused += o.RetriesRefused
	p.Full += o.Full
	addRecent(&p.Recent, o.Recent)
	if len(p.Servers) == 0 {
		p.Servers = make([]Server, 0, len(o.Servers))
	}
	known := make(map[string]int, len(p.Servers))
	for i := range p.Servers {
		known[p.Servers[i].Addr.String()] = i
	}
	for i := range o.Servers {
		s := &o.Servers[i]
		at, there := known[s.Addr.String()]
		if !there {
			at = len(p.Servers)
			p.Servers = append(p.Servers, Server{Name: s.Name, Addr: s.Addr, Requests: Counts[string]{}, Responses: Counts[int]{}})
		}
		p.Servers[at].add(s, engine)
	}
}

func (s *Server) add(o *Server, engine string) {
	if rank(o.Oper.State) > rank(s.Oper.State) {
		s.State, s.Ratio, s.HashShare = o.State, o.Ratio, o.HashShare
	}
	s.RampPercent = min(cmp.Or(s.RampPercent, 100), o.RampPercent)
	s.Oper = both(s.Oper, o.Oper, engine)
	addCounts(s.Requests, o.Requests)
	addCounts(s.Responses, o.Responses)
	if o.DrainUntil.After(s.DrainUntil) {
		s.DrainUntil = o.DrainUntil
	}
	s.Failovers += o.Failovers
	s.CallsUp += o.CallsUp
	s.OpenTransactions += o.OpenTransactions
	s.Calls += o.Calls
	s.Latency.add(&o.Latency)
	addRecent(&s.Recent, o.Recent)
	s.Monitors = append(s.Monitors, o.Monitors...)
}

// MergeSeries adds up the series of several engines: values of one figure at one time, but for shares, times and
// states, of which the mean counts.
func MergeSeries(each [][]Series) []Series {
	type key struct{ id, entity, server string }
	sums, counts := map[key]map[int64]float64{}, map[key]map[int64]int{}
	steps := map[key]int{}
	for _, list := range each {
		for i := range list {
			s := &list[i]
			k := key{s.ID, s.Entity, s.Server}
			if sums[k] == nil {
				sums[k], counts[k], steps[k] = map[int64]float64{}, map[int64]int{}, s.StepS
			}
			for _, p := range s.Points {
				at := p.At
				if s.StepS > 0 {
					at -= at % int64(s.StepS) // engines do not tick together
				}
				sums[k][at] += p.Value
				counts[k][at]++
			}
		}
	}
	out := []Series{}
	for k, points := range sums {
		s := Series{ID: k.id, Entity: k.entity, Server: k.server, StepS: steps[k]}
		for at, sum := range points {
			if averaged(k.id) {
				sum /= float64(counts[k][at])
			}
			s.Points = append(s.Points, Point{at, sum})
		}
		slices.SortFunc(s.Points, func(a, b Point) int { return cmp.Compare(a.At, b.At) })
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.Server, b.Server))
	})
	return out
}

// averaged reports whether a figure of several engines is their mean, not their sum.
func averaged(id string) bool {
	m, _ := FindMetric(id)
	return m.Mean
}
