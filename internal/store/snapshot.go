package store

import (
	"context"
	"fmt"
	"io"
)

// Snapshot writes the whole store as it is now: etcd's database with its checksum,
// as etcdctl snapshot save does. A cluster asks for its root user.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	r, err := c.SnapshotWithVersion(ctx)
	if err != nil {
		return explain(err)
	}
	defer r.Snapshot.Close()
	if _, err := io.Copy(w, r.Snapshot); err != nil {
		return fmt.Errorf("store: snapshot: %w", explain(err))
	}
	return nil
}
