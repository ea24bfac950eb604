package agent

import (
	"cmp"
	"math"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/metric"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Figures of a virtual service.
const (
	fRxPackets = iota
	fTxPackets
	fRxOctets
	fTxOctets
	fRequests  // and three more, by engine.MethodClasses
	fResponses = fRequests + 4
	fAnswers   = fResponses + 6
	fErrors    = fAnswers + 1
	fDropped   = fErrors + 1
	fNew       = fDropped + 1
	fFinished  = fNew + 1
	fOpen      = fFinished + 1
	fCalls     = fOpen + 1
	fP50       = fCalls + 1
	fP99       = fP50 + 1
	numService = fP99 + 1
)

// Figures of a server, and of a pool as the sum of its servers.
const (
	gRequests  = 0 // and three more
	gResponses = gRequests + 4
	gFinished  = gResponses + 6
	gFailovers = gFinished + 1
	gOpen      = gFailovers + 1
	gCalls     = gOpen + 1
	gHealth    = gCalls + 1 // 0 to 100
	gP50       = gHealth + 1
	gP99       = gP50 + 1
	gServersUp = gP99 + 1
	numServer  = gServersUp
	numPool    = gServersUp + 1
)

// figure is a history that can be asked for: the sum of lines, times factor.
type figure struct {
	id     string
	lines  []int
	factor float32
	most   bool // over a longer step it is the maximum, else the mean
}

func from(first, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = first + i
	}
	return out
}

var classNames = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx", "6xx"}

var methodNames = [...]string{"invite", "register", "options", "other"}

// serviceFigures are l4_client.* in Avi's words and sip_client.* in ours.
var serviceFigures = func() []figure {
	all := []figure{
		{"l4_client.avg_rx_pkts", from(fRxPackets, 1), 1, false}, {"l4_client.avg_tx_pkts", from(fTxPackets, 1), 1, false},
		{"l4_client.avg_rx_bytes", from(fRxOctets, 1), 1, false}, {"l4_client.avg_tx_bytes", from(fTxOctets, 1), 1, false},
		{"l4_client.avg_bandwidth", from(fRxOctets, 2), 8, false},
		{"l4_client.avg_new_established_conns", from(fNew, 1), 1, false}, {"l4_client.avg_complete_conns", from(fFinished, 1), 1, false},
		{"l4_client.max_open_conns", from(fOpen, 1), 1, true}, {"l4_client.avg_errored_connections", from(fErrors, 1), 1, false},
		{"l4_client.avg_connections_dropped", from(fDropped, 1), 1, false}, {"l4_client.avg_total_rtt", from(fP50, 1), 1, false},
		{"sip_client.avg_requests", from(fRequests, 4), 1, false}, {"sip_client.avg_responses", from(fResponses, 6), 1, false},
		{"sip_client.avg_answers", from(fAnswers, 1), 1, false}, {"sip_client.avg_errors", from(fErrors, 1), 1, false},
		{"sip_client.avg_dropped", from(fDropped, 1), 1, false}, {"sip_client.avg_new_calls", from(fNew, 1), 1, false},
		{"sip_client.open_transactions", from(fOpen, 1), 1, true}, {"sip_client.calls", from(fCalls, 1), 1, true},
		{"sip_client.latency_p50", from(fP50, 1), 1, false}, {"sip_client.latency_p99", from(fP99, 1), 1, true},
	}
	for i, n := range methodNames {
		all = append(all, figure{"sip_client.avg_requests_" + n, from(fRequests+i, 1), 1, false})
	}
	for i, n := range classNames {
		all = append(all, figure{"sip_client.avg_responses_" + n, from(fResponses+i, 1), 1, false})
	}
	return all
}()

// serverFigures are l4_server.* and sip_server.*, of servers and pools.
var serverFigures = func() []figure {
	all := []figure{
		{"l4_server.avg_open_conns", from(gOpen, 1), 1, false}, {"l4_server.max_open_conns", from(gOpen, 1), 1, true},
		{"l4_server.avg_new_established_conns", from(gRequests, 4), 1, false}, {"l4_server.avg_complete_conns", from(gFinished, 1), 1, false},
		{"l4_server.avg_errored_connections", from(gResponses+4, 2), 1, false}, {"l4_server.avg_connections_dropped", from(gFailovers, 1), 1, false},
		{"l4_server.avg_health_status", from(gHealth, 1), 1, false}, {"l4_server.avg_uptime", from(gHealth, 1), 1, false},
		{"l4_server.avg_total_rtt", from(gP50, 1), 1, false},
		{"sip_server.avg_requests", from(gRequests, 4), 1, false}, {"sip_server.avg_responses", from(gResponses, 6), 1, false},
		{"sip_server.avg_failovers", from(gFailovers, 1), 1, false}, {"sip_server.open_transactions", from(gOpen, 1), 1, true},
		{"sip_server.calls", from(gCalls, 1), 1, true}, {"sip_server.health", from(gHealth, 1), 1, false},
		{"sip_server.latency_p50", from(gP50, 1), 1, false}, {"sip_server.latency_p99", from(gP99, 1), 1, true},
		{"sip_server.servers_up", from(gServersUp, 1), 1, false},
	}
	for i, n := range methodNames {
		all = append(all, figure{"sip_server.avg_requests_" + n, from(gRequests+i, 1), 1, false})
	}
	for i, n := range classNames {
		all = append(all, figure{"sip_server.avg_responses_" + n, from(gResponses+i, 1), 1, false})
	}
	return all
}()

// rate is what came a second of a counter. One that has fallen began anew.
func rate(now, before uint64, seconds float64) float32 {
	if now < before {
		return 0
	}
	return float32(float64(now-before) / seconds)
}

// rounded keeps three digits: response times that differ by less are no news, and each would be a run of its own.
func rounded(ms float64) float32 {
	if ms <= 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(ms))-2)
	return float32(math.Round(ms/unit) * unit)
}

func sum(c engine.Classes) (n uint64) {
	for _, v := range c {
		n += v
	}
	return n
}

// none are the response times of who had none, noCounts the counters. Nobody writes them.
var (
	none     metric.Snapshot
	noCounts engine.ServerCounts
)

// serviceValues are the figures of a service between two samples.
func serviceValues(out []float32, s, old *engine.ServiceSample, seconds float64) {
	out[fRxPackets], out[fTxPackets] = rate(s.RxPackets, old.RxPackets, seconds), rate(s.TxPackets, old.TxPackets, seconds)
	out[fRxOctets], out[fTxOctets] = rate(s.RxOctets, old.RxOctets, seconds), rate(s.TxOctets, old.TxOctets, seconds)
	for i := range s.Requests {
		out[fRequests+i] = rate(s.Requests[i], old.Requests[i], seconds)
	}
	for i := range s.Responses {
		out[fResponses+i] = rate(s.Responses[i], old.Responses[i], seconds)
	}
	out[fAnswers] = rate(sum(s.Answers), sum(old.Answers), seconds)
	out[fErrors] = rate(s.Faults+s.Answers[4]+s.Responses[4]+s.Responses[5], old.Faults+old.Answers[4]+old.Responses[4]+old.Responses[5], seconds)
	out[fDropped] = rate(s.Dropped+s.KernelDrops, old.Dropped+old.KernelDrops, seconds)
	now, before := cmp.Or(s.Latency, &none), cmp.Or(old.Latency, &none)
	out[fNew], out[fFinished] = rate(s.NewCalls, old.NewCalls, seconds), rate(now.Count, before.Count, seconds)
	out[fOpen], out[fCalls] = float32(s.Transactions), float32(s.Calls)
	out[fP50], out[fP99] = 0, 0
	if now.Count > before.Count {
		var between metric.Snapshot
		between.Merge(now)
		between.Sub(before)
		out[fP50], out[fP99] = rounded(between.QuantileNS(.5)/1e6), rounded(between.QuantileNS(.99)/1e6)
	}
}

// serverValues are the figures of a server between two samples, whose response times it adds to those of the pool.
func serverValues(out []float32, s, old *engine.ServerSample, seconds float64, pool *snapshot.Answers) {
	now, before := cmp.Or(s.Counts, &noCounts), cmp.Or(old.Counts, &noCounts)
	for i := range now.Requests {
		out[gRequests+i] = rate(now.Requests[i], before.Requests[i], seconds)
	}
	for i := range now.Responses {
		out[gResponses+i] = rate(now.Responses[i], before.Responses[i], seconds)
	}
	out[gFailovers] = rate(now.Failovers, before.Failovers, seconds)
	out[gOpen], out[gCalls], out[gHealth] = float32(s.Transactions), float32(s.Calls), 0
	if s.Up {
		out[gHealth] = 100
	}
	out[gFinished], out[gP50], out[gP99] = 0, 0, 0
	if now.Latency == before.Latency {
		return
	}
	var between snapshot.Answers
	finals := uint64(0)
	for i := range now.Latency {
		if n := now.Latency[i] - before.Latency[i]; now.Latency[i] > before.Latency[i] {
			between.Latency[i].Store(n)
			pool.Latency[i].Add(n)
			finals += n
		}
	}
	out[gFinished] = rate(finals, 0, seconds)
	latencies(out, &between)
}

func latencies(out []float32, t *snapshot.Answers) {
	out[gP50], out[gP99] = rounded(t.LatencyQuantileUS(.5)/1000), rounded(t.LatencyQuantileUS(.99)/1000)
}
