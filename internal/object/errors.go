package object

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// FieldError says which field of which object is wrong, and what would be right.
type FieldError struct {
	File         string // file name as given to Load; empty: not from a file
	Line, Column int    // from 1; 0: unknown
	Object       string // "Pool/edge", "Pool[2]" when it has no name; empty: the file itself
	Path         string // "servers[2].port", items counted from 0; empty: the object itself
	Msg          string
}

// Error writes "lb.yaml:14: Pool/edge: servers[2].port: 70000 is out of range: must be ...".
func (e *FieldError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	for _, part := range []string{e.Object, e.Path} {
		if part != "" {
			b.WriteString(part)
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Msg)
	return b.String()
}

// maxFaults bounds the errors told at once: more than these nobody reads.
const maxFaults = 100

// join makes one error of the faults, in the order of their lines; nil when there are none.
func join(faults []*FieldError) error {
	slices.SortStableFunc(faults, func(a, b *FieldError) int { return cmp.Compare(a.Line, b.Line) })
	var errs []error
	for i, f := range faults {
		if i == maxFaults {
			errs = append(errs, fmt.Errorf("and %d more", len(faults)-maxFaults))
			break
		}
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// path is the way from an object to a field of it, from the end up: its text is needed only for an error.
type path struct {
	up    *path
	name  string // empty: an item of a list
	index int    // valid iff name is empty
}

func (p *path) field(name string) *path { return &path{up: p, name: name} }
func (p *path) item(i int) *path        { return &path{up: p, index: i} }

func (p *path) String() string {
	switch {
	case p == nil:
		return ""
	case p.name == "":
		return p.up.String() + "[" + strconv.Itoa(p.index) + "]"
	case p.up == nil:
		return p.name
	}
	return p.up.String() + "." + p.name
}

// steps returns the path from the object down.
func (p *path) steps() []*path {
	var out []*path
	for ; p != nil; p = p.up {
		out = append(out, p)
	}
	slices.Reverse(out)
	return out
}
