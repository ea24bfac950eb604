package demo

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/quick"
)

// How servers are probed: quickly, since people watch.
const (
	probeIntervalS = 2
	probeTimeoutS  = 1
)

// startBalancer starts the engine in front of the farm's servers.
func startBalancer(f *farm) (balancer, error) {
	enabled := make([]bool, len(f.servers))
	for i := range enabled {
		enabled[i] = true
	}
	set, err := f.objects(enabled)
	if err != nil {
		return balancer{}, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand
	e, err := engine.Start(engine.Config{Set: set, Revision: 1, Strict: true, Secret: secret, Workers: f.opts.Workers})
	if err != nil {
		return balancer{}, err
	}
	names := make(map[netip.AddrPort]string)
	for _, s := range f.servers {
		names[s.Addr()] = s.Name()
	}
	var applying sync.Mutex // over enabled
	return balancer{
		status: func() Status { return read(e.Status(), names) },
		enable: func(server int, on bool) error {
			applying.Lock()
			defer applying.Unlock()
			was := enabled[server]
			enabled[server] = on
			set, err := f.objects(enabled)
			if err == nil {
				err = e.Apply(set, e.Status().Revision+1)
			}
			if err != nil {
				enabled[server] = was
			}
			return err
		},
		stop: e.Stop,
	}, nil
}

// objects are those of `carillon run --listen ... --server ...`, with a health monitor in a hurry.
func (f *farm) objects(enabled []bool) (*object.Set, error) {
	servers := make([]string, len(f.servers))
	for i, s := range f.servers {
		servers[i] = s.Addr().String()
	}
	set, err := quick.Set([]string{"udp://" + f.listen.String()}, servers, quick.Options{})
	if err != nil {
		return nil, err
	}
	for i := range set.Pools[0].Servers {
		s := &set.Pools[0].Servers[i]
		s.Enabled, s.Hostname = enabled[i], f.servers[i].Name()
	}
	set.Pools[0].ConnectionRampDurationMin = 0 // a demonstration has no ten minutes
	m := set.HealthMonitors[0]
	m.SendIntervalS, m.ReceiveTimeoutS = probeIntervalS, probeTimeoutS
	if err := set.Validate(); err != nil {
		return nil, fmt.Errorf("objects of the demonstration: %w", err)
	}
	return set, nil
}

// read takes from the engine's status what is shown.
func read(st engine.Status, names map[netip.AddrPort]string) Status {
	out := Status{
		Revision: st.Revision, Transactions: st.Transactions, Calls: st.Calls,
		Requests: make(map[string]uint64), Responses: make(map[int]uint64),
	}
	reasons := make(map[string]uint64)
	for i := range st.Services {
		s := &st.Services[i]
		add(out.Requests, s.Requests)
		add(out.Responses, s.Responses)
		add(out.Responses, s.Answers)
		add(reasons, s.Reasons)
	}
	out.Routed, out.Dropped = sortReasons(reasons)
	for _, p := range st.Pools {
		for i := range p.Servers {
			s := &p.Servers[i]
			requests := uint64(0)
			for _, n := range s.Requests {
				requests += n
			}
			out.Servers = append(out.Servers, ServerStatus{
				Name: names[s.Addr], State: s.State, Reason: reason(s), HashShare: s.HashShare,
				Requests: requests, Open: s.OpenTransactions, Latency: latency(s.Buckets),
			})
		}
	}
	return out
}

// reason tells in words why a server is in its state, from the latest check of its monitor.
func reason(s *engine.ServerStatus) string {
	words := func(c health.Code) string { return strings.ToLower(strings.ReplaceAll(c.String(), "_", " ")) }
	if len(s.Health.Monitors) == 0 || len(s.Health.Monitors[0].Results) == 0 {
		return s.Reason
	}
	m := &s.Health.Monitors[0]
	last := &m.Results[0]
	switch {
	case s.State == stateBackoff:
		return s.Reason
	case m.State != health.Up && m.Rise > 0:
		return count(m.Rise, "check") + " passed, not enough yet"
	case s.State == stateDown && last.Code == health.Success: // read while it was changing
		return "checks pass again"
	case last.Code != health.Success:
		return words(last.Code) + ", " + count(m.Fall, "check") + " failed"
	case last.Status > 0:
		return fmt.Sprintf("OPTIONS %d in %s ms", last.Status, millis(last.Latency))
	}
	return words(last.Code)
}

func add[K comparable](sum, more map[K]uint64) {
	for k, n := range more {
		sum[k] += n
	}
}

// routes are the ways a request is routed, in the words of the view; those that matter most first.
var routes = []struct {
	text    string
	reasons []proxy.Reason
}{
	{"hash", []proxy.Reason{proxy.NewCall}},
	{"failed over", []proxy.Reason{proxy.FailedOverICMP, proxy.FailedOverSilence, proxy.FailedOver503, proxy.FailedOverCode}},
	{"token", []proxy.Reason{proxy.RouteToken}},
	{"Call-ID", []proxy.Reason{proxy.KnownCall}},
	{"transaction", []proxy.Reason{proxy.KnownTransaction}},
	{"from servers", []proxy.Reason{proxy.FromServer}},
	{"named", []proxy.Reason{proxy.NamedServer}},
}

// sortReasons tells apart what went somewhere and what did not.
func sortReasons(counts map[string]uint64) (routed, dropped []ReasonCount) {
	for _, r := range routes {
		c := ReasonCount{Reason: r.text}
		for _, reason := range r.reasons {
			c.Count += counts[reason.String()]
		}
		routed = append(routed, c)
	}
	for r := range proxy.NumReasons {
		if n := counts[r.String()]; n > 0 && (r.Dropped() || r.Refused()) {
			dropped = append(dropped, ReasonCount{r.String(), n})
		}
	}
	return routed, dropped
}
