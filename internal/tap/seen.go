package tap

import (
	"strconv"
	"sync"

	"github.com/carillon-sip/carillon/internal/report"
)

// maxSeen is how many Call-IDs that traces have seen are remembered.
const maxSeen = 4096

// Seen remembers what traces have seen of calls. It is off the message path: readers of taps write it.
type Seen struct {
	mu    sync.Mutex
	calls map[uint64]*report.SeenCall
	order []uint64 // as they were first seen
}

// Note takes in a message of a call, by the hash of its Call-ID.
func (s *Seen) Note(hash uint64, m *report.TraceMessage) {
	last := m.Method
	if m.Status > 0 {
		last = strconv.Itoa(m.Status) + " " + m.Method
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[hash]
	if c == nil {
		if s.calls == nil {
			s.calls = map[uint64]*report.SeenCall{}
		}
		if len(s.order) >= maxSeen {
			delete(s.calls, s.order[0])
			s.order = s.order[1:]
		}
		c = &report.SeenCall{CallID: m.CallID, From: m.From, To: m.To, First: m.At}
		s.calls[hash], s.order = c, append(s.order, hash)
	}
	c.Last, c.At = last, m.At
}

// Get is what was seen of a call; nil: nothing.
func (s *Seen) Get(hash uint64) *report.SeenCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[hash]; c != nil {
		copied := *c
		return &copied
	}
	return nil
}
