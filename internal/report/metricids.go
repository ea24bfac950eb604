package report

import "slices"

// Kinds of things that have metrics, as paths of the API spell them.
const (
	OfService = "virtualservice"
	OfPool    = "pool"
)

// Units of metrics, in Avi's words where Avi has one.
const (
	PerSecond  = "PER_SECOND"
	BitsPerS   = "BITS_PER_SECOND"
	BytesPerS  = "BYTES_PER_SECOND"
	MetricNo   = "METRIC_COUNT"
	Percent    = "PERCENT"
	Millis     = "MILLISECONDS"
	ShareOfAll = "SHARE" // 0 to 1
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
// for SIP over UDP: a connection is a transaction there, and its errors are those of the transaction. The others are ours.
var MetricIDs = []MetricID{
	{"l4_client.avg_bandwidth", BitsPerS, OfService, false, false, "traffic of both directions"},
	{"l4_client.avg_rx_bytes", BytesPerS, OfService, false, false, "octets received"},
	{"l4_client.avg_tx_bytes", BytesPerS, OfService, false, false, "octets sent"},
	{"l4_client.avg_rx_pkts", PerSecond, OfService, false, false, "datagrams received"},
	{"l4_client.avg_tx_pkts", PerSecond, OfService, false, false, "datagrams sent"},
	{"l4_client.avg_new_established_conns", PerSecond, OfService, false, false, "new calls: Call-IDs that were placed"},
	{"l4_client.avg_complete_conns", PerSecond, OfService, false, false, "transactions that got a final response"},
	{"l4_client.max_open_conns", MetricNo, OfService, false, false, "open transactions at the end of the step"},
	{"l4_client.sum_finished_conns", MetricNo, OfService, false, false, "transactions that got a final response, in the step"},
	{"l4_client.avg_errored_connections", PerSecond, OfService, false, false, "transactions that ended with 408 or 5xx, of a server or our own"},
	{"l4_client.sum_connection_errors", MetricNo, OfService, false, false, "the same, in the step"},
	{"l4_client.pct_connection_errors", Percent, OfService, false, true, "share of them among all that ended"},
	{"l4_client.avg_connections_dropped", PerSecond, OfService, false, false, "datagrams that the kernel dropped for a full receive buffer"},
	{"l4_client.avg_total_rtt", Millis, OfService, false, true, "mean time from a request to its final response"},
	{"l4_client.max_num_active_se", MetricNo, OfService, false, false, "engines that run the virtual service"},

	{"l4_server.avg_tx_pkts", PerSecond, OfPool, true, false, "requests sent, retransmissions too"},
	{"l4_server.avg_rx_pkts", PerSecond, OfPool, true, false, "responses received"},
	{"l4_server.avg_complete_conns", PerSecond, OfPool, true, false, "transactions that got a final response"},
	{"l4_server.sum_finished_conns", MetricNo, OfPool, true, false, "the same, in the step"},
	{"l4_server.avg_open_conns", MetricNo, OfPool, true, false, "open transactions at the end of the step"},
	{"l4_server.max_open_conns", MetricNo, OfPool, true, false, "the same; the largest of the samples where a step has several"},
	{"l4_server.avg_errored_connections", PerSecond, OfPool, true, false, "5xx responses received"},
	{"l4_server.sum_connection_errors", MetricNo, OfPool, true, false, "the same, in the step"},
	{"l4_server.pct_connection_errors", Percent, OfPool, true, true, "share of them among the final responses"},
	{"l4_server.pct_connection_saturation", Percent, OfPool, true, true, "open transactions of max_concurrent_connections_per_server; 0 without a limit"},
	{"l4_server.avg_total_rtt", Millis, OfPool, true, true, "mean time from a request to the server's final response"},
	{"l4_server.avg_uptime", Percent, OfPool, true, true, "share of the step in which it was up; of a pool the share of its servers"},
	{"l4_server.avg_health_status", Percent, OfPool, true, true, "100 up, 0 down at the end of the step; of a pool the share of its servers"},
	{"l4_server.sum_health_check_failures", MetricNo, OfPool, true, false, "probes that failed, in the step"},
	{"l4_server.sum_num_state_changes", MetricNo, OfPool, true, false, "times that it went up or down, in the step"},
	{"l4_server.sum_lb_fail_count", MetricNo, OfPool, false, false, "requests that no server got because all had as many open as they may, and second tries that the retry budget refused"},

	{"sip_client.avg_messages", PerSecond, OfService, false, false, "messages received, whatever became of them"},
	{"sip_client.avg_requests", PerSecond, OfService, false, false, "requests forwarded"},
	{"sip_client.avg_invites", PerSecond, OfService, false, false, "INVITE requests forwarded"},
	{"sip_client.avg_registers", PerSecond, OfService, false, false, "REGISTER requests forwarded"},
	{"sip_client.avg_responses_1xx", PerSecond, OfService, false, false, "provisional responses forwarded"},
	{"sip_client.avg_responses_2xx", PerSecond, OfService, false, false, "2xx responses forwarded"},
	{"sip_client.avg_responses_3xx", PerSecond, OfService, false, false, "3xx responses forwarded"},
	{"sip_client.avg_responses_4xx", PerSecond, OfService, false, false, "4xx responses forwarded"},
	{"sip_client.avg_responses_5xx", PerSecond, OfService, false, false, "5xx responses forwarded"},
	{"sip_client.avg_responses_6xx", PerSecond, OfService, false, false, "6xx responses forwarded"},
	{"sip_client.avg_answers", PerSecond, OfService, false, false, "responses of the balancer itself"},
	{"sip_client.avg_answers_5xx", PerSecond, OfService, false, false, "of those, 5xx: no server could be had"},
	{"sip_client.avg_malformed", PerSecond, OfService, false, false, "malformed messages, and datagrams that are no SIP"},
	{"sip_client.avg_retransmissions", PerSecond, OfService, false, false, "requests of a transaction that was known: retransmissions, CANCEL, ACK"},
	{"sip_client.avg_failovers", PerSecond, OfService, false, false, "transactions that went on at another server"},
	{"sip_client.avg_response_time", Millis, OfService, false, true, "mean time from a request to its final response"},
	{"sip_client.max_open_transactions", MetricNo, OfService, false, false, "open transactions at the end of the step"},
	{"sip_client.max_known_calls", MetricNo, OfService, false, false, "Call-IDs that are remembered at the end of the step"},

	{"sip_server.avg_requests", PerSecond, OfPool, true, false, "requests sent, retransmissions too"},
	{"sip_server.avg_invites", PerSecond, OfPool, true, false, "INVITE requests sent"},
	{"sip_server.avg_responses_1xx", PerSecond, OfPool, true, false, "provisional responses received"},
	{"sip_server.avg_responses_2xx", PerSecond, OfPool, true, false, "2xx responses received"},
	{"sip_server.avg_responses_3xx", PerSecond, OfPool, true, false, "3xx responses received"},
	{"sip_server.avg_responses_4xx", PerSecond, OfPool, true, false, "4xx responses received"},
	{"sip_server.avg_responses_5xx", PerSecond, OfPool, true, false, "5xx responses received"},
	{"sip_server.avg_responses_6xx", PerSecond, OfPool, true, false, "6xx responses received"},
	{"sip_server.avg_failovers", PerSecond, OfPool, true, false, "transactions taken away from it"},
	{"sip_server.avg_response_time", Millis, OfPool, true, true, "mean time from a request to the final response"},
	{"sip_server.max_open_transactions", MetricNo, OfPool, true, false, "open transactions at the end of the step"},
	{"sip_server.max_known_calls", MetricNo, OfPool, true, false, "Call-IDs that are remembered at the end of the step"},
	{"sip_server.hash_share", ShareOfAll, OfPool, true, true, "share of the keys of the hash; of a pool: 1"},
	{"sip_server.num_servers_up", MetricNo, OfPool, false, true, "servers that take new calls"},
}

// FindMetric returns the figure with an id.
func FindMetric(id string) (MetricID, bool) {
	i := slices.IndexFunc(MetricIDs, func(m MetricID) bool { return m.ID == id })
	if i < 0 {
		return MetricID{}, false
	}
	return MetricIDs[i], true
}
