package snapshot

import (
	"github.com/carillon-sip/carillon/internal/object"
)

// Reselect is which final responses of a pool's servers make a request go to another server.
type Reselect struct {
	Retries   int    // at the most, of one request; 0: never
	TimeoutMS uint32 // silence after which the next retransmission goes to another server; 0: counted by retransmissions
	codes     [4]uint64
}

func newReselect(o *object.ServerReselect) Reselect {
	if !o.Enabled {
		return Reselect{}
	}
	r := Reselect{Retries: o.NumRetries, TimeoutMS: uint32(o.RetryTimeoutMS)}
	set := o.Statuses()
	for s := 400; s < 600; s++ {
		if set[s] {
			r.codes[(s-400)/64] |= 1 << ((s - 400) % 64)
		}
	}
	return r
}

// Retries is how often a request may have been answered with a status, by servers of p, and go to another one. One
// retry after 503 is what a service has without server_reselect (retry_on_503).
func (s *Service) Retries(p *Pool, status int) int {
	n := 0
	if at := status - 400; at >= 0 && at < 200 && p.Reselect.codes[at/64]&(1<<(at%64)) != 0 {
		n = p.Reselect.Retries
	}
	if status == 503 && s.RetryOn503 {
		n = max(n, 1)
	}
	return n
}
