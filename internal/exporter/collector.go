package exporter

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/transport"
)

// collector turns a Status into samples. docs/metrics.md lists them.
type collector struct{ eng *engine.Engine }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("carillon_"+name, help, labels, nil)
}

var (
	revision     = desc("revision", "Number of the configuration that is in force.")
	transactions = desc("virtual_service_open_transactions", "Transactions that are remembered (pins).", "virtual_service")
	calls        = desc("virtual_service_known_calls", "Call-IDs that are remembered.", "virtual_service")
	tableFull    = desc("virtual_service_table_full_total", "Entries not remembered because a table was at its limit.", "virtual_service", "table")
	requests     = desc("virtual_service_requests_total", "Requests forwarded, by method.", "virtual_service", "method")
	responses    = desc("virtual_service_responses_total", "Responses forwarded, by class and code.", "virtual_service", "class", "code")
	answers      = desc("virtual_service_answers_total", "Responses of the balancer itself, by class and code.", "virtual_service", "class", "code")
	messages     = desc("virtual_service_messages_total", "Messages by what became of them.", "virtual_service", "reason")
	faults       = desc("virtual_service_faults_total", "Malformed messages, by fault.", "virtual_service", "fault")
	latency      = desc("virtual_service_response_seconds", "Time from a request to its final response.", "virtual_service")

	sockIn      = desc("socket_datagrams_received_total", "Datagrams received.", "virtual_service", "address", "socket")
	sockOut     = desc("socket_datagrams_sent_total", "Datagrams sent.", "virtual_service", "address", "socket")
	sockInB     = desc("socket_received_bytes_total", "Octets received.", "virtual_service", "address", "socket")
	sockOutB    = desc("socket_sent_bytes_total", "Octets sent.", "virtual_service", "address", "socket")
	sockErrors  = desc("socket_send_errors_total", "Datagrams not sent, by class of error.", "virtual_service", "address", "socket", "error")
	sockDrops   = desc("socket_kernel_drops_total", "Datagrams the kernel dropped because the receive buffer was full.", "virtual_service", "address", "socket")
	sockShared  = desc("socket_shared_batches_total", "Batches during which another worker read on.", "virtual_service", "address", "socket")
	sockWaits   = desc("socket_order_waits_total", "Batches that waited for an earlier one with messages of the same Call-ID.", "virtual_service", "address", "socket")
	sockTrains  = desc("socket_trains_total", "Trains of datagrams that crossed the kernel as one, by direction.", "virtual_service", "address", "socket", "direction")
	sockBatches = desc("socket_batch_size", "Datagrams a call of the kernel moved, by direction.", "virtual_service", "address", "socket", "direction")

	connOpen   = desc("connections_open", "Connections of the listener.", "virtual_service", "address", "transport")
	connIn     = desc("connections_accepted_total", "Connections accepted.", "virtual_service", "address", "transport")
	connOut    = desc("connections_opened_total", "Connections opened by the balancer.", "virtual_service", "address", "transport")
	connClosed = desc("connections_closed_total", "Connections that ended or were refused, by reason.", "virtual_service", "address", "transport", "reason")
	connMsgs   = desc("connection_messages_total", "Messages on connections, by direction.", "virtual_service", "address", "transport", "direction")
	connBytes  = desc("connection_bytes_total", "Octets on connections, by direction; of TLS what is on the wire.", "virtual_service", "address", "transport", "direction")
	connTLS    = desc("tls_handshakes_total", "TLS handshakes; resumed says whether a session was taken up again.", "virtual_service", "address", "resumed")

	poolUp      = desc("pool_up", "1 if the pool takes new calls.", "pool")
	poolServers = desc("pool_servers_up", "Servers that are up, neither disabled nor draining.", "pool")
	groupShare  = desc("pool_group_share", "Part of new calls that a pool of the group gets, 0 to 1.", "virtual_service", "pool_group", "pool", "priority_label")
	poolMin     = desc("pool_min_servers_up", "Servers that must be up for the pool to take new calls.", "pool")
	poolRefused = desc("pool_retries_refused_total", "Second tries that the retry budget refused.", "pool")
	poolMax     = desc("pool_max_concurrent_connections_per_server", "Open transactions that a server may have; 0 without a limit.", "pool")
	poolFull    = desc("pool_full_total", "Requests of new calls that no server got because all had as many open transactions as they may.", "pool")

	serverInfo       = desc("server_info", "1; name is the server's hostname, or its address.", "pool", "server", "name")
	serverUp         = desc("server_up", "1 if the server can be picked, where its pool is up.", "pool", "server")
	serverState      = desc("server_state", "1 for the state the server is in.", "pool", "server", "state")
	serverRequests   = desc("server_requests_total", "Requests forwarded to the server, by method.", "pool", "server", "method")
	serverResponses  = desc("server_responses_total", "Responses received from the server, by class and code.", "pool", "server", "class", "code")
	serverOpen       = desc("server_open_transactions", "Requests it has that have no final response yet.", "pool", "server")
	serverCalls      = desc("server_known_calls", "Call-IDs that are remembered as its.", "pool", "server")
	serverShare      = desc("server_share", "Share of new calls it is to get, 0 to 1.", "pool", "server")
	serverUnanswered = desc("server_unanswered_total", "Requests without any response, however often they were sent.", "pool", "server")
	serverCallsUp    = desc("server_calls_up", "Calls that are up on it, as far as they are seen.", "pool", "server")
	serverFirst      = desc("server_first_response_seconds", "Running mean of the times from a request to the first response.", "pool", "server")
	serverEjections  = desc("server_ejections_total", "Times that passive health took it out.", "pool", "server")
	serverLarge      = desc("server_large_requests_total", "Requests that took TCP since they were too long for datagrams.", "pool", "server")
	serverFailovers  = desc("server_failovers_total", "Transactions taken away from it: ICMP, silence or 503.", "pool", "server")
	serverRamp       = desc("server_share_percent", "Part of its share of new calls that a server gets: below 100 in slow start.", "pool", "server")
	serverLatency    = desc("server_response_seconds", "Time from a request to the server's final response.", "pool", "server")
	probeState       = desc("health_monitor_up", "1 if the monitor finds the server up, 0 down; absent before the first result.", "pool", "server", "monitor")
	probeLatency     = desc("health_monitor_response_seconds", "Response time of the latest probe.", "pool", "server", "monitor")
	probeChecks      = desc("health_monitor_checks_total", "Probes ended.", "pool", "server", "monitor")
	probeFailed      = desc("health_monitor_failed_checks_total", "Probes that failed, by reason.", "pool", "server", "monitor", "reason")
)

// Describe sends nothing: what there is depends on the configuration.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the engine's status once.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	st := c.eng.Status()
	e := emitter{ch}
	e.gauge(revision, float64(st.Revision))
	for i := range st.Services {
		e.service(&st.Services[i])
	}
	for i := range st.Pools {
		p := &st.Pools[i]
		e.gauge(poolUp, truth(p.State == "up"), p.Name)
		e.gauge(poolServers, float64(p.Up), p.Name)
		e.gauge(poolMin, float64(p.MinServersUp), p.Name)
		e.counter(poolRefused, p.RetriesRefused, p.Name)
		e.gauge(poolMax, float64(p.MaxConnections), p.Name)
		e.counter(poolFull, p.Full, p.Name)
		for j := range p.Servers {
			e.server(p.Name, &p.Servers[j])
		}
	}
}

type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (e emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// codes emits counters by class and code; unregistered codes come as their class alone.
func (e emitter) codes(d *prometheus.Desc, m map[int]uint64, labels ...string) {
	for code, n := range m {
		class, text := strconv.Itoa(code/100)+"xx", strconv.Itoa(code)
		if code < 10 {
			class, text = strconv.Itoa(code)+"xx", "other"
		}
		e.counter(d, n, append(labels[:len(labels):len(labels)], class, text)...)
	}
}

// latencyBounds are the buckets of response times, in seconds.
var latencyBounds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 32, 64}

func (e emitter) service(s *engine.ServiceStatus) {
	e.gauge(transactions, float64(s.Transactions), s.Name)
	e.gauge(calls, float64(s.Calls), s.Name)
	e.counter(tableFull, s.TransactionsFull, s.Name, "transactions")
	e.counter(tableFull, s.CallsFull, s.Name, "calls")
	e.counter(tableFull, s.RepeatsFull, s.Name, "repeats")
	if g := s.Group; g != nil {
		for _, m := range g.Members {
			e.gauge(groupShare, m.Share, s.Name, g.Name, m.Pool, m.Priority)
		}
	}
	for method, n := range s.Requests {
		e.counter(requests, n, s.Name, method)
	}
	e.codes(responses, s.Responses, s.Name)
	e.codes(answers, s.Answers, s.Name)
	for reason, n := range s.Reasons {
		e.counter(messages, n, s.Name, reason)
	}
	for fault, n := range s.Faults {
		e.counter(faults, n, s.Name, fault)
	}
	e.ch <- prometheus.MustNewConstHistogram(latency, s.Latency.Count, float64(s.Latency.SumNS)/1e9, s.Latency.Buckets(latencyBounds), s.Name)
	for i := range s.Listeners {
		if l := &s.Listeners[i]; l.Conns != nil {
			e.connections(s.Name, l.Addr.String(), strings.ToLower(l.Transport.String()), l.Conns)
		}
		for j := range s.Listeners[i].Sockets {
			e.socket(s.Name, s.Listeners[i].Addr.String(), strconv.Itoa(j), &s.Listeners[i].Sockets[j])
		}
	}
}

func (e emitter) connections(service, addr, over string, c *transport.ConnStats) {
	e.gauge(connOpen, float64(c.Open), service, addr, over)
	e.counter(connIn, c.Accepted, service, addr, over)
	e.counter(connOut, c.Opened, service, addr, over)
	e.counter(connMsgs, c.In, service, addr, over, "in")
	e.counter(connMsgs, c.Out, service, addr, over, "out")
	e.counter(connBytes, c.InBytes, service, addr, over, "in")
	e.counter(connBytes, c.OutBytes, service, addr, over, "out")
	for r, n := range c.Closed {
		if n > 0 {
			e.counter(connClosed, n, service, addr, over, transport.Reason(r).String())
		}
	}
	if over == "tls" {
		e.counter(connTLS, c.Handshakes-c.Resumed, service, addr, "false")
		e.counter(connTLS, c.Resumed, service, addr, "true")
	}
}

func (e emitter) socket(service, addr, socket string, s *engine.SocketStatus) {
	e.counter(sockIn, s.In, service, addr, socket)
	e.counter(sockOut, s.Out, service, addr, socket)
	e.counter(sockInB, s.InBytes, service, addr, socket)
	e.counter(sockOutB, s.OutBytes, service, addr, socket)
	e.counter(sockShared, s.Shared, service, addr, socket)
	e.counter(sockWaits, s.Waits, service, addr, socket)
	e.counter(sockDrops, s.KernelDrops, service, addr, socket)
	e.counter(sockTrains, s.GROTrains, service, addr, socket, "in")
	e.counter(sockTrains, s.GSOSends, service, addr, socket, "out")
	for class, n := range s.SendErrors {
		if n > 0 {
			e.counter(sockErrors, n, service, addr, socket, transport.ErrClass(class).String())
		}
	}
	e.batches(s.RecvSizes[:], s.In, service, addr, socket, "in")
	e.batches(s.SendSizes[:], s.Out, service, addr, socket, "out")
}

// batches emits the sizes of batches, whose class i is those up to 2^(i+1)-1.
func (e emitter) batches(sizes []uint64, sum uint64, labels ...string) {
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range sizes {
		total += n
		buckets[float64(uint64(2)<<i-1)] = total
	}
	e.ch <- prometheus.MustNewConstHistogram(sockBatches, total, float64(sum), buckets, labels...)
}

// truth is a condition as a value.
func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

var states = []string{"up", "down", "draining", "disabled", "backoff", "ejected"}

func (e emitter) server(pool string, s *engine.ServerStatus) {
	addr := s.Addr.String()
	e.gauge(serverInfo, 1, pool, addr, s.Name)
	e.gauge(serverUp, truth(s.State == "up"), pool, addr)
	e.gauge(serverRamp, float64(s.RampPercent), pool, addr)
	for _, state := range states {
		e.gauge(serverState, truth(s.State == state), pool, addr, state)
	}
	for method, n := range s.Requests {
		e.counter(serverRequests, n, pool, addr, method)
	}
	e.codes(serverResponses, s.Responses, pool, addr)
	e.gauge(serverOpen, float64(s.OpenTransactions), pool, addr)
	e.gauge(serverCalls, float64(s.Calls), pool, addr)
	e.gauge(serverShare, s.HashShare, pool, addr)
	e.counter(serverFailovers, s.Failovers, pool, addr)
	e.counter(serverLarge, s.Large, pool, addr)
	e.counter(serverUnanswered, s.Unanswered, pool, addr)
	e.gauge(serverCallsUp, float64(s.CallsUp), pool, addr)
	e.gauge(serverFirst, s.Response.Seconds(), pool, addr)
	e.counter(serverEjections, s.Ejections, pool, addr)
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range s.Buckets[:snapshot.LatencyBuckets-1] {
		total += n
		buckets[float64(uint64(64)<<i)/1e6] = total
	}
	e.ch <- prometheus.MustNewConstHistogram(serverLatency, s.Finals, s.LatencySum.Seconds(), buckets, pool, addr)
	for i := range s.Health.Monitors {
		e.monitor(pool, addr, &s.Health.Monitors[i])
	}
}

func (e emitter) monitor(pool, addr string, m *health.MonitorStatus) {
	switch m.State {
	case health.Up:
		e.gauge(probeState, 1, pool, addr, m.Name)
	case health.Down:
		e.gauge(probeState, 0, pool, addr, m.Name)
	}
	e.gauge(probeLatency, m.LatencyLast.Seconds(), pool, addr, m.Name)
	e.counter(probeChecks, m.Checks, pool, addr, m.Name)
	for _, c := range m.Counts {
		e.counter(probeFailed, c.Count, pool, addr, m.Name, c.Code.String())
	}
}
