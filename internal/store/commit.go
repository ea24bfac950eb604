package store

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Cond holds if the key was last changed by Revision; 0: if it does not exist.
type Cond struct {
	Key      string
	Revision int64
}

// Txn is one change: if every comparison holds, all of it happens, under one revision.
// A key stands at most once among puts and deletes.
type Txn struct {
	Compare []Cond
	Put     []KV // Key, Value and Lease count
	Delete  []string
	Frees   bool // it is a way out of a store that is full: it may use what is kept back for such
}

// Commit makes the change durable, or says why it did not. ok is false if a
// comparison failed; revision is then the one at which it failed. A transaction that
// changes nothing gives the revision of the store.
//
// An error wraps ErrUnavailable, ErrUncertain, ErrFull, ErrTooLarge or ErrDenied.
func (s *Store) Commit(ctx context.Context, t Txn) (revision int64, ok bool, err error) {
	c, err := s.client()
	if err != nil {
		return 0, false, err
	}
	if n := max(len(t.Compare), len(t.Put)+len(t.Delete)); n > s.MaxOps() {
		return 0, false, fmt.Errorf("%w: %d operations, at most %d", ErrTooLarge, n, s.MaxOps())
	}
	if s.node != nil {
		if err := s.node.admit(&t); err != nil {
			return 0, false, err
		}
	}
	cmps, ops, err := s.operations(&t)
	if err != nil {
		return 0, false, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	r, err := c.Txn(ctx).If(cmps...).Then(ops...).Commit()
	if err != nil {
		if s.node != nil {
			s.node.refused(err)
		}
		return 0, false, explainChange(err)
	}
	return r.Header.Revision, r.Succeeded, nil
}

func (s *Store) operations(t *Txn) ([]clientv3.Cmp, []clientv3.Op, error) {
	cmps := make([]clientv3.Cmp, len(t.Compare))
	for i, c := range t.Compare {
		cmps[i] = clientv3.Compare(clientv3.ModRevision(s.prefix+c.Key), "=", c.Revision)
	}
	ops := make([]clientv3.Op, 0, len(t.Put)+len(t.Delete))
	for _, kv := range t.Put {
		var opts []clientv3.OpOption
		if kv.Lease != nil {
			id, err := kv.Lease.current()
			if err != nil {
				return nil, nil, err
			}
			opts = append(opts, clientv3.WithLease(id))
		}
		ops = append(ops, clientv3.OpPut(s.prefix+kv.Key, string(kv.Value), opts...))
	}
	for _, key := range t.Delete {
		ops = append(ops, clientv3.OpDelete(s.prefix+key))
	}
	return cmps, ops, nil
}

// sizeBytes is about what the transaction takes in the log.
func (t *Txn) sizeBytes() int64 {
	const perOp = 64
	n := 0
	for _, c := range t.Compare {
		n += perOp + len(c.Key)
	}
	for _, kv := range t.Put {
		n += perOp + len(kv.Key) + len(kv.Value)
	}
	for _, key := range t.Delete {
		n += perOp + len(key)
	}
	return int64(n)
}
