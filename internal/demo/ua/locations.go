package ua

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Limits of the location service, so that no client fills the memory.
const (
	maxUsers    = 10_000
	maxContacts = 8 // of one user
)

// Expiry of a binding, RFC 3261 section 10.2.1.1.
const (
	defaultExpires = 3600 * time.Second
	maxExpires     = 3600 * time.Second
)

var (
	errOutOfOrder  = errors.New("CSeq not above the last one")
	errFull        = errors.New("too many bindings")
	errBadWildcard = errors.New("expiry of Contact * is not 0")
)

// Locations is the location service of all servers of the demonstration: who registers at one can be reached from each.
// Its methods are safe to call at the same time.
type Locations struct {
	mu    sync.Mutex
	users map[string]map[string]binding // user, then Contact URI
}

type binding struct {
	uri     sip.Uri
	expires time.Time
	callID  string
	cseq    uint32
}

// NewLocations makes an empty location service.
func NewLocations() *Locations { return &Locations{users: make(map[string]map[string]binding)} }

// register does what a REGISTER asks (RFC 3261 section 10.3 steps 6 to 8) and returns the bindings there are then.
func (l *Locations) register(req *sip.Request, user string, now time.Time) ([]binding, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bound := maps.Clone(l.live(user, now))
	if bound == nil {
		bound = make(map[string]binding)
	}
	callID, cseq := req.CallID().Value(), req.CSeq().SeqNo
	for _, h := range req.GetHeaders("Contact") {
		contact, ok := h.(*sip.ContactHeader)
		if !ok {
			continue
		}
		life, given := expiry(req, contact)
		if contact.Address.Wildcard {
			if !given || life != 0 {
				return nil, errBadWildcard
			}
			clear(bound)
			continue
		}
		key := contact.Address.String()
		if old, ok := bound[key]; ok && old.callID == callID && cseq <= old.cseq {
			return nil, errOutOfOrder
		}
		if life == 0 {
			delete(bound, key)
			continue
		}
		bound[key] = binding{uri: *contact.Address.Clone(), expires: now.Add(life), callID: callID, cseq: cseq}
	}
	if len(bound) > maxContacts || len(l.users) >= maxUsers && l.users[user] == nil {
		return nil, errFull
	}
	if len(bound) == 0 {
		delete(l.users, user)
	} else {
		l.users[user] = bound
	}
	return sorted(bound), nil
}

// draw returns a binding of the n-th user, counted round and round in the order of their names; false when nobody is
// registered.
func (l *Locations) draw(n int, now time.Time) (binding, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := slices.Sorted(maps.Keys(l.users))
	for i := range users {
		if bound := sorted(l.live(users[(n+i)%len(users)], now)); len(bound) > 0 {
			return bound[n%len(bound)], true
		}
	}
	return binding{}, false
}

// Count tells how many users are registered.
func (l *Locations) Count(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for user := range l.users {
		if len(l.live(user, now)) > 0 {
			n++
		}
	}
	return n
}

// live drops what has expired and returns the rest.
func (l *Locations) live(user string, now time.Time) map[string]binding {
	bound := l.users[user]
	maps.DeleteFunc(bound, func(_ string, b binding) bool { return !b.expires.After(now) })
	if len(bound) == 0 {
		delete(l.users, user)
	}
	return bound
}

func sorted(bound map[string]binding) []binding {
	all := make([]binding, 0, len(bound))
	for _, key := range slices.Sorted(maps.Keys(bound)) {
		all = append(all, bound[key])
	}
	return all
}

// expiry is how long a Contact is to be bound: its own parameter, else the Expires header field, else the default
// (section 10.2.1.1); given tells whether the request said anything.
func expiry(req *sip.Request, contact *sip.ContactHeader) (life time.Duration, given bool) {
	text, given := contact.Params.Get("expires")
	if !given {
		if h := req.GetHeader("Expires"); h != nil {
			text, given = h.Value(), true
		}
	}
	if !given {
		return defaultExpires, false
	}
	seconds, err := parseSeconds(text)
	if err != nil {
		return defaultExpires, true // a malformed value counts as 3600: section 20.19
	}
	return min(seconds, maxExpires), true
}
