package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Room on the disk and within the quota.
const (
	diskReserve = 32 << 20 // with less than this free on the disk nothing is accepted but a way out
	outReserve  = 16 << 20 // with less than this free not even that
	ballast     = 32 << 20 // a file that is given up for a way out
	keepHistory = 1000     // revisions that followers find after a compaction for room
	roomEvery   = time.Second
)

// ballastFile is room on the disk that nobody else can take.
const ballastFile = "BALLAST"

// disk is the one with the data directory.
type disk struct{ dir string }

// room refuses a change for which the disk may not do. etcd stops for good when a
// write fails, so it must not come to that: the log's next segments and the
// database's next pages have their blocks already, and this keeps the rest.
func (d disk) room(reserve, sizeBytes int64) error {
	free, err := d.freeBytes()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, d.dir, err)
	}
	// Each octet goes to the log, to the database, and there with its pages twice.
	if need := reserve + 4*sizeBytes; free < need {
		return fmt.Errorf("%w: the disk of %s has %d MiB left, and this needs %d; make room there, or delete objects: that is taken for longer",
			ErrFull, d.dir, free>>20, (need>>20)+1)
	}
	return nil
}

// wayOut is room for a change that makes some. The ballast is given up for it.
func (d disk) wayOut(sizeBytes int64) error {
	err := d.room(outReserve, sizeBytes)
	if err == nil {
		return nil
	}
	if os.Remove(filepath.Join(d.dir, ballastFile)) != nil {
		return err
	}
	return d.room(outReserve, sizeBytes)
}

// admit refuses what there is no room for. What only deletes, or is a way out, may
// use what is kept back for it on the disk and beyond the quota.
func (n *node) admit(t *Txn) error {
	size := t.sizeBytes()
	if size > maxRequestBytes {
		return fmt.Errorf("%w: %d octets, at most %d", ErrTooLarge, size, maxRequestBytes)
	}
	if t.Frees || len(t.Put) == 0 && len(t.Delete) > 0 {
		return n.disk.wayOut(size)
	}
	if len(t.Put) == 0 {
		return n.disk.room(outReserve, 0) // it asks for the revision
	}
	if err := n.room(size); err != nil {
		return err
	}
	return n.disk.room(diskReserve, size)
}

// room refuses what would go beyond the quota. etcd's own is larger: at that it takes
// nothing that has a put in it, and a delete of a controller has one, to tell of it.
func (n *node) room(sizeBytes int64) error {
	in := n.now.Load()
	if in == nil {
		return nil // the request says why
	}
	be := in.etcd.Server.Backend()
	recent := n.recent.Add(sizeBytes)
	if be.Size()+recent > n.quota && !n.full.Load() { // its size is that of a moment ago, but for what came since
		be.ForceCommit()
		n.recent.Store(sizeBytes)
		if be.Size()+sizeBytes > n.quota {
			n.full.Store(true)
		}
	}
	if !n.full.Load() {
		return nil
	}
	signal(n.kick)
	return fmt.Errorf("%w: its database has %d of %d MiB, and history is being cleared; if that does not help, delete objects", ErrFull, be.Size()>>20, n.quota>>20)
}

// hardQuota is etcd's own.
func (n *node) hardQuota() int64 { return hardQuota(n.quota) }

func hardQuota(quota int64) int64 { return quota + max(quota/8, 8<<20) }

// softQuota is what hardQuota was made of.
func softQuota(hard int64) int64 {
	quota := min(hard-8<<20, hard/9*8)
	for hardQuota(quota+1) <= hard { // what the divisions have lost
		quota++
	}
	return quota
}

// refused looks after an error of etcd's.
func (n *node) refused(err error) {
	if is(err, rpctypes.ErrNoSpace) {
		n.full.Store(true)
		signal(n.kick)
	}
}

// keepRoom keeps the database within its quota, and the disk ahead of it.
func (n *node) keepRoom(ctx context.Context) {
	every := time.NewTicker(roomEvery)
	defer every.Stop()
	k := keeper{n: n}
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-n.kick:
		}
		if in := n.now.Load(); in != nil {
			k.look(ctx, in)
		}
	}
}

// keeper makes room. It belongs to one goroutine.
type keeper struct {
	n         *node
	in        *instance // the one that the rest is about
	compacted int64     // revision
	reserved  int64     // size of the database when its blocks were last seen to
	loose     bool      // it was compacted and not yet written anew; its own count of free pages lags
}

func (k *keeper) look(ctx context.Context, in *instance) {
	be := in.etcd.Server.Backend()
	if k.in != in {
		*k = keeper{n: k.n, in: in}
	}
	if hasAlarm(in) {
		k.n.full.Store(true)
	}
	k.n.disk.keepBallast()
	k.n.recent.Store(0)
	if size := be.Size(); size != k.reserved {
		k.n.disk.reserve()
		k.reserved = size
	}
	if k.n.full.Load() {
		k.recover(ctx)
		return
	}
	if be.SizeInUse() > k.n.quota/2 {
		k.compact(ctx, in.etcd.Server.KV().Rev()-keepHistory)
	}
	if be.Size() > k.n.quota/4*3 && be.SizeInUse() < be.Size()/2 {
		k.defragment()
	}
}

// recover makes room when the quota is used up: all history goes, the file is
// written anew, and if that helped, etcd is told to take writes again.
func (k *keeper) recover(ctx context.Context) {
	be, server := k.in.etcd.Server.Backend(), k.in.etcd.Server
	if k.compact(ctx, server.KV().Rev()) {
		k.loose = true
	}
	if k.loose && k.defragment() {
		k.loose = false
	}
	if hasAlarm(k.in) && be.Size() <= k.n.hardQuota()/10*9 {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		_, err := server.Alarm(ctx, &pb.AlarmRequest{
			MemberID: uint64(server.MemberID()), Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE})
		if err != nil {
			k.n.log.Warn("store: there is room again, but etcd does not take it", "error", err)
			return
		}
	}
	if be.Size() > k.n.quota/10*9 || hasAlarm(k.in) {
		return // it is full of what is wanted; deletes are taken
	}
	k.n.full.Store(false)
	k.n.log.Info("store: there is room again", "usedBytes", be.SizeInUse(), "quotaBytes", k.n.quota)
}

func (k *keeper) compact(ctx context.Context, revision int64) (done bool) {
	// A tenth of the kept history at a time, so that it is worth it.
	if revision <= k.compacted || (!k.n.full.Load() && revision < k.compacted+keepHistory/10) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err := k.in.client.Compact(ctx, revision, clientv3.WithCompactPhysical())
	if err != nil && !is(err, rpctypes.ErrCompacted) {
		k.n.log.Warn("store: history cannot be compacted", "revision", revision, "error", explain(err))
		return false
	}
	k.compacted = revision
	k.in.etcd.Server.Backend().ForceCommit()
	return true
}

// defragment writes the database anew, for which the disk must do.
func (k *keeper) defragment() bool {
	be := k.in.etcd.Server.Backend()
	if err := k.n.disk.room(diskReserve, be.SizeInUse()/4); err != nil {
		return false
	}
	before := be.Size()
	if err := be.Defrag(); err != nil {
		k.n.log.Warn("store: the database cannot be defragmented", "error", err)
		return false
	}
	k.n.disk.reserve()
	k.n.log.Info("store: the database was defragmented", "beforeBytes", before, "afterBytes", be.Size())
	return true
}

func hasAlarm(in *instance) bool {
	for _, a := range in.etcd.Server.Alarms() {
		if a.Alarm == pb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// roomNow says why nothing but a way out is taken.
func (n *node) roomNow() error {
	if err := n.room(0); err != nil {
		return err
	}
	return n.disk.room(diskReserve, 0)
}

// status adds what only the embedded store knows.
func (n *node) status(st *Status) {
	st.Quota = n.quota
	st.Full = n.roomNow() != nil
	st.FreeBytes, _ = n.disk.freeBytes()
	st.Fsync = fsyncP99()
}

// fsyncP99 is from etcd's own metric: the upper bound of the bucket that holds it.
func fsyncP99() time.Duration {
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() != "etcd_disk_wal_fsync_duration_seconds" || len(f.Metric) != 1 {
			continue
		}
		h := f.Metric[0].GetHistogram()
		for _, b := range h.GetBucket() {
			if 100*b.GetCumulativeCount() >= 99*h.GetSampleCount() {
				return time.Duration(b.GetUpperBound() * float64(time.Second))
			}
		}
	}
	return 0
}
