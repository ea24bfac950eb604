package metric

// Histogram counts durations of 1 µs to 128 s with an error below 3 %, kept apart for every worker.
type Histogram struct{}

// Recorder is one worker's part of a Histogram. Only that worker may write it.
type Recorder struct{}

// NewHistogram returns a histogram for workers.
func NewHistogram(workers int) *Histogram { return &Histogram{} }

// Worker returns the recorder of worker w.
func (h *Histogram) Worker(w int) *Recorder { return nil }

// Record counts one duration in nanoseconds; a negative one counts as 0.
func (r *Recorder) Record(ns int64) {}

// Snapshot returns the sum over all workers. Any goroutine may call it.
func (h *Histogram) Snapshot() *Snapshot { return &Snapshot{} }

// Snapshot is a histogram at one moment, or the sum or difference of several.
type Snapshot struct {
	Count uint64
	SumNS uint64 // exact, not from the buckets
}

// Merge adds o to s.
func (s *Snapshot) Merge(o *Snapshot) {}

// Sub takes the earlier snapshot o of the same histogram from s, so that s tells what happened between.
func (s *Snapshot) Sub(o *Snapshot) {}

// QuantileNS returns the duration that a share p (0 to 1) of the durations does not exceed; 0 without any.
func (s *Snapshot) QuantileNS(p float64) float64 { return 0 }

// Buckets returns, for every upper bound in seconds, how many durations do not exceed it: what client_golang's
// NewConstHistogram takes.
func (s *Snapshot) Buckets(bounds []float64) map[float64]uint64 { return nil }
