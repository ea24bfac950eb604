package balance

import (
	"slices"
)

// RampSteps is in how many steps a server that came up gets its share (slow start). The hash has a weight for each: so
// a server that ramps up takes keys, step by step, that are its own in the end, and no others move.
const RampSteps = 10

// Ramp is how much of its share server i gets, in parts of RampSteps.
func (p *Pool) Ramp(i int32) uint8 {
	if p.ramp == nil {
		return RampSteps
	}
	return p.ramp[i]
}

// part is what server i gets in relation to the others.
func (p *Pool) part(i int32) uint32 { return p.servers[i].Ratio * uint32(p.Ramp(i)) }

// ramped is the ramp after these changes.
func (p *Pool) ramped(changes []Change) []uint8 {
	var ramp []uint8
	for _, c := range changes {
		switch {
		case c.Ramp == 0:
			continue
		case ramp == nil && p.ramp == nil:
			ramp = slices.Repeat([]uint8{RampSteps}, len(p.servers))
		case ramp == nil:
			ramp = slices.Clone(p.ramp)
		}
		ramp[c.Index] = min(c.Ramp, RampSteps)
	}
	if ramp == nil {
		return p.ramp
	}
	return settled(ramp)
}

// carryRamp is the ramp of servers that an earlier pool has too.
func carryRamp(servers []Server, prev *Pool) []uint8 {
	if prev == nil || prev.ramp == nil {
		return nil
	}
	ramp := make([]uint8, len(servers))
	for i := range servers {
		ramp[i] = RampSteps
		if j := prev.find(servers[i].ID); j >= 0 {
			ramp[i] = prev.ramp[j]
		}
	}
	return settled(ramp)
}

// settled is nil for a ramp in which all have their share.
func settled(ramp []uint8) []uint8 {
	if slices.ContainsFunc(ramp, func(r uint8) bool { return r != RampSteps }) {
		return ramp
	}
	return nil
}

// turnsNow returns the turns of the selectable servers. Their order stays. Where some ramp up it is RampSteps rounds, in
// which each of them has as many turns as it is to have.
func (p *Pool) turnsNow() []int32 {
	rounds := 1
	if p.ramp != nil {
		rounds = RampSteps
	}
	turns := make([]int32, 0, rounds*len(p.base.turns))
	came := make([]uint32, len(p.servers)) // turns that came by so far
	for range rounds {
		for _, i := range p.base.turns {
			if !p.conditions[i].Selectable() {
				continue
			}
			// the k-th comes when k*ramp passes a multiple of RampSteps
			step := uint32(p.Ramp(i))
			if came[i]*step%RampSteps < step {
				turns = append(turns, i)
			}
			came[i]++
		}
	}
	return turns
}
