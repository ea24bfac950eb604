package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaseMinTTL is the shortest life after a loss that a lease may have.
const leaseMinTTL = 2 * time.Second

// Lease keeps a key alive as long as its holder is. It is made anew by itself, with
// the last value, if the store lost it.
type Lease struct {
	s   *Store
	key string
	ttl time.Duration

	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // a Put failed: try soon

	mu    sync.Mutex // held across requests: one at a time
	id    clientv3.LeaseID
	value []byte
	stale bool // value is not what the store has, as far as we know
}

// Lease puts value under key for as long as the Lease is open and the process alive,
// and ttl longer. The key is taken from whoever has it.
func (s *Store) Lease(ctx context.Context, key string, ttl time.Duration, value []byte) (*Lease, error) {
	l := &Lease{s: s, key: key, ttl: max(ttl, leaseMinTTL), value: value, stale: true,
		done: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := l.refresh(ctx); err != nil {
		return nil, err
	}
	ctx, l.stop = context.WithCancel(s.ctx)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer close(l.done)
		l.keep(ctx)
	}()
	return l, nil
}

// Put changes the value. If it cannot now, it says so and is done later, unless
// another Put comes first.
func (l *Lease) Put(ctx context.Context, value []byte) error {
	l.mu.Lock()
	l.value, l.stale = value, true
	l.mu.Unlock()
	err := l.refresh(ctx)
	if err != nil {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return err
}

// Close removes the key, at once if the store can be reached.
func (l *Lease) Close() {
	l.stop()
	<-l.done
}

// current is the lease's number for a transaction of its holder.
func (l *Lease) current() (clientv3.LeaseID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id == 0 {
		return 0, fmt.Errorf("%w: the lease of %s is lost for the moment", ErrUnavailable, l.key)
	}
	return l.id, nil
}

func (l *Lease) keep(ctx context.Context) {
	every := time.NewTicker(l.ttl / 3)
	defer every.Stop()
	trouble := false
	for {
		select {
		case <-ctx.Done():
			l.release()
			return
		case <-every.C:
		case <-l.wake:
			// A moment, so that a store that refuses is not asked without end.
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
		err := l.refresh(ctx)
		if err != nil && !trouble && ctx.Err() == nil {
			l.s.log.Warn("store: a lease cannot be kept alive", "key", l.key, "error", err)
		}
		trouble = err != nil
	}
}

// refresh makes sure that the lease lives and that the key has the last value.
func (l *Lease) refresh(ctx context.Context) error {
	c, err := l.s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, min(l.ttl, requestTimeout))
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id != 0 && !l.stale {
		_, err := c.KeepAliveOnce(ctx, l.id)
		if err == nil {
			return nil
		}
		if !is(err, rpctypes.ErrLeaseNotFound) {
			return explain(err)
		}
		l.id = 0
	}
	if l.s.node != nil {
		if err := l.s.node.admit(&Txn{Put: []KV{{Key: l.key, Value: l.value}}, Frees: true}); err != nil {
			return err
		}
	}
	for range 2 { // the second time if the lease went while we held it for alive
		if l.id == 0 {
			r, err := c.Grant(ctx, int64((l.ttl+time.Second-1)/time.Second))
			if err != nil {
				return explainChange(err)
			}
			l.id = r.ID
		}
		_, err = c.Put(ctx, l.s.prefix+l.key, string(l.value), clientv3.WithLease(l.id))
		if err == nil {
			l.stale = false
			return nil
		}
		if !is(err, rpctypes.ErrLeaseNotFound) {
			break
		}
		l.id = 0
	}
	l.stale = true
	return explainChange(err)
}

// release gives the lease back, and with it the key.
func (l *Lease) release() {
	c, err := l.s.releaseClient()
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.id == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if _, err := c.Revoke(ctx, l.id); err != nil {
		l.s.log.Info("store: a lease was not given back; its key goes by itself", "key", l.key, "error", explain(err))
	}
}

// releaseClient is client, also while the store closes.
func (s *Store) releaseClient() (*clientv3.Client, error) {
	if s.node != nil {
		return s.node.client()
	}
	return s.link.client()
}
