package report

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScore(t *testing.T) {
	good := ScoreInput{State: Up, Ratio: 4, RatioUp: 4, Answered: 1000, Requests: 1000, Messages: 2000, Packets: 2000, Servers: 4}
	for _, c := range []struct {
		name   string
		change func(*ScoreInput)
		want   [5]int // score, performance, resources, anomaly, security
		words  string
	}{
		{"all is well", func(*ScoreInput) {}, [5]int{100, 100, 0, 0, 0}, ""},
		{"down", func(in *ScoreInput) { in.State, in.Reason = Down, []string{"no server is up"} }, [5]int{}, "it is down: no server is up"},
		{"a server down", func(in *ScoreInput) { in.State, in.Reason = Down, []string{"down: PORT_UNREACHABLE"} }, [5]int{}, "it is down: PORT_UNREACHABLE"},
		{"down for nothing", func(in *ScoreInput) { in.State, in.Reason = Down, nil }, [5]int{}, "it is down"},
		{"a server of four is down", func(in *ScoreInput) { in.RatioUp = 3 }, [5]int{75, 75, 0, 0, 0}, "3 of 4 shares"},
		{"one request in ten fails", func(in *ScoreInput) { in.Failed = 100 }, [5]int{90, 90, 0, 0, 0}, "10 % of the requests ended with 408 or 5xx"},
		{"a slow server with half of the calls", func(in *ScoreInput) { in.Slow = []Slow{{"s1", 90000, 10000, .5}} }, [5]int{87, 87, 0, 0, 0}, "s1 answers in 90 ms, the others in 10 ms"},
		{"tables full", func(in *ScoreInput) { in.Lost[0] = 20 }, [5]int{95, 100, 5, 0, 0}, "2.0 % of the requests found the table of transactions full"},
		{"packets dropped", func(in *ScoreInput) { in.Dropped = 2000 }, [5]int{75, 100, 25, 0, 0}, "50 % of the datagrams"},
		{"few failovers", func(in *ScoreInput) { in.Failovers = 10 }, [5]int{100, 100, 0, 0, 0}, ""},
		{"many failovers", func(in *ScoreInput) { in.Failovers = 50 }, [5]int{95, 100, 0, 5, 0}, "5.0 % of the requests went on at another server"},
		{"shaky", func(in *ScoreInput) { in.Shaky = []string{"a", "b"} }, [5]int{95, 100, 0, 5, 0}, "the last probe failed of a, b"},
		{"a flood of junk", func(in *ScoreInput) { in.Bad = 1000 }, [5]int{0, 100, 0, 0, 100}, "50 % of the messages are malformed"},
		{"a scan", func(in *ScoreInput) { in.Bad = 100 }, [5]int{50, 100, 0, 0, 50}, "5.0 %"},
		{"nothing has come yet", func(in *ScoreInput) { *in = ScoreInput{State: Up, Ratio: 1, RatioUp: 1} }, [5]int{100, 100, 0, 0, 0}, ""},
	} {
		in := good
		c.change(&in)
		s := ScoreOf(&in)
		got := [5]int{s.Value, s.Performance.Value, s.Resources.Value, s.Anomaly.Value, s.Security.Value}
		words := s.Performance.Reason + s.Resources.Reason + s.Anomaly.Reason + s.Security.Reason
		if got != c.want || !strings.Contains(words, c.words) || c.words == "" && words != "" {
			t.Errorf("%s: %v %q, want %v with %q", c.name, got, words, c.want, c.words)
		}
	}
	for _, state := range []string{Disabled, Unused, Unavailable, Initializing} {
		if ScoreOf(&ScoreInput{State: state}) != nil {
			t.Errorf("%s has a score", state)
		}
	}
}

// Whatever was counted, a score is 0 to 100 and what is missing of 100 has a reason.
func TestScoreRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1<<40)
		in := ScoreInput{State: Up, Ratio: rapid.IntRange(0, 100).Draw(t, "ratio"), Answered: n.Draw(t, "answered"), Failed: n.Draw(t, "failed"),
			Lost: [3]uint64{n.Draw(t, "lost"), 0, n.Draw(t, "full")}, Dropped: n.Draw(t, "dropped"), Packets: n.Draw(t, "packets"),
			Failovers: n.Draw(t, "failovers"), Requests: n.Draw(t, "requests"), Bad: n.Draw(t, "bad"), Messages: n.Draw(t, "messages")}
		in.RatioUp = rapid.IntRange(0, in.Ratio).Draw(t, "up")
		s := ScoreOf(&in)
		if s.Value < 0 || s.Value > 100 {
			t.Fatalf("score %d", s.Value)
		}
		for _, part := range []ScorePart{{100 - s.Performance.Value, s.Performance.Reason}, s.Resources, s.Anomaly, s.Security} {
			if part.Value > 0 && part.Reason == "" {
				t.Fatalf("%+v: a part without a reason", s)
			}
		}
	})
}

func TestScoreOfReports(t *testing.T) {
	server := func(name string, state string, mean uint64) Server {
		return Server{Name: name, Addr: netip.MustParseAddrPort("192.0.2.1:5060"), Oper: Oper{State: state}, Ratio: 1, Requests: Counts[string]{"INVITE": 200},
			Responses: Counts[int]{100: 200, 200: 190, 408: 10}, Latency: Latency{Count: 200, SumUS: 200 * mean}}
	}
	p := &Pool{Oper: Oper{State: Up}, Servers: []Server{server("a", Up, 1000), server("b", Up, 100000), server("c", Disabled, 1000)}}
	if s := p.Score(); s.Performance.Value != 86 || !strings.Contains(s.Performance.Reason, "5.0 % of the requests") || !strings.Contains(s.Performance.Reason, "server b answers in 100 ms") {
		t.Errorf("pool: %+v", s)
	}
	if s := p.Servers[1].Score(p); s.Performance.Value != 70 {
		t.Errorf("slow server: %+v", s)
	}
	if s := p.Servers[2].Score(p); s != nil {
		t.Errorf("disabled server: %+v", s)
	}
	vs := &Service{Oper: Oper{State: Up}, Responses: Counts[int]{5: 50, 200: 25}, Answers: Counts[int]{503: 25}, Reasons: Counts[string]{"junk": 1, "new_call": 99}, Requests: Counts[string]{"INVITE": 100}}
	if s := vs.Score(nil); s.Performance.Value != 25 || s.Security.Value != 0 {
		t.Errorf("virtual service: %+v", s)
	}
}

func TestMetricIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range MetricIDs {
		group, _, _ := strings.Cut(m.ID, ".")
		client := group == "l4_client" || group == "sip_client"
		if seen[m.ID] || m.Doc == "" || m.Unit == "" || client != (m.Of == OfService) || m.Server && m.Of != OfPool {
			t.Errorf("%+v", m)
		}
		seen[m.ID] = true
	}
}
