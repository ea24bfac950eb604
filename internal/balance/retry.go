package balance

import (
	"sync/atomic"
	"time"
)

// RetryBudget bounds the retries of a pool so that a failing pool is not flooded by them: a percentage of the recent
// requests and a minimum a second. What is not used within about retryWindow is lost. Safe for concurrent use; atomics
// only.
type RetryBudget struct {
	_        [128]byte
	requests atomic.Int64 // all so far
	_        [120]byte

	percent   int64
	perSecond int64
	left      atomic.Int64 // thousandths of a retry
	seen      atomic.Int64 // requests that left accounts for
	since     atomic.Int64 // when it was last brought up to date, ns; 0 never
	refused   atomic.Uint64
}

const (
	retryWindow = 10 * time.Second
	oneRetry    = 1000
)

// NewRetryBudget allows retries up to percent of the requests of the last ten seconds and minPerSecond beside. With both
// 0 it allows none.
func NewRetryBudget(percent, minPerSecond int) *RetryBudget {
	return &RetryBudget{percent: int64(percent), perSecond: int64(minPerSecond)}
}

// Requests counts n requests that were forwarded for the first time.
func (b *RetryBudget) Requests(n int64) { b.requests.Add(n) }

// Total is how many requests were counted so far.
func (b *RetryBudget) Total() int64 { return b.requests.Load() }

// Allow takes one retry from the budget at nowNS, or counts a refusal and returns false.
func (b *RetryBudget) Allow(nowNS int64) bool {
	b.update(nowNS)
	for {
		left := b.left.Load()
		if left < oneRetry {
			b.refused.Add(1)
			return false
		}
		if b.left.CompareAndSwap(left, left-oneRetry) {
			return true
		}
	}
}

// Refused returns how often Allow said no.
func (b *RetryBudget) Refused() uint64 { return b.refused.Load() }

// update adds what came in since the last time, and lets what was left then fade.
func (b *RetryBudget) update(nowNS int64) {
	since := b.since.Load()
	passed := nowNS - since
	if since != 0 && passed < int64(time.Millisecond) || !b.since.CompareAndSwap(since, nowNS) {
		return // no time has passed, or another does it
	}
	requests := b.requests.Load()
	fresh := float64(requests - b.seen.Swap(requests))
	if since == 0 {
		passed = int64(retryWindow)
	}
	if over := float64(passed) / float64(retryWindow); over > 1 {
		fresh /= over // the requests of the window only, as if they had come evenly
		passed = int64(retryWindow)
	}
	faded := float64(b.left.Load()) * float64(passed) / float64(retryWindow)
	gain := fresh * float64(b.percent) * oneRetry / 100
	gain += float64(b.perSecond) * float64(passed) * oneRetry / float64(time.Second)
	b.left.Add(int64(gain - faded))
}
