package eyes

import (
	"context"
	"fmt"

	"github.com/carillon-sip/carillon/internal/view"
)

// clusterState is what the API tells of the store.
type clusterState struct {
	State struct{ Reason string } `json:"cluster_state"`
	Store struct {
		Healthy    bool
		Error      string
		Size       int64 `json:"size_bytes"`
		Quota      int64 `json:"quota_bytes"`
		Unreadable []struct{ Kind, UUID, Name, Says, Mend string }
	}
	Nodes []struct{ Name, State, Error string } `json:"node_states"`
}

// stored looks at the store, and at records of it that nobody can read.
func (d *doctor) stored(ctx context.Context) error {
	var s clusterState
	if err := d.e.get(ctx, "/api/cluster/runtime", &s); err != nil {
		return err
	}
	d.judgeStore(&s)
	return nil
}

func (d *doctor) judgeStore(s *clusterState) {
	const most = 20
	size := fmt.Sprintf("%d MiB", s.Store.Size>>20)
	if s.Store.Quota > 0 {
		size += fmt.Sprintf(" of the %d that it may have", s.Store.Quota>>20)
	}
	switch {
	case s.State.Reason != "":
		d.note("bad", "store", "'carillon store status' tells more. Engines go on with what they have; docs/store.md has what to do.", "%s", s.State.Reason)
	case !s.Store.Healthy:
		d.note("bad", "store", "'carillon store status' tells more. Engines go on with what they have; docs/store.md has what to do.", "it does not serve: %s", s.Store.Error)
	case s.Store.Quota > 0 && s.Store.Size > s.Store.Quota/10*9:
		d.note("warn", "store", "'carillon store defrag' makes room; when it is full, changes are refused, but for deletes.", "it has %s", size)
	default:
		d.ok("store", "it serves, and has %s", size)
	}
	for _, n := range s.Nodes {
		if n.State == "CLUSTER_INACTIVE" {
			d.note("warn", "store", "Start it: with fewer than half of the members left, changes are refused.", "member %s does not answer: %s", n.Name, n.Error)
		}
	}
	for i, u := range s.Store.Unreadable {
		if i == most {
			d.note("bad", "store", "", "and %s more that cannot be read", view.Count(len(s.Store.Unreadable)-most, "record"))
			break
		}
		name := u.Kind + "/" + u.UUID
		if u.Name != "" {
			name = u.Kind + "/" + u.Name
		}
		d.note("bad", "store", u.Mend, "%s: %s", name, u.Says)
	}
}
