package proxy

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carillon-sip/carillon/internal/sip"
)

// Names is what is known of host names: the resolver writes it, workers read it
// without a lock. A name without an address is remembered too.
type Names struct {
	m atomic.Pointer[map[string]Name]
}

// Name is the answer for one host name and port.
type Name struct {
	Addr    netip.AddrPort // the zero value: there is none
	Expires time.Time
}

// NewNames makes an empty cache.
func NewNames() *Names {
	n := new(Names)
	n.m.Store(&map[string]Name{})
	return n
}

// NameKey is the key of a host name, lower-cased, and port (0: none was given), for a transport.
func NameKey(dst, host []byte, port uint16, t sip.Transport) []byte {
	for _, c := range host {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return binary.BigEndian.AppendUint16(append(dst, byte(t)), port)
}

func (n *Names) get(host []byte, port uint16, t sip.Transport) (netip.AddrPort, bool) {
	var buf [300]byte
	if len(host) > 255 {
		return netip.AddrPort{}, true // no host name is that long: RFC 1035 section 2.3.4
	}
	e, ok := (*n.m.Load())[string(NameKey(buf[:0], host, port, t))]
	return e.Addr, ok
}

// All gives the names that are known; the map must not be changed.
func (n *Names) All() map[string]Name { return *n.m.Load() }

// Replace sets all names at once.
func (n *Names) Replace(m map[string]Name) { n.m.Store(&m) }
