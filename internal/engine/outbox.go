package engine

import (
	"runtime"
	"sync"
)

// outbox holds connections that have something to be sent, of all desks. A write costs more than all that is done for a message, and
// what one connection brings goes out on many: so who has decided lets the others that are ready decide too, and the first
// that comes back sends for all.
type outbox struct {
	mu      sync.Mutex
	touched []*stream
	spare   []*stream // the last list that was sent, for its memory
}

// put adds connections.
func (o *outbox) put(touched []*stream) {
	o.mu.Lock()
	o.touched = append(o.touched, touched...)
	o.mu.Unlock()
}

// send lets the others come first, and sends what is there then. Nobody waits for a peer here (transport.Conn).
func (o *outbox) send() {
	runtime.Gosched()
	o.mu.Lock()
	list := o.touched
	o.touched, o.spare = o.spare, nil
	o.mu.Unlock()
	for i, s := range list {
		list[i] = nil
		s.flush()
	}
	if list == nil {
		return
	}
	o.mu.Lock()
	if o.spare == nil {
		o.spare = list[:0]
	}
	o.mu.Unlock()
}

// flush sends what is queued. What is queued from now on has somebody else to send it.
func (s *stream) flush() {
	s.touched.Store(false)
	s.conn.Flush()
}
