package engine

import (
	"github.com/carillon-sip/carillon/internal/metric"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// Places of the counters of one worker.
const (
	atReasons   = 0
	atRequests  = atReasons + int(proxy.NumReasons) // received from either side and forwarded, by method
	atResponses = atRequests + snapshot.NumMethods  // forwarded, by code
	atAnswers   = atResponses + snapshot.NumCodes   // our own, by code
	atFaults    = atAnswers + snapshot.NumCodes     // malformed messages, by fault
	numCounters = atFaults + sip.NumFaults
)

// tally is what one worker has counted; it alone writes it.
type tally struct {
	counters *metric.Counters
	latency  *metric.Histogram
	block    *metric.Block
	recorder *metric.Recorder
}

func newTally() *tally {
	t := &tally{counters: metric.NewCounters(1, numCounters), latency: metric.NewHistogram(1)}
	t.block, t.recorder = t.counters.Worker(0), t.latency.Worker(0)
	return t
}

func (t *tally) reason(r proxy.Reason) { t.block.Inc(atReasons + int(r)) }

// verdict counts what has been decided about m.
func (t *tally) verdict(m *sip.Msg, v *proxy.Verdict) {
	t.reason(v.Reason)
	switch {
	case v.Action == proxy.Answer:
		t.block.Inc(atAnswers + snapshot.CodeIndex(v.Status))
	case v.Action == proxy.Forward && m.IsRequest:
		t.block.Inc(atRequests + int(m.Method))
		if v.Server != nil {
			v.Server.Traffic.Requests[m.Method].Add(1)
		}
	case !m.IsRequest && m.Err == sip.NoFault:
		t.response(m, v)
	}
	if m.Err != sip.NoFault && v.Action != proxy.Resend && v.Reason != proxy.UnreachableStray {
		t.block.Inc(atFaults + int(m.Err))
	}
}

func (t *tally) response(m *sip.Msg, v *proxy.Verdict) {
	if v.Action == proxy.Forward {
		t.block.Inc(atResponses + snapshot.CodeIndex(v.Status))
	}
	if v.Server == nil {
		return
	}
	counts := v.Server.Traffic.Answer()
	counts.Responses[snapshot.CodeIndex(m.Status)].Add(1)
	if v.Final {
		t.recorder.Record(int64(v.LatencyUS) * 1000)
		counts.RecordLatency(v.LatencyUS)
	}
}

// again counts what became of a stored request that was to go to another server.
func (t *tally) again(v *proxy.Verdict) {
	switch v.Action {
	case proxy.Forward:
		v.Server.Traffic.Requests[v.Method].Add(1)
	case proxy.Answer:
		t.block.Inc(atAnswers + snapshot.CodeIndex(v.Status))
	}
}
