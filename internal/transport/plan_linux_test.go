//go:build linux && (amd64 || arm64)

package transport

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// seed is printed with every failure.
func seeded(t *testing.T) *rand.Rand {
	s := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", s)
		}
	})
	return rand.New(rand.NewPCG(s, 0))
}

// fill queues datagrams of random destinations, tags and sizes; the first octets
// of each tell its place.
func fill(t *testing.T, r *rand.Rand, o *Out, dests []netip.AddrPort, tags int, sizes []int) (n int) {
	for {
		to := dests[r.IntN(len(dests))]
		size := sizes[r.IntN(len(sizes))]
		tag := uint64(r.IntN(tags)) * 0x1234567
		room := o.Room(size)
		if room == nil {
			return n
		}
		room = room[:size]
		if size >= 12 {
			binary.BigEndian.PutUint64(room, tag)
			binary.BigEndian.PutUint32(room[8:], uint32(n))
		}
		if !o.Add(room, to, netip.Addr{}, tag) {
			t.Fatal("Room gave what Add does not take")
		}
		n++
		if r.IntN(200) == 0 {
			return n
		}
	}
}

// The plan as a property: every datagram leaves once, trains are what the kernel
// takes, and no two of one tag to one destination change their order.
func TestPlan(t *testing.T) {
	r := seeded(t)
	o := NewOut(512<<10, 256)
	var merged, trains int
	for round := range 3000 {
		dests := make([]netip.AddrPort, 1+r.IntN(12))
		for i := range dests {
			dests[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(i)}), uint16(5060+r.IntN(2)))
		}
		sizes := make([]int, 1+r.IntN(20))
		for i := range sizes {
			sizes[i] = r.IntN(1500)
			if r.IntN(50) == 0 {
				sizes[i] = r.IntN(65507)
			}
		}
		maxSize := []int{MaxDatagram, 1232, 1452, 0}[r.IntN(4)]
		n := fill(t, r, o, dests, 1+r.IntN(100), sizes)
		o.wire.plan(o.queue, maxSize)
		if err := checkPlan(&o.wire, o.queue, maxSize); err != nil {
			t.Fatalf("round %d, %d datagrams, %d destinations, sizes to %d: %v", round, n, len(dests), maxSize, err)
		}
		for i := range o.wire.trains {
			if tr := &o.wire.trains[i]; !tr.gone {
				trains++
				merged += int(tr.count)
			}
		}
		o.reset()
	}
	if 2*merged < 3*trains {
		t.Errorf("%d datagrams took %d trains: hardly any was joined", merged, trains)
	}
}

func checkPlan(w *wire, queue []queued, maxSize int) error {
	type flow struct {
		to  netip.AddrPort
		tag uint64
	}
	last, seen := map[flow]int32{}, make([]bool, len(queue))
	for t := range w.trains {
		tr := &w.trains[t]
		if tr.gone {
			continue
		}
		head := &queue[tr.head]
		count, octets, short := int32(0), int32(0), false
		for i := tr.head; i != none; i = w.after[i] {
			q := &queue[i]
			f := flow{q.to, q.tag}
			before, ok := last[f]
			switch {
			case seen[i]:
				return fmt.Errorf("datagram %d leaves twice", i)
			case ok && before > i:
				return fmt.Errorf("datagram %d leaves before %d of the same tag and destination", before, i)
			case q.to != head.to || w.dests[tr.dest].to != q.to:
				return fmt.Errorf("datagram %d to %v rides to %v", i, q.to, w.dests[tr.dest].to)
			case short:
				return fmt.Errorf("datagram %d rides behind a shorter one", i)
			case q.n > head.n:
				return fmt.Errorf("datagram %d of %d octets rides behind one of %d", i, q.n, head.n)
			}
			seen[i], last[f], short = true, i, q.n < head.n
			count, octets = count+1, octets+int32(q.n)
		}
		if count != tr.count || octets != tr.bytes {
			return fmt.Errorf("train %d has %d datagrams of %d octets and says %d, %d", t, count, octets, tr.count, tr.bytes)
		}
		if count > 1 && (count > maxTrainDatagrams || octets > maxTrainBytes || int(head.n) > maxSize || head.n == 0) {
			return fmt.Errorf("train of %d datagrams, %d octets, size %d", count, octets, head.n)
		}
	}
	if i := slices.Index(seen, false); i >= 0 {
		return fmt.Errorf("datagram %d stays", i)
	}
	return nil
}

// What the plan is for, by example: datagrams as "destination size tag", trains
// as the indexes of their datagrams.
func TestPlanExamples(t *testing.T) {
	type d struct {
		to, size int
		tag      uint64
	}
	for name, tc := range map[string]struct {
		queue []d
		want  string
	}{
		"equal ones ride together":                {[]d{{1, 900, 1}, {2, 900, 2}, {1, 900, 3}, {2, 900, 4}}, "[[0 2] [1 3]]"},
		"a shorter one rides last":                {[]d{{1, 900, 1}, {1, 400, 2}}, "[[0 1]]"},
		"a shorter one moves back":                {[]d{{1, 400, 1}, {1, 900, 2}}, "[[1 0]]"},
		"not before its predecessor":              {[]d{{1, 400, 7}, {1, 900, 7}}, "[[0] [1]]"},
		"one tag, falling sizes":                  {[]d{{1, 900, 7}, {1, 400, 7}, {1, 900, 7}}, "[[0 1] [2]]"},
		"equal ones, but one of the tag between":  {[]d{{1, 400, 7}, {1, 900, 7}, {1, 400, 7}}, "[[0] [1 2]]"},
		"another destination of the tag is free":  {[]d{{1, 900, 7}, {2, 500, 7}, {1, 900, 7}}, "[[0 2] [1]]"},
		"pairs rather than single ones":           {[]d{{1, 500, 1}, {1, 600, 2}, {1, 700, 3}, {1, 800, 4}}, "[[1 0] [3 2]]"},
		"empty datagrams ride alone":              {[]d{{1, 0, 1}, {1, 0, 2}, {1, 9, 3}}, "[[0] [1] [2]]"},
		"long trains are cut at 64 datagrams":     {slices.Repeat([]d{{1, 10, 1}}, 65), "[64 1]"},
		"long trains are cut at 65,000 octets":    {slices.Repeat([]d{{1, 6500, 1}}, 11), "[10 1]"},
		"sizes above the limit go alone, in tune": {[]d{{1, 60000, 1}, {1, 60000, 1}}, "[[0] [1]]"},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewOut(1<<20, 256)
			for _, q := range tc.queue {
				o.Add(make([]byte, q.size), netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(q.to)}), 5060), netip.Addr{}, q.tag)
			}
			o.wire.plan(o.queue, MaxDatagram)
			var lists [][]int32
			var counts []int32
			for i := range o.wire.trains {
				tr := &o.wire.trains[i]
				if tr.gone {
					continue
				}
				var list []int32
				for j := tr.head; j != none; j = o.wire.after[j] {
					list = append(list, j)
				}
				lists, counts = append(lists, list), append(counts, tr.count)
			}
			if got := fmt.Sprint(lists); got != tc.want && fmt.Sprint(counts) != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// The table of destinations forgets all when it is full, and stamps may go round.
func TestPlanForgets(t *testing.T) {
	r := seeded(t)
	o := NewOut(0, 64)
	o.wire.gen = ^uint32(0) - 50
	for round := range 200 {
		var dests []netip.AddrPort
		for range 64 {
			a := netip.AddrFrom16([16]byte{0x20, 1, 15: byte(r.IntN(256)), 14: byte(r.IntN(256))})
			dests = append(dests, netip.AddrPortFrom(a, uint16(1+r.IntN(60000))))
		}
		fill(t, r, o, dests, 5, []int{100, 200})
		o.wire.plan(o.queue, MaxDatagram)
		if err := checkPlan(&o.wire, o.queue, MaxDatagram); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		o.reset()
	}
}

// The same over the kernel: order and octets as the receiver sees them.
func TestOrderOverSockets(t *testing.T) {
	r := seeded(t)
	for _, recv := range []Options{{RecvBuf: 4 << 20}, {RecvBuf: 4 << 20, GRO: true}} {
		s := open(t, lo4, Options{SendBuf: 4 << 20})
		b, o := newBatch(t, MaxBatch), NewOut(128<<10, 64)
		var to []*Socket
		var dests []netip.AddrPort
		for range 4 {
			to = append(to, open(t, lo4, recv))
			dests = append(dests, to[len(to)-1].LocalAddr())
		}
		for round := range 150 {
			n := fill(t, r, o, dests, 6, []int{12, 40, 300, 300, 955, 955, 1100})
			count := map[netip.AddrPort]int{}
			for _, q := range o.queue {
				count[q.to]++
			}
			if failed := s.Flush(o); failed != 0 {
				t.Fatalf("round %d: %d of %d failed: %v", round, failed, n, o.Failures())
			}
			for i, rs := range to {
				last := map[uint64]uint32{}
				for _, d := range recvN(t, rs, b, count[dests[i]]) {
					tag, place := binary.BigEndian.Uint64([]byte(d.data)), binary.BigEndian.Uint32([]byte(d.data[8:]))
					if before, ok := last[tag]; ok && before >= place {
						t.Fatalf("round %d: tag %d: %d came after %d", round, tag, place, before)
					}
					last[tag] = place
				}
			}
		}
		if st := s.Stats(); st.GSOSends == 0 || st.GSODatagrams < 2*st.GSOSends {
			t.Errorf("no trains: %+v", st)
		}
	}
}
