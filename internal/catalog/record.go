// Package catalog is what the store holds, as objects: every record decoded once, found by uuid or name, with its
// references; and followed, so that controllers and engines look at the same thing at the same revision.
//
// A [View] is everything at one revision and never changes. In the store references are uuids, so that an object can
// be renamed; in [View.Set], which an engine runs, they are names.
package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/store"
)

// Keys in the store, behind its prefix. Everything below Prefix is configuration, and every change of it writes
// Generation too: that a transaction compares it is what makes a change whole.
const (
	Prefix     = "config/"
	Objects    = Prefix + "object/" // and kind/uuid
	Generation = Prefix + "generation"
	Format     = Prefix + "format"
)

// SecretKey is where the store keeps the cluster's secret: tokens, placement, cookies and the talk between controllers
// and engines hang on it.
const SecretKey = "secret"

// FormatVersion is the version of what stands below Prefix. A reader refuses newer ones.
const FormatVersion = 1

// AdminTenant is the uuid, and the name, of the tenant that is always there. What it has, all may refer to.
const AdminTenant = "admin"

// Record is one object as the store holds it. It never changes, but for the one who makes it before others know it.
type Record struct {
	Object   object.Any // references are uuids
	Tenant   string     // uuid of the tenant it belongs to
	Version  uint32     // counts its changes, from 1
	Modified int64      // when it was last changed, µs since 1970; grows with every change of the configuration
	Revision int64      // of the store, in which it was last changed

	refs []object.Ref
}

// Kind, UUID and Name are those of the object.
func (r *Record) Kind() string { return r.Object.Kind() }

// UUID names the object for good.
func (r *Record) UUID() string { return r.Object.UUID() }

// Name is unique among the objects of a kind and tenant.
func (r *Record) Name() string { return r.Object.Name() }

// Refs are the references of the object, each with a uuid as its value.
func (r *Record) Refs() []object.Ref { return r.refs }

// Key is where the store keeps the record.
func (r *Record) Key() string { return Key(r.Kind(), r.UUID()) }

// Key is where the store keeps an object.
func Key(kind, uuid string) string { return Objects + strings.ToLower(kind) + "/" + uuid }

// envelope is how a record is stored.
type envelope struct {
	Kind     string          `json:"kind"`
	Tenant   string          `json:"tenant"`
	Version  uint32          `json:"version"`
	Modified int64           `json:"modified_us"`
	Object   json.RawMessage `json:"object"`
}

// NewRecord makes a record of an object whose references are uuids.
func NewRecord(o object.Any, tenant string, version uint32, modified int64) *Record {
	return &Record{Object: o, Tenant: tenant, Version: version, Modified: modified, refs: o.Refs()}
}

// Encode is what the store keeps of a record.
func (r *Record) Encode() ([]byte, error) {
	return json.Marshal(envelope{r.Kind(), r.Tenant, r.Version, r.Modified, r.Object.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true})})
}

func decode(kv store.KV) (*Record, error) {
	var e envelope
	if err := json.Unmarshal(kv.Value, &e); err != nil {
		return nil, fmt.Errorf("%s is not a record: %w", kv.Key, err)
	}
	o, err := object.Decode(e.Kind, e.Object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kv.Key, err)
	}
	r := NewRecord(o, e.Tenant, e.Version, e.Modified)
	r.Revision = kv.Revision
	if r.Key() != kv.Key {
		return nil, fmt.Errorf("%s holds %s/%s", kv.Key, r.Kind(), r.UUID())
	}
	return r, nil
}

// ErrNewer says that a newer Carillon has written the configuration in a way that this one cannot read.
var ErrNewer = errors.New("the configuration in the store was made by a newer version of carillon")
