package transport

import "time"

// poller tells how long to poll before sleeping. To be woken takes some 10 µs, more on a virtual machine whose CPU went
// idle; to poll longer pays where the next datagram mostly comes soon, as from servers on the same machine or rack.
// Like the halt polling of hypervisors it goes by the waits before: it polls for most, as long as most waits
// are over by then, else for least.
type poller struct {
	least, most time.Duration
	paid        int8 // 0 to pollMemory: how often of late most would have done
}

const pollMemory = 8

// window is how long to poll now.
func (p *poller) window() time.Duration {
	if p.paid > pollMemory/2 {
		return p.most
	}
	return p.least
}

// waited takes note of a wait that is over.
func (p *poller) waited(d time.Duration) {
	if d < p.most {
		p.paid = min(p.paid+1, pollMemory)
	} else {
		p.paid = max(p.paid-1, 0)
	}
}
