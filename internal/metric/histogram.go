package metric

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets are log-linear: subBuckets of equal width in every power of two from 2^minExp to 2^maxExp ns, which is
// 1 µs to 137 s, one for all that is less and one for all that is more.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	minExp     = 10
	maxExp     = 37
	numBuckets = (maxExp-minExp)*subBuckets + 2
	overflow   = numBuckets - 1
)

// bucketOf returns the bucket of a duration in nanoseconds.
func bucketOf(ns uint64) int {
	if ns < 1<<minExp {
		return 0
	}
	if ns >= 1<<maxExp {
		return overflow
	}
	exp := bits.Len64(ns) - 1
	return (exp-minExp)*subBuckets + int(ns>>(exp-subBits))&(subBuckets-1) + 1
}

// lowerNS returns the lowest duration of a bucket in nanoseconds. That of the one behind the last is its upper end.
func lowerNS(bucket int) uint64 {
	if bucket == 0 {
		return 0
	}
	exp, sub := (bucket-1)/subBuckets, (bucket-1)%subBuckets
	return uint64(subBuckets+sub) << (exp + minExp - subBits)
}

// Histogram counts durations of 1 µs to 128 s with an error below 3 %, kept apart for every worker.
type Histogram struct {
	recorders []*Recorder
}

// Recorder is one worker's part of a Histogram. Only that worker may write it. It takes 7 KB.
type Recorder struct {
	_       [pad]uint64
	sumNS   uint64
	buckets [numBuckets]uint64
	_       [pad]uint64
}

// NewHistogram returns an empty histogram for workers.
func NewHistogram(workers int) *Histogram {
	h := &Histogram{recorders: make([]*Recorder, workers)}
	for w := range h.recorders {
		h.recorders[w] = new(Recorder)
	}
	return h
}

// Worker returns the recorder of worker w.
func (h *Histogram) Worker(w int) *Recorder { return h.recorders[w] }

// Record counts one duration in nanoseconds; a negative one counts as 0.
func (r *Recorder) Record(ns int64) {
	u := uint64(max(ns, 0))
	add(&r.buckets[bucketOf(u)], 1)
	add(&r.sumNS, u)
}

// Reset forgets all durations. Nobody may be recording.
func (h *Histogram) Reset() {
	for _, r := range h.recorders {
		*r = Recorder{}
	}
}

// Snapshot returns the sum over all workers. Any goroutine may call it.
func (h *Histogram) Snapshot() *Snapshot {
	s := new(Snapshot)
	for _, r := range h.recorders {
		s.SumNS += atomic.LoadUint64(&r.sumNS)
		for i := range r.buckets {
			s.buckets[i] += atomic.LoadUint64(&r.buckets[i])
		}
	}
	for _, n := range s.buckets {
		s.Count += n
	}
	return s
}

// Snapshot is a histogram at one moment, or the sum or difference of several. The zero Snapshot is empty.
type Snapshot struct {
	Count   uint64
	SumNS   uint64 // exact, not from the buckets
	buckets [numBuckets]uint64
}

// Merge adds o to s.
func (s *Snapshot) Merge(o *Snapshot) {
	s.Count += o.Count
	s.SumNS += o.SumNS
	for i, n := range &o.buckets {
		s.buckets[i] += n
	}
}

// Sub takes the earlier snapshot o of the same histogram from s, so that s tells what happened between.
func (s *Snapshot) Sub(o *Snapshot) {
	s.Count -= o.Count
	s.SumNS -= o.SumNS
	for i, n := range &o.buckets {
		s.buckets[i] -= n
	}
}

// MeanNS returns the mean duration; 0 without any.
func (s *Snapshot) MeanNS() float64 {
	if s.Count == 0 {
		return 0
	}
	return float64(s.SumNS) / float64(s.Count)
}

// QuantileNS returns the duration that a share p (0 to 1) of the durations does not exceed; 0 without any. Within a
// bucket durations count as evenly spread. What lies beyond the range counts as its end.
func (s *Snapshot) QuantileNS(p float64) float64 {
	if s.Count == 0 {
		return 0
	}
	want := min(max(p, 0), 1) * float64(s.Count)
	var below float64
	last := 0.0
	for i, n := range &s.buckets {
		if n == 0 {
			continue
		}
		if i == overflow {
			return float64(lowerNS(i))
		}
		low, high := float64(lowerNS(i)), float64(lowerNS(i+1))
		if below+float64(n) >= want {
			return low + (high-low)*max(0, want-below)/float64(n)
		}
		below += float64(n)
		last = high
	}
	return last
}

// Buckets returns, for every upper bound in seconds, how many durations do not exceed it: what client_golang's
// NewConstHistogram takes. The bounds must rise. A bucket counts to where its middle lies, so that counts are exact for
// bounds up to 1.6 % beside those given.
func (s *Snapshot) Buckets(bounds []float64) map[float64]uint64 {
	out := make(map[float64]uint64, len(bounds))
	var sum uint64
	at := 0
	for _, bound := range bounds {
		for at < overflow && middleNS(at) <= bound*float64(time.Second) {
			sum += s.buckets[at]
			at++
		}
		out[bound] = sum
	}
	return out
}

func middleNS(bucket int) float64 {
	return (float64(lowerNS(bucket)) + float64(lowerNS(bucket+1))) / 2
}
