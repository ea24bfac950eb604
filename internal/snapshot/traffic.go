package snapshot

import (
	"sync/atomic"

	"github.com/carillon-sip/carillon/internal/sip"
)

// Traffic counts what goes to and comes from one server. All workers write it.
type Traffic struct {
	Requests [NumMethods]atomic.Uint64 // forwarded to it, by method; retransmissions too
	// Unanswered are requests that were sent again and again, or expired, without any response; Unreachable those for which
	// ICMP came.
	Unanswered, Unreachable atomic.Uint64
	Ejections               atomic.Uint64           // times that passive health took it out
	Ejected                 atomic.Pointer[string]  // why it is out now, and until when; valid while its condition says so
	EjectedAt               atomic.Int64            // when passive health took it out or let it in last, in ns since 1970; 0: never
	Failovers               atomic.Uint64           // transactions taken away from it: ICMP, silence, 503
	Streams                 atomic.Int32            // TCP connections to it that are open
	Large                   atomic.Uint64           // requests that went over one since they were too long for datagrams
	Heard                   atomic.Uint32           // tick (ms) of the last response; 0 never
	answers                 atomic.Pointer[Answers] // nil: none yet
}

// Answers counts what comes from one server.
type Answers struct {
	Responses [NumCodes]atomic.Uint64 // by CodeIndex
	Latency   [LatencyBuckets]atomic.Uint64
	LatencyUS atomic.Uint64 // sum, µs
}

// noAnswers are those of servers that never answered. Nobody writes them.
var noAnswers Answers

// Answers are what has been counted.
func (t *Traffic) Answers() *Answers {
	if a := t.answers.Load(); a != nil {
		return a
	}
	return &noAnswers
}

// Answer is where to count. It is made with the first response, the one time that the message path allocates anything for
// a server: most of twenty thousand are never called, and their counters would be 20 MB.
func (t *Traffic) Answer() *Answers {
	if a := t.answers.Load(); a != nil {
		return a
	}
	t.answers.CompareAndSwap(nil, new(Answers))
	return t.answers.Load()
}

// NumMethods is the size of an array indexed by sip.Method.
const NumMethods = int(sip.Update) + 1

// codes are the registered status codes; CodeIndex gives a place to each, and
// one to each class for all others.
var codes = [...]int{
	100, 180, 181, 182, 183, 199, 200, 202, 204, 300, 301, 302, 305, 380,
	400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470,
	480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494,
	500, 501, 502, 503, 504, 505, 513, 555, 580, 600, 603, 604, 606, 607, 608,
}

// NumCodes is the size of an array indexed by CodeIndex: a place for the rest of
// each class 1xx to 6xx comes first.
const NumCodes = 6 + len(codes)

var codeIndex = func() (t [700]uint8) {
	for s := 100; s < 700; s++ {
		t[s] = uint8(s/100 - 1)
	}
	for i, c := range codes {
		t[c] = uint8(6 + i)
	}
	return t
}()

// CodeIndex is the place of a status code (100 to 699) in Responses.
func CodeIndex(status int) int { return int(codeIndex[status]) }

// CodeOf is the status code at a place; 0 with class 1 to 6 for the rest of a class.
func CodeOf(index int) (status, class int) {
	if index < 6 {
		return 0, index + 1
	}
	return codes[index-6], codes[index-6] / 100
}

// LatencyBuckets is the number of buckets of a server's response times: bucket i
// holds what is below 2^(i+6) µs (64 µs, 128 µs, ... 67 s), the last one the rest.
const LatencyBuckets = 22

// RecordLatency counts one response time.
func (t *Answers) RecordLatency(us uint64) {
	i := 0
	for v := us >> 6; v > 0 && i < LatencyBuckets-1; v >>= 1 {
		i++
	}
	t.Latency[i].Add(1)
	t.LatencyUS.Add(us)
}

// LatencyQuantileUS is the response time, in µs, that a share p of all did not
// exceed, interpolated within its bucket; 0 without any.
func (t *Answers) LatencyQuantileUS(p float64) float64 {
	var counts [LatencyBuckets]uint64
	var total uint64
	for i := range counts {
		counts[i] = t.Latency[i].Load()
		total += counts[i]
	}
	want := p * float64(total)
	for i, c := range counts {
		if c > 0 && want <= float64(c) {
			low := 0.0
			if i > 0 {
				low = float64(uint64(1) << (i + 5))
			}
			high := float64(uint64(1) << (i + 6))
			return low + (high-low)*want/float64(c)
		}
		want -= float64(c)
	}
	return 0
}
