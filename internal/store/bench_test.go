package store

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// report gives quantiles of what a benchmark measured one by one.
func report(b *testing.B, what string, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs/"+what)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs/"+what)
}

// BenchmarkCommit is from the call to the answer, one writer, 2 KB.
func BenchmarkCommit(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	value := make([]byte, 2000)
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		begin := time.Now()
		if _, _, err := s.Commit(b.Context(), Txn{Put: []KV{{Key: fmt.Sprint("k", len(took)%1000), Value: value}}}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, "commit", took)
}

// BenchmarkFollow is from the answer of Commit to the batch, with three followers.
func BenchmarkFollow(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	var followers []<-chan Batch
	for range 3 {
		f := s.Follow(b.Context(), "")
		next(b, f)
		followers = append(followers, f)
	}
	value := make([]byte, 2000)
	var took []time.Duration
	for b.Loop() {
		rev, _, err := s.Commit(b.Context(), Txn{Put: []KV{{Key: fmt.Sprint("k", len(took)%1000), Value: value}}})
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		for _, f := range followers {
			for next(b, f).Revision < rev {
			}
		}
		took = append(took, time.Since(begin))
	}
	report(b, "follow", took)
}

// BenchmarkIdle is what an open store with 3,000 objects of 2 KB costs.
func BenchmarkIdle(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse) / (1 << 20)
	}
	before := heap()
	s := open(b, Config{Dir: b.TempDir()})
	txn := Txn{}
	for i := range 3000 {
		txn.Put = append(txn.Put, KV{Key: fmt.Sprint("k", i), Value: make([]byte, 2000)})
	}
	if _, _, err := s.Commit(b.Context(), txn); err != nil {
		b.Fatal(err)
	}
	txn = Txn{}
	for b.Loop() {
		if _, _, err := s.List(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(heap()-before, "MiB-heap")
}
