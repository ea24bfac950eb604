// Package store keeps bytes under keys, durably and in one order: etcd, embedded in
// this process or a cluster that exists already, behind the same few verbs. It knows
// nothing of what the bytes mean.
//
// Every change has a revision, a number that only grows. Commit compares and sets
// under one revision; Follow gives the content of a prefix and then every later
// revision of it, in order and without gaps. No promise rests on a wall clock:
// order is etcd's log, leases are counted by etcd's leader on a monotonic clock.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Limits of the embedded store. Those of a cluster are its own; see Limits.
const (
	maxOps          = 20_000    // operations in a transaction
	maxRequestBytes = 64 << 20  // a transaction, encoded
	quotaBytes      = 512 << 20 // the database file; beyond it writes are refused with ErrFull
)

// What etcd allows where nothing else was configured, and what is assumed of a cluster.
const (
	clusterMaxOps          = 128
	clusterMaxRequestBytes = 3 << 19 // 1.5 MiB
)

// requestTimeout bounds each request whose context has no earlier deadline.
const requestTimeout = 10 * time.Second

// defaultPrefix is before every key.
const defaultPrefix = "/carillon/"

// Config says where the store is.
type Config struct {
	URLs []string // of an etcd cluster; empty: embedded, in Dir
	Dir  string   // data directory of the embedded one; made if it is not there

	CA, Cert, Key      string // files: who may sign the cluster's certificates; ours, shown to it
	Username, Password string // of a cluster with authentication

	Prefix  string // before every key; "" is /carillon/
	Version string // of carillon, noted in the data directory; "" is none
	Logger  *slog.Logger

	// MaxOps is how many operations a cluster takes in a transaction, its --max-txn-ops;
	// 0 is etcd's default, 128. The embedded store has its own.
	MaxOps int
	// QuotaBytes bounds the database file of the embedded store; 0 is 512 MiB.
	QuotaBytes int64
}

// Store is one open store. Its methods may be called from any goroutine.
type Store struct {
	prefix string
	log    *slog.Logger
	// clusterOps is what MaxOps tells of a cluster.
	clusterOps int
	node       *node // valid iff embedded

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // followers and leases

	link *link // valid iff not embedded

	roomMu  sync.Mutex // of what Room knows of a cluster
	roomAt  time.Time
	roomErr error

	closeOnce sync.Once
	closeErr  error
}

// Open opens the store: it starts the embedded one, or connects to the cluster. An
// embedded store serves when Open returns. A cluster need not be there yet: Open
// fails for files that cannot be read and for a password that is refused.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if !strings.HasSuffix(c.Prefix, "/") {
		return nil, fmt.Errorf("store: prefix %q must end with a slash", c.Prefix)
	}
	s := &Store{prefix: c.Prefix, log: c.Logger, clusterOps: clusterMaxOps}
	if c.MaxOps > 0 {
		s.clusterOps = c.MaxOps
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	var err error
	if len(c.URLs) > 0 {
		err = s.connect(c)
	} else {
		s.node, err = startNode(ctx, c)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// Close ends followers and leases, and stops the embedded store. Keys of leases go
// at once if the store can be reached, else when their time is over.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.stop()
		s.wg.Wait()
		if s.node != nil {
			s.closeErr = s.node.close()
		} else {
			s.closeErr = s.link.close()
		}
	})
	return s.closeErr
}

// Embedded tells whether the store runs in this process.
func (s *Store) Embedded() bool { return s.node != nil }

// MaxOps is how many puts and deletes one transaction may have, at most.
func (s *Store) MaxOps() int {
	if s.node != nil {
		return maxOps
	}
	return s.clusterOps
}

// client is what requests go through now: the embedded store may be started anew
// after its disk failed.
func (s *Store) client() (*clientv3.Client, error) {
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	if s.node != nil {
		return s.node.client()
	}
	return s.link.client()
}

var errClosed = fmt.Errorf("%w: the store is closed", ErrUnavailable)

// bounded gives a request its time, and ends it with the store.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Room says why the store takes nothing, or nothing but a way out (KeepsWayOut), as far as it is known; nil:
// it takes all. Of a cluster it is known from its members' alarms, for a moment.
func (s *Store) Room(ctx context.Context) error {
	if s.node != nil {
		return s.node.roomNow()
	}
	s.roomMu.Lock()
	defer s.roomMu.Unlock()
	if time.Since(s.roomAt) > roomKnown {
		s.roomErr, s.roomAt = nil, time.Now()
		if s.Status(ctx).Full {
			s.roomErr = fmt.Errorf("%w: it has come to its quota, or a member has raised the alarm NOSPACE, and etcd takes nothing before that is ended: 'carillon store defrag' as its root user drops history, makes room and ends it", ErrFull)
		}
	}
	return s.roomErr
}

// KeepsWayOut reports whether deletes of objects are taken when the store is full. A cluster takes none: its quota is not ours
// to keep, and what deletes an object writes an audit record too.
func (s *Store) KeepsWayOut() bool { return s.node != nil }

// roomKnown is how long the answer of a cluster counts.
const roomKnown = 2 * time.Second

// Status tells how the store is.
type Status struct {
	Embedded  bool
	Healthy   bool     // a linearizable read was answered
	Error     string   // why not
	Members   []Member // as far as they are known
	Leader    string   // name of the member that leads; "" if none is known
	Revision  int64
	SizeBytes int64         // of the database file
	UsedBytes int64         // of it, what is in use
	Quota     int64         // what SizeBytes may come to; 0 if it is not known
	Full      bool          // writes are refused: the quota is used up, or the disk is
	FreeBytes int64         // on the disk of the data directory; valid iff embedded
	Fsync     time.Duration // p99 of the log's fsync since the start; 0 if it is not known
}

// Member is one voter of the store.
type Member struct {
	Name    string
	URL     string
	Leader  bool
	Healthy bool
	Version string
	Error   string // why it is not healthy
}

// Status asks every member.
func (s *Store) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	st := Status{Embedded: s.node != nil}
	c, err := s.client()
	if err == nil {
		_, _, st.Revision, err = s.Get(ctx, "status")
	}
	if err != nil {
		st.Error = err.Error()
	}
	st.Healthy = err == nil
	if s.node != nil {
		s.node.status(&st)
	}
	if c == nil {
		return st
	}
	if s.node != nil {
		s.askMember(ctx, c, "", &st)
		return st
	}
	for _, url := range c.Endpoints() {
		s.askMember(ctx, c, url, &st)
	}
	return st
}

// askMember adds what the member at url says; "" is the embedded one.
func (s *Store) askMember(ctx context.Context, c *clientv3.Client, url string, st *Status) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m := Member{Name: url, URL: url}
	if url == "" {
		m.Name = memberName
	}
	r, err := c.Status(ctx, url)
	if err != nil {
		m.Error = explain(err).Error()
		st.Members = append(st.Members, m)
		return
	}
	m.Healthy, m.Version = r.Leader != 0, r.Version
	m.Leader = r.Leader == r.Header.MemberId
	if m.Leader {
		st.Leader = m.Name
	}
	if m.Leader || st.SizeBytes == 0 {
		st.SizeBytes, st.UsedBytes = r.DbSize, r.DbSizeInUse
		if r.DbSizeQuota > 0 && s.node == nil {
			st.Quota = r.DbSizeQuota
			if strings.HasPrefix(url, socketScheme) { // another process's embedded store, whose own quota counts before etcd's does
				st.Quota = softQuota(r.DbSizeQuota)
				st.Full = st.Full || st.SizeBytes > st.Quota
			}
		}
	}
	if slices.ContainsFunc(r.Errors, func(e string) bool { return strings.Contains(e, "NOSPACE") }) {
		st.Full = true
	}
	if len(r.Errors) > 0 {
		m.Error = strings.Join(r.Errors, "; ")
	}
	st.Members = append(st.Members, m)
}

// askTimeout is what one member may take to tell its status.
const askTimeout = 2 * time.Second

func isDone(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
