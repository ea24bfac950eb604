package rest

import (
	"encoding/json"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
)

// serviceRuntime is how a virtual service is doing, on all engines.
type serviceRuntime struct {
	UUID         string       `json:"uuid"`
	Name         string       `json:"name"`
	Oper         report.Oper  `json:"oper_status"`
	Vips         []vipSummary `json:"vip_summary"`
	PercentUp    int          `json:"percent_ses_up"`    // engines that run it, of all
	Transactions int          `json:"open_transactions"` // over all engines
	Calls        int          `json:"known_calls"`       // likewise
	RequestsSum  uint64       `json:"requests"`          // forwarded since the engines started
	LatencyMS    float64      `json:"avg_response_time"` // ms, from a request to its final response
}

// vipSummary is one address of a virtual service.
type vipSummary struct {
	ID        string      `json:"vip_id"`
	Oper      report.Oper `json:"oper_status"`
	Engines   []engineRef `json:"service_engine"`
	Assigned  int         `json:"num_se_assigned"`
	Requested int         `json:"num_se_requested"`
	PercentUp int         `json:"percent_ses_up"`
}

// engineRef names an engine.
type engineRef struct {
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Primary   bool     `json:"primary"` // every engine takes calls
	Listeners []string `json:"listeners,omitempty"`
}

// serviceDetail is a virtual service on one engine.
type serviceDetail struct {
	Engine    string            `json:"se_name"`
	UUID      string            `json:"se_uuid"`
	Oper      report.Oper       `json:"oper_status"`
	Revision  int64             `json:"revision"` // that the engine runs
	Listeners []report.Listener `json:"listeners"`
	Calls     int               `json:"known_calls"`
	Open      int               `json:"open_transactions"`
	LatencyMS float64           `json:"avg_response_time"`
}

func (q *request) serviceRuntimeOf(r *catalog.Record) serviceRuntime {
	s := q.state()
	known := s.service(r)
	out := serviceRuntime{UUID: r.UUID(), Name: r.Name(), Oper: s.serviceOper(r, known), Vips: []vipSummary{}}
	if known != nil {
		out.Transactions, out.Calls, out.RequestsSum, out.LatencyMS = known.Transactions, known.Calls, known.Requests.Total(), known.Latency.MeanUS()/1000
		out.PercentUp = share(len(known.Engines), len(s.engines))
	}
	vip := s.view.Get("VsVip", r.Object.Text("vsvip_ref"))
	if vip == nil {
		return out
	}
	for _, v := range vip.Object.Value().(*object.VsVip).Vip {
		sum := vipSummary{ID: v.VipID, Oper: out.Oper, Engines: []engineRef{}, Requested: len(s.engines)}
		for _, t := range s.services[s.view.EngineName(r)] {
			if ref := q.engineRef(t.by); ref.listens(t.it, &v) {
				sum.Engines = append(sum.Engines, ref)
			}
		}
		sum.Assigned = len(sum.Engines)
		sum.PercentUp = share(sum.Assigned, sum.Requested)
		out.Vips = append(out.Vips, sum)
	}
	return out
}

func (q *request) engineRef(e *report.Engine) engineRef {
	return engineRef{UUID: e.UUID, Name: e.Name, URL: "https://" + q.Host + "/api/serviceengine/" + e.UUID, Primary: true}
}

// listens fills in which listeners of an engine are those of a VIP.
func (e *engineRef) listens(s *report.Service, v *object.Vip) bool {
	for _, l := range s.Listeners {
		if addr := l.Addr.Addr(); addr == v.IPAddress || addr == v.IP6Address {
			e.Listeners = append(e.Listeners, l.Addr.String())
		}
	}
	return len(e.Listeners) > 0
}

// share is a part of a whole in percent.
func share(part, whole int) int {
	if whole == 0 {
		return 0
	}
	return part * 100 / whole
}

// ofService does f for the virtual service that the path names.
func (q *request) ofService(f func(r *catalog.Record) any) (answer, error) {
	r, err := q.recordOf("VirtualService")
	if err != nil {
		return answer{}, err
	}
	return answer{Body: f(r)}, nil
}

// onEngines makes a list of what each engine tells of the virtual service that the path names.
func onEngines[T any](q *request, f func(e *report.Engine, s *report.Service) T) (answer, error) {
	return q.ofService(func(r *catalog.Record) any {
		out := []T{}
		for _, t := range q.state().services[q.view.EngineName(r)] {
			out = append(out, f(t.by, t.it))
		}
		return out
	})
}

// serviceRuntime is a list, as Avi's Python samples read it.
func (q *request) serviceRuntime() (answer, error) {
	return q.ofService(func(r *catalog.Record) any { return []serviceRuntime{q.serviceRuntimeOf(r)} })
}

// serviceDetail has an item for each engine; one that says why there is none, when no engine tells of it.
func (q *request) serviceDetail() (answer, error) {
	return q.ofService(func(r *catalog.Record) any {
		s := q.state()
		out := []serviceDetail{}
		for _, t := range s.services[q.view.EngineName(r)] {
			out = append(out, serviceDetail{t.by.Name, t.by.UUID, t.it.Oper, t.by.Applied, t.it.Listeners, t.it.Calls, t.it.Transactions, t.it.Latency.MeanUS() / 1000})
		}
		if len(out) == 0 {
			out = append(out, serviceDetail{Oper: s.serviceOper(r, nil), Listeners: []report.Listener{}})
		}
		return out
	})
}

// serviceInternal is all that each engine tells.
func (q *request) serviceInternal() (answer, error) {
	return onEngines(q, func(_ *report.Engine, s *report.Service) report.Service { return *s })
}

// udpStat is what the sockets of a virtual service have counted, on one engine.
type udpStat struct {
	Engine    string `json:"se_name"`
	RxPackets uint64 `json:"rx_pkts"`
	TxPackets uint64 `json:"tx_pkts"`
	RxBytes   uint64 `json:"rx_bytes"`
	TxBytes   uint64 `json:"tx_bytes"`
	Dropped   uint64 `json:"rx_dropped"` // by the kernel for a full receive buffer
}

func (q *request) udpStat() (answer, error) {
	return onEngines(q, func(e *report.Engine, s *report.Service) udpStat {
		out := udpStat{Engine: e.Name}
		for i := range s.Listeners {
			l := &s.Listeners[i]
			if l.Conns != nil {
				continue
			}
			out.RxPackets += l.RxPackets
			out.TxPackets += l.TxPackets
			out.RxBytes += l.RxBytes
			out.TxBytes += l.TxBytes
			out.Dropped += l.RxDropped
		}
		return out
	})
}

// tcpStat is what one listener of TCP or TLS has counted on one engine.
type tcpStat struct {
	Engine     string            `json:"se_name"`
	Address    string            `json:"address"`
	Transport  string            `json:"transport"` // tcp or tls
	Open       int64             `json:"open_connections"`
	Accepted   uint64            `json:"accepted"`
	Opened     uint64            `json:"opened"`     // by the engine, to servers mostly
	Handshakes uint64            `json:"handshakes"` // of TLS
	Resumed    uint64            `json:"resumed"`
	Closed     map[string]uint64 `json:"closed"` // by reason
	RxMessages uint64            `json:"rx_msgs"`
	TxMessages uint64            `json:"tx_msgs"`
	RxBytes    uint64            `json:"rx_bytes"`
	TxBytes    uint64            `json:"tx_bytes"`
}

// tcpStat has an item for each engine and listener.
func (q *request) tcpStat() (answer, error) {
	return q.ofService(func(r *catalog.Record) any {
		out := []tcpStat{}
		for _, t := range q.state().services[q.view.EngineName(r)] {
			for i := range t.it.Listeners {
				if l := &t.it.Listeners[i]; l.Conns != nil {
					out = append(out, tcpStat{t.by.Name, l.Addr.String(), l.Transport, l.Conns.Open, l.Conns.Accepted, l.Conns.Opened, l.Conns.Handshakes,
						l.Conns.Resumed, l.Conns.Closed, l.RxPackets, l.TxPackets, l.RxBytes, l.TxBytes})
				}
			}
		}
		return out
	})
}

// connections are the tables of a virtual service on one engine.
type connections struct {
	Engine           string `json:"se_name"`
	Transactions     int    `json:"open_transactions"`
	Calls            int    `json:"known_calls"`
	TransactionsFull uint64 `json:"transactions_full"`
	CallsFull        uint64 `json:"calls_full"`
}

func (q *request) connections() (answer, error) {
	return onEngines(q, func(e *report.Engine, s *report.Service) connections {
		return connections{e.Name, s.Transactions, s.Calls, s.TransactionsFull, s.CallsFull}
	})
}

// clientStat is what clients have sent and got, on one engine.
type clientStat struct {
	Engine    string                `json:"se_name"`
	Requests  report.Counts[string] `json:"requests"`
	Responses report.Counts[int]    `json:"responses"`
	Answers   report.Counts[int]    `json:"answers"`
	Reasons   report.Counts[string] `json:"reasons"`
	Faults    report.Counts[string] `json:"faults"`
}

func (q *request) client() (answer, error) {
	return onEngines(q, func(e *report.Engine, s *report.Service) clientStat {
		return clientStat{e.Name, s.Requests, s.Responses, s.Answers, s.Reasons, s.Faults}
	})
}

// clientSummary is the same in sums.
type clientSummary struct {
	Engine    string  `json:"se_name"`
	Messages  uint64  `json:"messages"`
	Requests  uint64  `json:"requests"`
	Responses uint64  `json:"responses"`
	Answers   uint64  `json:"answers"`
	Malformed uint64  `json:"malformed"`
	LatencyMS float64 `json:"avg_response_time"`
	P99MS     float64 `json:"p99_response_time"`
}

func (q *request) clientSummary() (answer, error) {
	return onEngines(q, func(e *report.Engine, s *report.Service) clientSummary {
		return clientSummary{e.Name, s.Reasons.Total(), s.Requests.Total(), s.Responses.Total(), s.Answers.Total(), s.Faults.Total(),
			s.Latency.MeanUS() / 1000, float64(s.Latency.P99US) / 1000}
	})
}

// nothingOfService is what Avi counts and there is none of here: policies, logs.
func (q *request) nothingOfService() (answer, error) {
	return q.ofService(func(*catalog.Record) any { return []json.RawMessage{} })
}

// scaleoutStatus is where a virtual service runs: on every engine.
func (q *request) scaleoutStatus() (answer, error) {
	return q.ofService(func(r *catalog.Record) any { return q.serviceRuntimeOf(r).Vips })
}

// runtimeOf is what ?join_subresources=runtime adds to an object; nil for kinds without.
func (q *request) runtimeOf(r *catalog.Record) []byte {
	var rt any
	switch r.Kind() {
	case "VirtualService":
		rt = q.serviceRuntimeOf(r)
	case "Pool":
		rt = q.poolRuntimeOf(r)
	case "ServiceEngine":
		rt = q.engineRuntimeOf(q.registered(r))
	case "PoolGroup", "VsVip":
		rt = map[string]report.Oper{"oper_status": q.groupOper(r)}
	default:
		return nil
	}
	return mustJSON(rt)
}

// groupOper is the state of what is as well as the best of its parts.
func (q *request) groupOper(r *catalog.Record) report.Oper {
	s := q.state()
	services := s.servicesOn(r.UUID())
	if len(services) == 0 {
		return bestOper(nil, "no virtual service refers to it")
	}
	var parts []report.Oper
	if r.Kind() == "PoolGroup" {
		for _, p := range s.poolsOf(r) {
			parts = append(parts, s.poolOper(p, s.pool(p)))
		}
		return bestOper(parts, "it has no pools")
	}
	for _, vs := range services {
		parts = append(parts, s.serviceOper(vs, s.service(vs)))
	}
	return bestOper(parts, "no virtual service refers to it")
}
