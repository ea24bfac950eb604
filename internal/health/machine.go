package health

import "time"

// quickChecksPerCount times the larger of rise and fall is how many checks quick start, or a kick, may use up before a server
// that passes and fails in turn falls back to the monitor's own interval.
const quickChecksPerCount = 4

// machine is the rise/fall machine of one server under one monitor. It is pure: results and times go in, states and delays come
// out. The zero value knows nothing and is at its own pace; begin makes it quick.
type machine struct {
	state       State
	reason      Code // of state; valid iff state is not Unknown
	rise, fall  int  // checks passed, failed in a row; at most one of them is above 0
	quick       int  // checks left at quick-start pace; 0 = the monitor's interval
	since       time.Time
	transitions [KeptTransitions]Transition // latest first; those with a zero At have not happened
}

// begin puts the machine at quick-start pace: for a new check, a changed monitor, a kick. Checks passed so far count no more, so that
// an up server has to pass anew before it is left in peace; checks failed so far still count.
func (m *machine) begin(mon *Monitor) {
	m.rise = 0
	m.quick = quickChecksPerCount * max(mon.Rise, mon.Fall)
}

// observe takes the result of one check and says whether the state changed by it. A result that says nothing about the server
// (ProbeNotSent) counts neither way.
func (m *machine) observe(now time.Time, code Code, mon *Monitor) bool {
	if m.quick > 0 {
		m.quick--
	}
	if code == ProbeNotSent {
		return false
	}
	to, settled := Up, false
	if code == Success {
		m.rise, m.fall = m.rise+1, 0
		settled = m.rise >= mon.Rise
	} else {
		to = Down
		m.rise, m.fall = 0, m.fall+1
		settled = m.fall >= mon.Fall
	}
	if !settled {
		return false
	}
	m.quick = 0
	if m.state == to {
		return false
	}
	m.state, m.reason, m.since = to, code, now
	copy(m.transitions[1:], m.transitions[:])
	m.transitions[0] = Transition{At: now, State: to, Reason: code}
	return true
}

// delay returns the time from the start of one check to the start of the next, before the check observed last has changed the pace
// (wasQuick) or at the present pace. random is even in [0, 1).
//
// The first delay after quick start is drawn from the whole interval: servers that were configured together, and so settled
// together, are not probed together ever after.
func (m *machine) delay(mon *Monitor, wasQuick bool, random float64) time.Duration {
	quick := min(QuickStartInterval, mon.Interval)
	if m.quick > 0 {
		return quick
	}
	if wasQuick {
		return quick + time.Duration(random*float64(mon.Interval-quick))
	}
	spread := float64(mon.Interval) * float64(mon.JitterPercent) / 100
	return mon.Interval + time.Duration((2*random-1)*spread)
}

// tally is how many of a server's monitors are in which state.
type tally struct{ up, down, all int }

// judge returns the state of a server whose monitors stand as t says, and that was in state prev: up with need monitors up (0 or
// more than there are: all), down when so many can't be reached any more. While monitors are undecided it stays what it was, so
// adding a monitor takes no server out of traffic before the new monitor has spoken.
func judge(prev State, t tally, need int) State {
	if need <= 0 || need > t.all {
		need = t.all
	}
	switch {
	case t.up >= need:
		return Up
	case t.all-t.down < need:
		return Down
	}
	return prev
}
