package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
)

// How the embedded etcd is set up.
const (
	memberName   = "carillon"
	clusterToken = "carillon-embedded"
	memberURL    = "http://127.0.0.1:1" // a name; nobody listens, one member has no peers

	tickMS     = 50
	electionMS = 500

	compactAfter    = "1h" // history older than this goes
	raftEntries     = 1000 // of the log that are kept in memory before a snapshot
	raftEntriesKept = 100  // after it; more are for slow members, of which there are none
	walSegmentBytes = 16 << 20

	startTimeout = 60 * time.Second // a long log is read from a slow disk
	closeTimeout = 5 * time.Second
	unixPathMax  = 104 // octets of a socket's path that every system takes
)

// etcd allots two segments of its log beforehand, 64 MB each: too much for what a
// controller writes. It has no other way to say so.
func init() { wal.SegmentSizeBytes = walSegmentBytes }

// node runs the embedded etcd, and runs it again if it broke.
type node struct {
	dir   string
	quota int64
	log   *slog.Logger
	lock  *os.File
	disk  disk

	now    atomic.Pointer[instance] // nil while there is none
	why    atomic.Pointer[error]    // valid iff now is nil
	full   atomic.Bool              // the quota is used up
	recent atomic.Int64             // octets that were admitted since the database's size was looked at
	kick   chan struct{}            // the keeper should look

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// instance is one run of etcd.
type instance struct {
	etcd   *embed.Etcd
	client *clientv3.Client
	broke  chan struct{} // closed when it cannot go on

	closing atomic.Bool
}

func startNode(ctx context.Context, c Config) (*node, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil || c.Dir == "" {
		return nil, errors.Join(errors.New("store: no data directory was given"), err)
	}
	lock, err := openDir(dir, c.Version)
	if err != nil {
		return nil, err
	}
	n := &node{dir: dir, quota: c.QuotaBytes, log: c.Logger, lock: lock, kick: make(chan struct{}, 1), disk: disk{dir: dir}}
	if n.quota <= 0 {
		n.quota = quotaBytes
	}
	removeCopies(dir)
	in, err := n.start(ctx)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	n.now.Store(in)
	ctx, n.stop = context.WithCancel(context.Background())
	n.wg.Add(2)
	go func() { defer n.wg.Done(); n.keepRunning(ctx, in) }()
	go func() { defer n.wg.Done(); n.keepRoom(ctx) }()
	return n, nil
}

func (n *node) client() (*clientv3.Client, error) {
	if in := n.now.Load(); in != nil {
		return in.client, nil
	}
	if why := n.why.Load(); why != nil {
		return nil, *why
	}
	return nil, ErrUnavailable
}

func (n *node) close() error {
	n.stop()
	n.wg.Wait()
	var err error
	if in := n.now.Swap(nil); in != nil {
		err = in.close()
	}
	return errors.Join(err, n.lock.Close())
}

func (n *node) config(lg *zap.Logger) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = memberName, n.dir
	peer, _ := url.Parse(memberURL)
	c.ListenPeerUrls = nil
	c.ListenClientUrls = nil
	c.AdvertisePeerUrls = []url.URL{*peer}
	c.AdvertiseClientUrls = []url.URL{*peer}
	if path := filepath.Join(n.dir, socketFile); len(path) <= unixPathMax {
		_ = os.Remove(path) // of a run that was killed; the lock says that none is alive
		c.ListenClientUrls = []url.URL{{Scheme: "unix", Path: path}}
		c.AdvertiseClientUrls = c.ListenClientUrls
	} else {
		n.log.Info("store: no socket for etcdctl and engines beside: the path of the data directory is too long", "path", path)
	}
	c.InitialCluster = memberName + "=" + memberURL
	c.InitialClusterToken = clusterToken
	c.TickMs, c.ElectionMs = tickMS, electionMS
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, compactAfter
	c.QuotaBackendBytes = n.hardQuota()
	c.MaxTxnOps, c.MaxRequestBytes = maxOps, maxRequestBytes
	c.SnapshotCount, c.SnapshotCatchUpEntries = raftEntries, raftEntriesKept
	c.EnableGRPCGateway = false
	c.LogLevel = "warn"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(lg)
	return c
}

// start runs etcd. It breaks by the end of goroutines (see zapTo), so it gets its own.
func (n *node) start(ctx context.Context) (*instance, error) {
	in := &instance{broke: make(chan struct{})}
	var once sync.Once
	reason := "it ended"
	broke := func(why string) {
		once.Do(func() { reason = why; close(in.broke) })
	}
	started := make(chan error, 1)
	go func() {
		err := errors.New("it broke while it started")
		defer func() { started <- err }()
		in.etcd, err = embed.StartEtcd(n.config(zapTo(n.log, &in.closing, broke)))
	}()
	if err := in.started(started); err != nil {
		select {
		case <-in.broke:
			err = fmt.Errorf("%s (%w)", reason, err)
		default:
		}
		return nil, fmt.Errorf("%w: etcd in %s does not start: %w", ErrUnavailable, n.dir, err)
	}
	var err error
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-in.etcd.Server.ReadyNotify():
	case <-in.broke:
		err = errors.New(reason)
	case <-in.etcd.Server.StopNotify():
		err = errors.New("it stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: etcd in %s does not start: %w", ErrUnavailable, n.dir, err), in.close())
	}
	in.client = v3client.New(in.etcd.Server)
	n.disk.reserve()
	n.disk.keepBallast()
	return in, nil
}

// started waits for etcd to have started. A goroutine of its own that breaks, as on a database that is damaged, may be
// one that the start waits for: then it never ends.
func (in *instance) started(done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-in.broke:
	}
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return errStuck
	}
}

// close stops etcd. One that broke may hang; it is then left where it is.
func (in *instance) close() error {
	in.closing.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if in.client != nil {
			_ = in.client.Close()
		}
		in.etcd.Close()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(closeTimeout):
		return errStuck
	}
}

var errStuck = errors.New("store: etcd does not stop")

// keepRunning starts etcd again after it broke.
func (n *node) keepRunning(ctx context.Context, in *instance) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.broke:
		case <-in.etcd.Server.StopNotify():
		}
		n.down(errStopped)
		n.log.Error("store: etcd stopped; it starts again when it can, and engines go on with what they have", "dir", n.dir)
		stuck := in.close() != nil
		if in = n.again(ctx, in, stuck); in == nil {
			return
		}
		n.log.Info("store: etcd runs again", "dir", n.dir)
	}
}

var errStopped = fmt.Errorf("%w: etcd stopped, see the log; it starts again when it can", ErrUnavailable)

// again starts etcd when the disk has room for it. stuck: old did not stop.
func (n *node) again(ctx context.Context, old *instance, stuck bool) *instance {
	for retry := retryMin; ; retry = min(2*retry, retryMax) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		err := n.disk.room(diskReserve, 0)
		if err == nil && stuck {
			err = n.bury(old)
			stuck = err != nil
		}
		if err != nil {
			n.down(err)
			continue
		}
		in, err := n.start(ctx)
		if err == nil {
			n.now.Store(in)
			return in
		}
		n.down(err)
		if errors.Is(err, errStuck) {
			n.log.Error("store: etcd cannot be started again in this process; restart carillon", "dir", n.dir, "error", err)
			return nil
		}
	}
}

func (n *node) down(why error) {
	n.why.Store(&why)
	n.now.Store(nil)
}
