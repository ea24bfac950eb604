package object

import "time"

// RateProfile is how much may come in a time, and what becomes of more.
type RateProfile struct {
	RateLimiter RateLimiter `json:"rate_limiter" doc:"how much"`
	Kept        Kept        `json:"-"`
}

// RateLimiter is so much in a time.
type RateLimiter struct {
	Count   int  `json:"count" default:"1000000000" range:"1..1000000000" doc:"how many"`
	PeriodS int  `json:"period" default:"1" range:"1..1000000000" unit:"s" doc:"in how long"`
	Kept    Kept `json:"-"`
}

// noRate is the count that is as good as no limit, and Avi's default.
const noRate = 1_000_000_000

// Period is the time.
func (r *RateProfile) Period() time.Duration {
	return time.Duration(r.RateLimiter.PeriodS) * time.Second
}

// Limited reports whether there is a limit.
func (r *RateProfile) Limited() bool { return r.RateLimiter.Count > 0 && r.RateLimiter.Count < noRate }
