package health

import "sync"

// outbox hands changes to OnChange from a goroutine of its own, in order. While OnChange is busy, of each server only the latest
// change waits, so it holds no more changes than there are servers.
type outbox struct {
	onChange func(Change)
	mu       sync.Mutex
	more     sync.Cond
	waiting  []Change
	place    map[serverKey]int // in waiting
	closed   bool
}

// maxPlaces is up to how many changes that waited at a time the memory for them is used again.
const maxPlaces = 1000

func newOutbox(onChange func(Change)) *outbox {
	o := &outbox{onChange: onChange, place: map[serverKey]int{}}
	o.more.L = &o.mu
	return o
}

func (o *outbox) put(k serverKey, c Change) {
	if o.onChange == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if i, ok := o.place[k]; ok {
		o.waiting[i] = c
		return
	}
	o.place[k] = len(o.waiting)
	o.waiting = append(o.waiting, c)
	o.more.Signal()
}

// run delivers until close.
func (o *outbox) run() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.waiting) == 0 && !o.closed {
			o.more.Wait()
		}
		if o.closed {
			return
		}
		batch := o.waiting
		o.waiting = nil
		if clear(o.place); len(batch) > maxPlaces {
			o.place = map[serverKey]int{} // a map keeps the memory of the most that it ever held
		}
		for _, c := range batch {
			if o.closed {
				return
			}
			o.mu.Unlock()
			o.onChange(c)
			o.mu.Lock()
		}
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.more.Signal()
}
