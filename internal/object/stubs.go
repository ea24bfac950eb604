package object

import "errors"

// Kind is any of the objects of a Set.
type Kind interface {
	VirtualService | VsVip | Pool | HealthMonitor | ApplicationProfile | NetworkProfile
}

// New returns an object with that name and every default.
func New[T Kind](name string) T { panic("not yet") }

// NewServer returns a server with that address and port and every default.
//func NewServer(addr netip.AddrPort) Server

// Load reads objects from YAML or JSON, name being the file's name for errors, and checks them.
func Load(name string, data []byte) (*Set, error) { return nil, errors.New("not yet") }

// Validate reports every fault of the set at once, as a joined error of *FieldError.
func (s *Set) Validate() error { return nil }

// FieldError says which field of which object is wrong, and what would be right.
type FieldError struct {
	File         string // file name as given to Load; empty: not from a file
	Line, Column int    // from 1; 0: unknown
	Object       string // "Pool/edge"
	Path         string // "servers[2].port", counted from 0; empty: the object itself
	Msg          string
}

func (e *FieldError) Error() string { return e.Object + ": " + e.Path + ": " + e.Msg }

// QuickOptions changes what Quick builds. The zero value is the usual.
type QuickOptions struct {
	Algorithm LBAlgorithm // empty: ConsistentHash
	Hash      LBHash      // empty: HashCallID
	NoMonitor bool        // servers count as up
}

// Quick builds the objects of a balancer from listening addresses ("udp://0.0.0.0:5060") and servers ("10.0.0.1:5060").
func Quick(listen, servers []string, o QuickOptions) (*Set, error) { return nil, errors.New("not yet") }

// Form says how much of an object is written.
type Form uint8

const (
	Full        Form = iota // every field, defaults filled in
	SkipDefault             // only fields that differ from their default
)

// YAML returns the set in its normal form.
func (s *Set) YAML(f Form) []byte { return nil }

// JSON returns the set in its normal form, indented.
func (s *Set) JSON(f Form) []byte { return nil }

// Accepts reports whether a probe answered with that status is good.
func (m *SIPMonitor) Accepts(status int) bool { return false }
