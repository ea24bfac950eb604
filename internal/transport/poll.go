package transport

import "time"

// poller tells how long to poll before sleeping. To be woken takes some 10 µs, more on a virtual machine whose CPU went
// idle; to poll longer pays where the next datagram mostly comes soon, as from servers on the same machine or rack.
// Like the halt polling of hypervisors it goes by the waits before: it polls for most, as long as most waits
// are over by then, else for least.
//
// Who polls uses up its share of the CPU, and the kernel then lets others that want it go first, for milliseconds, also when
// a datagram has come; who sleeps is let in at once. So when the thread was off the CPU while it polled, it
// sleeps right away for a while.
type poller struct {
	least, most time.Duration
	paid        int8  // 0 to pollMemory: how often of late most would have done
	sits        int32 // waits that are yet to be slept through, since others want the CPU
}

const (
	pollMemory = 8
	// A look at the socket takes a microsecond, or some tens when an interrupt comes between: pollGap between two is the
	// scheduler's doing.
	pollGap = 200 * time.Microsecond
	// pollSits is for how many waits polling is left then.
	pollSits = 1000
)

// window is how long to poll now.
func (p *poller) window() time.Duration {
	if p.sits > 0 {
		p.sits--
		return 0
	}
	if p.paid > pollMemory/2 {
		return p.most
	}
	return p.least
}

// between takes note of the time between two looks.
func (p *poller) between(d time.Duration) {
	if d > pollGap {
		p.sits = pollSits
	}
}

// waited takes note of a wait that is over.
func (p *poller) waited(d time.Duration) {
	if d < p.most {
		p.paid = min(p.paid+1, pollMemory)
	} else {
		p.paid = max(p.paid-1, 0)
	}
}
