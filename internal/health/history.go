package health

import "time"

// record is one Result, small: with ten thousand servers every octet counts.
type record struct {
	at       int64  // ns since the Manager began
	latency  uint32 // µs; 0 = none was measured
	status   uint16
	code     Code
	occupied bool
}

// history is what is kept of a check to be shown.
type history struct {
	ring          [KeptResults]record
	next          int
	checks        uint64
	failed        uint64
	counts        [numCodes]uint32
	last, lo, hi  time.Duration // latencies of passed checks; 0 = none yet
	sum           time.Duration
	timed         uint64 // passed checks that sum adds up
	failureDetail string // of the latest failure
}

func (h *history) add(sinceBegin time.Duration, out outcome, latency time.Duration) {
	h.ring[h.next] = record{
		at: int64(sinceBegin), latency: uint32(min(latency.Microseconds(), 1<<32-1)), status: uint16(out.status), code: out.code, occupied: true,
	}
	h.next = (h.next + 1) % KeptResults
	h.checks++
	h.counts[out.code]++
	if out.code != Success {
		h.failureDetail = out.detail
		if out.code != ProbeNotSent {
			h.failed++
		}
		return
	}
	if latency <= 0 {
		return
	}
	h.last = latency
	if h.timed == 0 || latency < h.lo {
		h.lo = latency
	}
	h.hi = max(h.hi, latency)
	h.sum += latency
	h.timed++
}

// results returns the ring, latest first; begin is when the Manager began.
func (h *history) results(begin time.Time) []Result {
	var rs []Result
	for i := range KeptResults {
		r := &h.ring[(h.next-1-i+2*KeptResults)%KeptResults]
		if !r.occupied {
			break
		}
		rs = append(rs, Result{
			At: begin.Add(time.Duration(r.at)), Code: r.code, Status: int(r.status), Latency: time.Duration(r.latency) * time.Microsecond,
		})
	}
	return rs
}

func codeCounts[N uint32 | uint64](counts *[numCodes]N) []CodeCount {
	var cs []CodeCount
	for i, n := range counts {
		if n > 0 && Code(i) != Success {
			cs = append(cs, CodeCount{Code: Code(i), Count: uint64(n)})
		}
	}
	return cs
}

func (h *Histogram) add(d time.Duration) {
	i := 0
	for i < len(LatencyBounds) && d > LatencyBounds[i] {
		i++
	}
	h.Buckets[i]++
	h.Count++
	h.Sum += d
}
