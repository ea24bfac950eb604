package store

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// KV is a key and what is under it. Value is shared: never write into it.
type KV struct {
	Key      string // without the prefix of the store
	Value    []byte
	Revision int64  // of its last change
	Created  int64  // revision that made it
	Version  int64  // changes since then, from 1
	Lease    *Lease // for Commit only: the key goes with this lease
}

// Limits of List.
const (
	pageKeys     = 1000 // keys a request
	listAttempts = 5    // a compaction may overtake a list of many pages
)

// List gives all keys that start with prefix, in order, as they were at one revision.
func (s *Store) List(ctx context.Context, prefix string) (kvs []KV, revision int64, err error) {
	kvs, revision, _, err = s.list(ctx, prefix)
	return kvs, revision, err
}

// list is List, and tells which cluster it was.
func (s *Store) list(ctx context.Context, prefix string) (kvs []KV, revision int64, cluster uint64, err error) {
	c, err := s.client()
	if err != nil {
		return nil, 0, 0, err
	}
	for range listAttempts {
		kvs, revision, cluster, err = s.listWith(ctx, c, prefix)
		if err == nil || !is(err, rpctypes.ErrCompacted) {
			break
		}
	}
	return kvs, revision, cluster, explain(err)
}

func (s *Store) listWith(ctx context.Context, c *clientv3.Client, prefix string) (kvs []KV, revision int64, cluster uint64, err error) {
	from := s.prefix + prefix
	end := clientv3.GetPrefixRangeEnd(from)
	for {
		r, err := s.page(ctx, c, from, end, revision)
		if err != nil {
			return nil, 0, 0, err
		}
		if revision == 0 {
			revision, cluster = r.Header.Revision, r.Header.ClusterId
			kvs = make([]KV, 0, r.Count)
		}
		for _, kv := range r.Kvs {
			kvs = append(kvs, s.kv(kv))
		}
		if !r.More {
			return kvs, revision, cluster, nil
		}
		from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) page(ctx context.Context, c *clientv3.Client, from, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageKeys)}
	if revision > 0 {
		opts = append(opts, clientv3.WithRev(revision))
	}
	return c.Get(ctx, from, opts...)
}

// Get gives one key, and the revision at which it looked like this.
func (s *Store) Get(ctx context.Context, key string) (kv KV, found bool, revision int64, err error) {
	c, err := s.client()
	if err != nil {
		return KV{}, false, 0, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	r, err := c.Get(ctx, s.prefix+key)
	if err != nil {
		return KV{}, false, 0, explain(err)
	}
	if len(r.Kvs) == 0 {
		return KV{}, false, r.Header.Revision, nil
	}
	return s.kv(r.Kvs[0]), true, r.Header.Revision, nil
}

func (s *Store) kv(kv *mvccpb.KeyValue) KV {
	return KV{
		Key:      strings.TrimPrefix(string(kv.Key), s.prefix),
		Value:    kv.Value,
		Revision: kv.ModRevision,
		Created:  kv.CreateRevision,
		Version:  kv.Version,
	}
}

func (kv KV) String() string { return fmt.Sprintf("%s@%d", kv.Key, kv.Revision) }

// newest is the key of the whole store that was changed last, as of a revision; the
// zero KV if there is none.
func (s *Store) newest(ctx context.Context, revision int64) (KV, error) {
	c, err := s.client()
	if err != nil {
		return KV{}, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	r, err := c.Get(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1),
		clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend), clientv3.WithRev(revision))
	if err != nil || len(r.Kvs) == 0 {
		return KV{}, explain(err)
	}
	return s.kv(r.Kvs[0]), nil
}
