package engine

// renewRates begins another time for servers that may begin so many transactions in one (max_conn_rate_per_server). It is
// called once a second. The caller holds e.mu.
func (e *Engine) renewRates() {
	e.seconds++
	for _, p := range e.live.Load().snap.Pools {
		if !p.Rated || e.seconds%int64(max(1, p.Object.MaxConnRatePerServer.RateLimiter.PeriodS)) != 0 {
			continue
		}
		for _, sv := range p.Servers {
			sv.State.Opened.Store(0)
		}
	}
}
