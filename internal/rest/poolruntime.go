package rest

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
)

// poolRuntime is how a pool is doing, on all engines.
type poolRuntime struct {
	UUID           string      `json:"uuid"`
	Name           string      `json:"name"`
	Oper           report.Oper `json:"oper_status"`
	Servers        int         `json:"num_servers"`
	Enabled        int         `json:"num_servers_enabled"`
	Up             int         `json:"num_servers_up"`
	PercentTotal   int         `json:"percent_servers_up_total"`
	PercentEnabled int         `json:"percent_servers_up_enabled"`
	MinServersUp   int         `json:"min_servers_up"`
	Algorithm      string      `json:"lb_algorithm"`
	RetriesRefused uint64      `json:"retries_refused"` // second tries that the retry budget refused
	Full           uint64      `json:"full"`            // requests that no server got since all had as many open as they may
}

// ipAddr is an address as Avi writes it.
type ipAddr struct {
	Addr string `json:"addr"`
	Type string `json:"type"`
}

func ipOf(a netip.Addr) ipAddr {
	if a.Is6() {
		return ipAddr{a.String(), "V6"}
	}
	return ipAddr{a.String(), "V4"}
}

// serverRuntime is how a server is doing.
type serverRuntime struct {
	Key      string      `json:"server_name"` // address and port
	Hostname string      `json:"hostname"`
	IP       ipAddr      `json:"ip_addr"`
	Port     uint16      `json:"port"`
	Oper     report.Oper `json:"oper_status"`
	State    string      `json:"state"` // up, down, draining, disabled, backoff; empty: no engine tells
	Ratio    int         `json:"ratio"`
	Share    float64     `json:"hash_share"` // of new calls, 0 to 1
	Open     int64       `json:"open_conns"` // transactions
	Calls    int64       `json:"known_calls"`
}

// serverDetail is the same with counters.
type serverDetail struct {
	serverRuntime
	Requests  report.Counts[string] `json:"requests"`
	Responses report.Counts[int]    `json:"responses"`
	Failovers uint64                `json:"failovers"`
	LatencyMS float64               `json:"avg_response_time"`
	P50MS     float64               `json:"p50_response_time"` // of several engines the largest
	P99MS     float64               `json:"p99_response_time"` // likewise
	Health    *report.Score         `json:"health_score,omitempty"`
}

// serverMonitors is a server with what its monitors know.
type serverMonitors struct {
	Key      string           `json:"server_name"`
	IP       ipAddr           `json:"ip_addr"`
	Port     uint16           `json:"port"`
	Oper     report.Oper      `json:"oper_status"`
	Monitors []report.Monitor `json:"shm_runtime"`
}

// poolDetail is a pool on one engine.
type poolDetail struct {
	Engine       string      `json:"se_name"`
	UUID         string      `json:"se_uuid"`
	Oper         report.Oper `json:"oper_status"`
	Revision     int64       `json:"revision"` // that the engine runs
	Up           int         `json:"num_servers_up"`
	Enabled      int         `json:"num_servers_enabled"`
	MinServersUp int         `json:"min_servers_up"`
	Algorithm    string      `json:"lb_algorithm"`
	Refused      uint64      `json:"retries_refused"`
	Full         uint64      `json:"full"`
}

func (q *request) poolRuntimeOf(r *catalog.Record) poolRuntime {
	s := q.state()
	known, p := s.pool(r), r.Object.Value().(*object.Pool)
	out := poolRuntime{UUID: r.UUID(), Name: r.Name(), Oper: s.poolOper(r, known), Servers: len(p.Servers), MinServersUp: p.MinServersUp, Algorithm: r.Object.Text("lb_algorithm")}
	for i := range p.Servers {
		if p.Servers[i].Enabled && p.Enabled {
			out.Enabled++
		}
	}
	if known != nil {
		out.Up, out.RetriesRefused, out.Full = known.Up, known.RetriesRefused, known.Full
	}
	out.PercentTotal, out.PercentEnabled = share(out.Up, out.Servers), share(out.Up, out.Enabled)
	return out
}

// serversOf are the servers of a pool as the engines tell of them; as they are configured, when none does.
func (q *request) serversOf(r *catalog.Record) (servers []report.Server, known *report.Pool) {
	s := q.state()
	if known = s.pool(r); known != nil {
		return known.Servers, known
	}
	p, oper := r.Object.Value().(*object.Pool), s.poolOper(r, nil)
	for i := range p.Servers {
		c := &p.Servers[i]
		port := c.Port
		if port == 0 {
			port = p.DefaultServerPort
		}
		servers = append(servers, report.Server{Name: c.Hostname, Addr: netip.AddrPortFrom(c.IP, port), Oper: oper, Ratio: c.Ratio})
	}
	return servers, nil
}

func serverRuntimeOf(s *report.Server) serverRuntime {
	return serverRuntime{Key: s.Addr.String(), Hostname: s.Name, IP: ipOf(s.Addr.Addr()), Port: s.Addr.Port(), Oper: s.Oper, State: s.State,
		Ratio: s.Ratio, Share: s.HashShare, Open: s.OpenTransactions, Calls: s.Calls}
}

func serverDetailOf(s *report.Server, pool *report.Pool) serverDetail {
	out := serverDetail{serverRuntime: serverRuntimeOf(s), Requests: s.Requests, Responses: s.Responses, Failovers: s.Failovers,
		LatencyMS: s.Latency.MeanUS() / 1000, P50MS: float64(s.Latency.P50US) / 1000, P99MS: float64(s.Latency.P99US) / 1000}
	if pool != nil {
		out.Health = s.Score(pool)
	}
	return out
}

// ofPool does f for the pool that the path names.
func (q *request) ofPool(f func(r *catalog.Record) any) (answer, error) {
	r, err := q.recordOf("Pool")
	if err != nil {
		return answer{}, err
	}
	return answer{Body: f(r)}, nil
}

// servers makes a list of the servers of the pool that the path names, one only with ?server=ip:port.
func servers[T any](q *request, f func(s *report.Server, pool *report.Pool) T) (answer, error) {
	r, err := q.recordOf("Pool")
	if err != nil {
		return answer{}, err
	}
	list, pool := q.serversOf(r)
	out, want := []T{}, q.URL.Query().Get("server")
	for i := range list {
		if want == "" || isServer(&list[i], want) {
			out = append(out, f(&list[i], pool))
		}
	}
	if want != "" && len(out) == 0 {
		return answer{}, refuse(http.StatusNotFound, "Pool/%s has no server %s", r.Name(), want)
	}
	return answer{Body: out}, nil
}

// isServer reports whether a key names a server: its address and port, or its address alone.
func isServer(s *report.Server, key string) bool {
	return key == s.Addr.String() || strings.Trim(key, "[]") == s.Addr.Addr().String() || key == s.Addr.Addr().String()+":"+portText(s)
}

func portText(s *report.Server) string {
	text := s.Addr.String()
	return text[strings.LastIndexByte(text, ':')+1:]
}

func (q *request) poolRuntime() (answer, error) {
	return q.ofPool(func(r *catalog.Record) any { return q.poolRuntimeOf(r) })
}

func (q *request) poolServers() (answer, error) {
	return servers(q, func(s *report.Server, _ *report.Pool) serverRuntime { return serverRuntimeOf(s) })
}

func (q *request) poolServerDetail() (answer, error) { return servers(q, serverDetailOf) }

func (q *request) poolMonitors() (answer, error) {
	return servers(q, func(s *report.Server, _ *report.Pool) serverMonitors {
		out := serverMonitors{s.Addr.String(), ipOf(s.Addr.Addr()), s.Addr.Port(), s.Oper, s.Monitors}
		if out.Monitors == nil {
			out.Monitors = []report.Monitor{}
		}
		return out
	})
}

func (q *request) poolDetail() (answer, error) {
	return q.ofPool(func(r *catalog.Record) any {
		out := []poolDetail{}
		for _, t := range q.state().pools[q.view.EngineName(r)] {
			out = append(out, poolDetail{t.by.Name, t.by.UUID, t.it.Oper, t.by.Applied, t.it.Up, t.it.Enabled, t.it.MinServersUp, t.it.Algorithm, t.it.RetriesRefused, t.it.Full})
		}
		if len(out) == 0 {
			out = append(out, poolDetail{Oper: q.poolRuntimeOf(r).Oper})
		}
		return out
	})
}

// monitorStat sums up one health monitor over the servers of a pool.
type monitorStat struct {
	Engine string `json:"se_name"`
	Name   string `json:"health_monitor_name"`
	Type   string `json:"health_monitor_type"`
	Up     int    `json:"num_servers_up"`
	Down   int    `json:"num_servers_down"`
	Checks uint64 `json:"total_checks"`
	Failed uint64 `json:"total_failed_checks"`
}

func (q *request) poolHmon() (answer, error) {
	return q.ofPool(func(r *catalog.Record) any {
		list, _ := q.serversOf(r)
		out := []monitorStat{}
		at := map[[2]string]int{}
		for i := range list {
			for _, m := range list[i].Monitors {
				k := [2]string{m.Engine, m.Name}
				if _, there := at[k]; !there {
					at[k] = len(out)
					out = append(out, monitorStat{Engine: m.Engine, Name: m.Name, Type: m.Type})
				}
				s := &out[at[k]]
				s.Checks += m.Checks
				s.Failed += m.FailedChecks
				if strings.EqualFold(m.State, "up") || m.State == report.Up {
					s.Up++
				} else {
					s.Down++
				}
			}
		}
		return out
	})
}

// algoStat is how a pool places calls.
type algoStat struct {
	Algorithm string      `json:"lb_algorithm"`
	Hash      string      `json:"lb_algorithm_hash"`
	Shares    []algoShare `json:"servers"`
}

// algoShare is what of new calls a server gets.
type algoShare struct {
	Key   string  `json:"server_name"`
	Ratio int     `json:"ratio"`
	Share float64 `json:"hash_share"`
}

func (q *request) poolAlgo() (answer, error) {
	return q.ofPool(func(r *catalog.Record) any {
		list, _ := q.serversOf(r)
		out := algoStat{r.Object.Text("lb_algorithm"), r.Object.Text("lb_algorithm_hash"), []algoShare{}}
		for i := range list {
			out.Shares = append(out.Shares, algoShare{list[i].Addr.String(), list[i].Ratio, list[i].HashShare})
		}
		return []algoStat{out}
	})
}

// persistenceStat is what ties calls to a server of a pool.
type persistenceStat struct {
	Key   string `json:"server_name"`
	Calls int64  `json:"known_calls"`
}

func (q *request) poolPersistence() (answer, error) {
	return servers(q, func(s *report.Server, _ *report.Pool) persistenceStat {
		return persistenceStat{s.Addr.String(), s.Calls}
	})
}

// connpool is what a server has open.
type connpool struct {
	Key  string `json:"server_name"`
	Open int64  `json:"open_conns"`
}

func (q *request) poolConnections() (answer, error) {
	return servers(q, func(s *report.Server, _ *report.Pool) connpool {
		return connpool{s.Addr.String(), s.OpenTransactions}
	})
}

// usedBy is a virtual service that uses a pool.
type usedBy struct {
	UUID string      `json:"uuid"`
	Name string      `json:"name"`
	URL  string      `json:"url"`
	Oper report.Oper `json:"oper_status"`
}

func (q *request) poolServices() (answer, error) {
	return q.ofPool(func(r *catalog.Record) any {
		s := q.state()
		out := []usedBy{}
		for _, vs := range s.servicesOn(r.UUID()) {
			out = append(out, usedBy{vs.UUID(), vs.Name(), q.refURL(vs.Kind(), vs.UUID(), false), s.serviceOper(vs, s.service(vs))})
		}
		return out
	})
}
