package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Score says how well something does, as Avi does: 0 to 100, performance less the penalties. Each part has its reasons.
type Score struct {
	Value       int       `json:"health_score"`
	Performance ScorePart `json:"performance_score"`
	Resources   ScorePart `json:"resources_penalty"`
	Anomaly     ScorePart `json:"anomaly_penalty"`
	Security    ScorePart `json:"security_penalty"`
}

// ScorePart is one part of a Score.
type ScorePart struct {
	Value  int    `json:"value"`
	Reason string `json:"reason"` // empty: nothing to say
}

// The most that each penalty takes away (Avi's defaults), and where they begin.
const (
	maxResources = 25
	maxAnomaly   = 10
	maxSecurity  = 100
	maxSlow      = 25 // of the performance

	slowTimes   = 2     // a server is slow that takes so many times as long as the others
	slowLeastUS = 20000 // and at least so long
	fewAnswers  = 100   // of fewer no response time is judged
	someShare   = 0.01  // of messages: below it nobody is blamed
)

// ScoreInput is what a score is made of. Counters are of one stretch of time.
type ScoreInput struct {
	State  string   // operational state
	Reason []string // of the state

	Ratio, RatioUp   int       // of all enabled servers, and of those that are up
	Answered, Failed uint64    // final responses, and those of them that are 408 or 5xx
	Slow             []Slow    // servers that take much longer than the others
	Lost             [3]uint64 // not remembered or not placed: table of transactions, of calls, all servers at their limit
	Dropped, Packets uint64    // by the kernel for a full buffer, and received
	Failovers        uint64    // transactions that went on at another server
	Requests         uint64
	Shaky            []string // servers that are up though their last probe failed
	Servers          int
	Bad, Messages    uint64 // malformed and forged messages, and all
}

// Slow is a server that answers late.
type Slow struct {
	Server         string
	MeanUS, Others float64
	Share          float64 // of all answers
}

// ScoreOf makes a score. What is neither up nor down, such as a pool that nobody uses, has none.
func ScoreOf(in *ScoreInput) *Score {
	switch in.State {
	case Up:
	case Down:
		why := strings.TrimPrefix(strings.Join(in.Reason, "; "), "down: ")
		return &Score{Performance: ScorePart{0, strings.TrimSuffix("it is down: "+why, ": ")}}
	default:
		return nil
	}
	s := &Score{Performance: in.performance(), Resources: in.resources(), Anomaly: in.anomaly(), Security: in.security()}
	s.Value = max(0, s.Performance.Value-s.Resources.Value-s.Anomaly.Value-s.Security.Value)
	return s
}

func (in *ScoreInput) performance() ScorePart {
	value := 100.0
	var why []string
	if in.RatioUp < in.Ratio {
		value *= float64(in.RatioUp) / float64(in.Ratio)
		why = append(why, fmt.Sprintf("servers with %d of %d shares of the calls are up", in.RatioUp, in.Ratio))
	}
	if in.Failed > 0 && in.Answered > 0 {
		share := float64(in.Failed) / float64(in.Answered)
		value *= 1 - min(1, share)
		why = append(why, fmt.Sprintf("%s of the requests ended with 408 or 5xx", percent(share)))
	}
	slow := 0.0
	for _, s := range in.Slow {
		slow += s.Share
		why = append(why, fmt.Sprintf("server %s answers in %.0f ms, the others in %.0f ms", s.Server, s.MeanUS/1000, s.Others/1000))
	}
	value -= min(slow, 1) * maxSlow
	return ScorePart{max(0, int(math.Floor(value))), strings.Join(why, "; ")}
}

func (in *ScoreInput) resources() ScorePart {
	var p penalty
	for i, what := range []string{"requests found the table of transactions full", "requests found the table of calls full", "requests found every server at its limit"} {
		p.share(in.Lost[i], in.Requests, maxResources, 0, what)
	}
	p.share(in.Dropped, in.Packets+in.Dropped, maxResources, 0, "datagrams were dropped by the kernel for a full receive buffer")
	return p.part(maxResources)
}

func (in *ScoreInput) anomaly() ScorePart {
	var p penalty
	p.share(in.Failovers, in.Requests, maxAnomaly, someShare, "requests went on at another server because theirs failed")
	if len(in.Shaky) > 0 && in.Servers > 0 {
		p.add(maxAnomaly*float64(len(in.Shaky))/float64(in.Servers), "the last probe failed of "+strings.Join(in.Shaky[:min(3, len(in.Shaky))], ", "))
	}
	return p.part(maxAnomaly)
}

func (in *ScoreInput) security() ScorePart {
	var p penalty
	p.share(in.Bad, in.Messages, maxSecurity, someShare, "messages are malformed, forged or no SIP")
	return p.part(maxSecurity)
}

// penalty adds up.
type penalty struct {
	sum float64
	why []string
}

func (p *penalty) add(n float64, why string) {
	p.sum += n
	p.why = append(p.why, why)
}

// share punishes what is part of a whole. A share of one tenth costs all there is.
func (p *penalty) share(part, whole uint64, most, from float64, what string) {
	if part == 0 || whole == 0 {
		return
	}
	share := min(1, float64(part)/float64(whole))
	if share > from {
		p.add(max(1, most*min(1, share*10)), percent(share)+" of the "+what)
	}
}

func (p *penalty) part(most float64) ScorePart {
	return ScorePart{int(math.Ceil(min(p.sum, most))), strings.Join(p.why, "; ")}
}

func percent(share float64) string {
	switch {
	case share < 0.001:
		return "less than 0.1 %"
	case share < 0.1:
		return fmt.Sprintf("%.1f %%", share*100)
	}
	return fmt.Sprintf("%.0f %%", share*100)
}

// badReasons are what becomes of messages that nobody honest sends.
var badReasons = []string{"bad_message", "unanswerable_request", "bad_response", "junk", "foreign_response", "forged_response", "not_listening"}

// Score is the score of a virtual service with its pool, which may be nil.
func (s *Service) Score(p *Pool) *Score {
	r := recently(s.Recent, s.sum)
	in := ScoreInput{State: s.Oper.State, Reason: s.Oper.Reason, Requests: r.Requests}
	if p != nil {
		p.fill(&in)
	}
	in.Answered, in.Failed, in.Messages, in.Bad = r.Answered, r.Failed, r.Messages, r.Bad
	in.Lost[0], in.Lost[1], in.Dropped, in.Packets = r.TransactionsFull, r.CallsFull, r.Dropped, r.Packets
	return ScoreOf(&in)
}

// Score is the score of a pool.
func (p *Pool) Score() *Score {
	in := ScoreInput{State: p.Oper.State, Reason: p.Oper.Reason}
	p.fill(&in)
	return ScoreOf(&in)
}

// fill brings in what a pool's servers tell.
func (p *Pool) fill(in *ScoreInput) {
	in.Lost[2], in.Servers = recently(p.Recent, p.sum).Full, len(p.Servers)
	requests := uint64(0)
	for i := range p.Servers {
		s := &p.Servers[i]
		if s.Oper.State != Disabled {
			in.Ratio += s.Ratio
			if s.Oper.State == Up {
				in.RatioUp += s.Ratio
			}
		}
		r := recently(s.Recent, s.sum)
		in.Answered += r.Answered
		in.Failed += r.Failed
		in.Failovers += r.Failovers
		requests += r.Requests
		if s.shaky() {
			in.Shaky = append(in.Shaky, s.Name)
		}
	}
	if in.Requests == 0 {
		in.Requests = requests
	}
	in.Slow = p.slow()
}

// Score is the score of one server of a pool.
func (s *Server) Score(p *Pool) *Score {
	r := recently(s.Recent, s.sum)
	in := ScoreInput{State: s.Oper.State, Reason: s.Oper.Reason, Requests: r.Requests, Failovers: r.Failovers, Answered: r.Answered, Failed: r.Failed, Servers: 1}
	if s.shaky() {
		in.Shaky = []string{s.Name}
	}
	for _, slow := range p.slow() {
		if slow.Server == s.Name {
			slow.Share = 1
			in.Slow = []Slow{slow}
		}
	}
	return ScoreOf(&in)
}

func (s *Server) shaky() bool {
	return s.Oper.State == Up && slices.ContainsFunc(s.Monitors, func(m Monitor) bool { return m.CurrFailedChecks > 0 })
}

// slow finds the servers that take much longer than the others of their pool.
func (p *Pool) slow() (out []Slow) {
	each := make([]Recent, len(p.Servers))
	var count, sum uint64
	for i := range p.Servers {
		each[i] = recently(p.Servers[i].Recent, p.Servers[i].sum)
		count += each[i].Timed
		sum += each[i].TimeUS
	}
	for i := range p.Servers {
		r := &each[i]
		rest := count - r.Timed
		if r.Timed < fewAnswers || rest < fewAnswers {
			continue
		}
		mean, others := float64(r.TimeUS)/float64(r.Timed), float64(sum-r.TimeUS)/float64(rest)
		if mean >= slowLeastUS && mean > slowTimes*others {
			out = append(out, Slow{p.Servers[i].Name, mean, others, float64(r.Timed) / float64(count)})
		}
	}
	return out
}
