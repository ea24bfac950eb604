package balance

// RetryBudget bounds the retries of a pool so that a failing pool is not flooded by them: a percentage of the recent
// requests and a minimum a second. Safe for concurrent use; atomics only.
type RetryBudget struct{}

// NewRetryBudget allows retries up to percent of the requests of the last ten seconds and minPerSecond beside.
func NewRetryBudget(percent, minPerSecond int) *RetryBudget { return &RetryBudget{} }

// Requests counts n requests that were forwarded for the first time.
func (b *RetryBudget) Requests(n int64) {}

// Allow takes one retry from the budget at nowNS, or counts a refusal and returns false.
func (b *RetryBudget) Allow(nowNS int64) bool { return true }

// Refused returns how often Allow said no.
func (b *RetryBudget) Refused() uint64 { return 0 }
