package controller

import (
	"context"
	"sync/atomic"

	"github.com/carillon-sip/carillon/internal/store"
)

// counts are what a controller counts, since it started.
type counts struct {
	changes, refused, conflicts, logins, badLogins, lockedLogins, endedEarly atomic.Uint64
}

// Stats is what a controller knows of itself.
type Stats struct {
	Store        store.Status
	Revision     int64  // of the view
	Objects      int    // configured
	Unreadable   int    // records of the store that cannot be read
	Engines      int    // registered
	Changes      uint64 // made here
	Refused      uint64 // changes that were refused, for whatever reason
	Conflicts    uint64 // changes planned anew since another controller was faster
	Logins       uint64 // right passwords, but for those that were remembered
	BadLogins    uint64 // wrong ones
	LockedLogins uint64 // not even looked at, after too many wrong ones
	Revoked      int    // stretches of logouts that are remembered
	EndedEarly   uint64 // sessions ended since their user had too many logouts around them
}

// Stats looks at everything. It asks the store, so it may take a while.
func (c *Controller) Stats(ctx context.Context) Stats {
	v := c.View()
	return Stats{Store: c.st.Status(ctx), Revision: v.Revision, Objects: v.Len(), Unreadable: len(v.Faults), Engines: len(c.Engines()),
		Changes: c.counts.changes.Load(), Refused: c.counts.refused.Load(), Conflicts: c.counts.conflicts.Load(),
		Logins: c.counts.logins.Load(), BadLogins: c.counts.badLogins.Load(), LockedLogins: c.counts.lockedLogins.Load(), Revoked: c.logouts.len(), EndedEarly: c.counts.endedEarly.Load()}
}
