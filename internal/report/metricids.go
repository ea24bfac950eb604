package report

import "slices"

// Kinds of things that have metrics, as paths of the API spell them.
const (
	OfService = "virtualservice"
	OfPool    = "pool"
)

// Steps of the history, in seconds: of the last hour, and of the last day.
const (
	FineStep   = 5
	CoarseStep = 300
)

// Units of metrics, in Avi's words where Avi has one.
const (
	PerSecond = "PER_SECOND"
	BitsPerS  = "BITS_PER_SECOND"
	BytesPerS = "BYTES_PER_SECOND"
	MetricNo  = "METRIC_COUNT"
	Percent   = "PERCENT"
	Millis    = "MILLISECONDS"
)

// MetricID is a figure whose history engines keep.
type MetricID struct {
	ID     string
	Unit   string
	Of     string // OfService or OfPool
	Server bool   // with OfPool: each server has it too, named by its address
	Mean   bool   // of several engines the mean counts, not the sum
	Doc    string
}

// MetricIDs is every figure with a history. The groups l4_client and l4_server are Avi's, as far as they mean something
// for SIP over UDP: a connection is a transaction there. The others are ours.
var MetricIDs = []MetricID{
	{"l4_client.avg_bandwidth", BitsPerS, OfService, false, false, "traffic of both directions"},
	{"l4_client.avg_rx_bytes", BytesPerS, OfService, false, false, "octets received"},
	{"l4_client.avg_tx_bytes", BytesPerS, OfService, false, false, "octets sent"},
	{"l4_client.avg_rx_pkts", PerSecond, OfService, false, false, "datagrams received"},
	{"l4_client.avg_tx_pkts", PerSecond, OfService, false, false, "datagrams sent"},
	{"l4_client.avg_new_established_conns", PerSecond, OfService, false, false, "new calls: Call-IDs that were placed"},
	{"l4_client.avg_complete_conns", PerSecond, OfService, false, false, "transactions that got a final response"},
	{"l4_client.max_open_conns", MetricNo, OfService, false, false, "open transactions"},
	{"l4_client.avg_errored_connections", PerSecond, OfService, false, false, "malformed messages, 5xx of our own, and 5xx and 6xx forwarded"},
	{"l4_client.avg_connections_dropped", PerSecond, OfService, false, false, "messages that came to nothing, and datagrams that the kernel dropped for a full receive buffer"},
	{"l4_client.avg_total_rtt", Millis, OfService, false, true, "median time from a request to its final response"},

	{"l4_server.avg_open_conns", MetricNo, OfPool, true, false, "open transactions, the mean of the step"},
	{"l4_server.max_open_conns", MetricNo, OfPool, true, false, "open transactions, the most of the step"},
	{"l4_server.avg_new_established_conns", PerSecond, OfPool, true, false, "requests sent, retransmissions too"},
	{"l4_server.avg_complete_conns", PerSecond, OfPool, true, false, "transactions that got a final response"},
	{"l4_server.avg_errored_connections", PerSecond, OfPool, true, false, "5xx and 6xx responses received"},
	{"l4_server.avg_connections_dropped", PerSecond, OfPool, true, false, "transactions taken away from it"},
	{"l4_server.avg_health_status", Percent, OfPool, true, true, "100 up, 0 down; of a pool the share of its servers that are up"},
	{"l4_server.avg_uptime", Percent, OfPool, true, true, "the same"},
	{"l4_server.avg_total_rtt", Millis, OfPool, true, true, "median time from a request to the final response"},

	{"sip_client.avg_requests", PerSecond, OfService, false, false, "requests forwarded"},
	{"sip_client.avg_requests_invite", PerSecond, OfService, false, false, "INVITE requests forwarded"},
	{"sip_client.avg_requests_register", PerSecond, OfService, false, false, "REGISTER requests forwarded"},
	{"sip_client.avg_requests_options", PerSecond, OfService, false, false, "OPTIONS requests forwarded"},
	{"sip_client.avg_requests_other", PerSecond, OfService, false, false, "requests of other methods forwarded"},
	{"sip_client.avg_responses", PerSecond, OfService, false, false, "responses forwarded"},
	{"sip_client.avg_responses_1xx", PerSecond, OfService, false, false, "1xx responses forwarded"},
	{"sip_client.avg_responses_2xx", PerSecond, OfService, false, false, "2xx responses forwarded"},
	{"sip_client.avg_responses_3xx", PerSecond, OfService, false, false, "3xx responses forwarded"},
	{"sip_client.avg_responses_4xx", PerSecond, OfService, false, false, "4xx responses forwarded"},
	{"sip_client.avg_responses_5xx", PerSecond, OfService, false, false, "5xx responses forwarded"},
	{"sip_client.avg_responses_6xx", PerSecond, OfService, false, false, "6xx responses forwarded"},
	{"sip_client.avg_answers", PerSecond, OfService, false, false, "responses of the balancer itself"},
	{"sip_client.avg_errors", PerSecond, OfService, false, false, "as l4_client.avg_errored_connections"},
	{"sip_client.avg_dropped", PerSecond, OfService, false, false, "as l4_client.avg_connections_dropped"},
	{"sip_client.avg_new_calls", PerSecond, OfService, false, false, "Call-IDs that were placed"},
	{"sip_client.open_transactions", MetricNo, OfService, false, false, "open transactions, the most of the step"},
	{"sip_client.calls", MetricNo, OfService, false, false, "Call-IDs that are remembered, the most of the step"},
	{"sip_client.latency_p50", Millis, OfService, false, true, "median time from a request to its final response"},
	{"sip_client.latency_p99", Millis, OfService, false, true, "99 of 100 requests had theirs in this time"},

	{"sip_server.avg_requests", PerSecond, OfPool, true, false, "requests sent"},
	{"sip_server.avg_requests_invite", PerSecond, OfPool, true, false, "INVITE requests sent"},
	{"sip_server.avg_requests_register", PerSecond, OfPool, true, false, "REGISTER requests sent"},
	{"sip_server.avg_requests_options", PerSecond, OfPool, true, false, "OPTIONS requests sent"},
	{"sip_server.avg_requests_other", PerSecond, OfPool, true, false, "requests of other methods sent"},
	{"sip_server.avg_responses", PerSecond, OfPool, true, false, "responses received"},
	{"sip_server.avg_responses_1xx", PerSecond, OfPool, true, false, "1xx responses received"},
	{"sip_server.avg_responses_2xx", PerSecond, OfPool, true, false, "2xx responses received"},
	{"sip_server.avg_responses_3xx", PerSecond, OfPool, true, false, "3xx responses received"},
	{"sip_server.avg_responses_4xx", PerSecond, OfPool, true, false, "4xx responses received"},
	{"sip_server.avg_responses_5xx", PerSecond, OfPool, true, false, "5xx responses received"},
	{"sip_server.avg_responses_6xx", PerSecond, OfPool, true, false, "6xx responses received"},
	{"sip_server.avg_failovers", PerSecond, OfPool, true, false, "transactions taken away from it"},
	{"sip_server.health", Percent, OfPool, true, true, "as l4_server.avg_health_status"},
	{"sip_server.servers_up", MetricNo, OfPool, false, true, "servers that take new calls"},
	{"sip_server.open_transactions", MetricNo, OfPool, true, false, "open transactions, the most of the step"},
	{"sip_server.calls", MetricNo, OfPool, true, false, "Call-IDs that are remembered, the most of the step"},
	{"sip_server.latency_p50", Millis, OfPool, true, true, "median time from a request to its final response"},
	{"sip_server.latency_p99", Millis, OfPool, true, true, "99 of 100 requests had theirs in this time"},
}

// FindMetric returns the figure with an id.
func FindMetric(id string) (MetricID, bool) {
	i := slices.IndexFunc(MetricIDs, func(m MetricID) bool { return m.ID == id })
	if i < 0 {
		return MetricID{}, false
	}
	return MetricIDs[i], true
}
