package object

import "slices"

// AnalyticsProfile says what is recorded of the virtual services that name it. Nothing acts on it yet.
type AnalyticsProfile struct {
	Name                      string          `json:"name" required:"" doc:"unique among analytics profiles"`
	UUID                      string          `json:"uuid" doc:"references may name the object by it"`
	Description               string          `json:"description" doc:"free text"`
	SIPLogDepth               int             `json:"sip_log_depth" default:"20" range:"1..1000" idle:"" doc:"messages kept in the record of one transaction"`
	ExcludeSIPErrorCodes      []int           `json:"exclude_sip_error_codes" items:"0..256" range:"300..699" idle:"" doc:"status codes that do not count as errors"`
	ClientLogConfig           ClientLogConfig `json:"client_log_config" idle:"" doc:"which records are kept"`
	EnableServerAnalytics     bool            `json:"enable_server_analytics" default:"true" idle:"" doc:"measure servers"`
	EnableVSAnalytics         bool            `json:"enable_vs_analytics" default:"true" idle:"" doc:"measure virtual services"`
	HealthScoreMaxServerLimit int             `json:"healthscore_max_server_limit" default:"20" range:"0..5000" idle:"" doc:"servers up to which each gets a score"`
	MaxAnomalyPenalty         int             `json:"hs_max_anomaly_penalty" default:"10" range:"0..100" idle:"" doc:"most that anomalies take from a score"`
	MaxResourcesPenalty       int             `json:"hs_max_resources_penalty" default:"25" range:"0..100" idle:"" doc:"most that scarce resources take from a score"`
	MaxSecurityPenalty        int             `json:"hs_max_security_penalty" default:"100" range:"0..100" idle:"" doc:"most that security takes from a score"`
	PerformanceBoost          int             `json:"hs_performance_boost" default:"0" range:"0..100" idle:"" doc:"added to the performance score"`
	MinDOSRate                int             `json:"hs_min_dos_rate" default:"1000" range:"0..4294967295" idle:"" unit:"per s" doc:"connections from which on an attack is looked for"`
	Kept                      Kept            `json:"-"`
}

// ClientLogConfig says which records of calls are kept.
type ClientLogConfig struct {
	EnableSignificant bool `json:"enable_significant_log_collection" default:"true" idle:"" doc:"record what went wrong"`
	Kept              Kept `json:"-"`
}

var clientLogConfigKept = quiet(keptText, `filtered_log_processing="LOGS_PROCESSING_SYNC_AND_INDEX_ON_DEMAND"
	non_significant_log_processing="LOGS_PROCESSING_SYNC_AND_INDEX_ON_DEMAND"
	significant_log_processing="LOGS_PROCESSING_SYNC_AND_INDEX_ON_DEMAND"`)

var analyticsProfileKept = slices.Concat(
	quiet(keptNumber, `apdex_response_threshold=500:1..30000 apdex_response_tolerated_factor=4.0 apdex_rtt_threshold=250:1..2000
		apdex_rtt_tolerated_factor=4.0 apdex_rum_threshold=5000:1..30000 apdex_rum_tolerated_factor=4.0
		apdex_server_response_threshold=400:1..30000 apdex_server_response_tolerated_factor=4.0
		apdex_server_rtt_threshold=125:1..2000 apdex_server_rtt_tolerated_factor=4.0 conn_lossy_ooo_threshold=50:1..100
		conn_lossy_timeo_rexmt_threshold=20:1..100 conn_lossy_total_rexmt_threshold=50:1..100
		conn_lossy_zero_win_size_event_threshold=2:0..100 conn_server_lossy_ooo_threshold=50:1..100
		conn_server_lossy_timeo_rexmt_threshold=20:1..100 conn_server_lossy_total_rexmt_threshold=50:1..100
		conn_server_lossy_zero_win_size_event_threshold=2:0..100 hs_event_throttle_window=1209600
		hs_pscore_traffic_threshold_l4_client=10.0 hs_pscore_traffic_threshold_l4_server=10.0
		hs_security_certscore_expired hs_security_certscore_gt30d hs_security_certscore_le07d hs_security_certscore_le30d
		hs_security_chain_invalidity_penalty hs_security_cipherscore_eq000b hs_security_cipherscore_ge128b
		hs_security_cipherscore_lt128b hs_security_encalgo_score_none hs_security_encalgo_score_rc4 hs_security_hsts_penalty
		hs_security_nonpfs_penalty hs_security_ocsp_revoked_score hs_security_selfsignedcert_penalty
		hs_security_ssl30_score hs_security_tls10_score hs_security_tls11_score hs_security_tls12_score
		hs_security_tls13_score hs_security_weak_signature_algo_penalty ondemand_metrics_idle_timeout=1800`),
	quiet(keptBool, `enable_adaptive_config=true enable_se_analytics=true exclude_issuer_revoked_ocsp_responses_as_error enable_advanced_analytics=true enable_ondemand_metrics=true
		exclude_client_close_before_request_as_error exclude_dns_policy_drop_as_significant exclude_gs_down_as_error
		exclude_invalid_dns_domain_as_error exclude_invalid_dns_query_as_error exclude_no_dns_record_as_error
		exclude_no_valid_gs_member_as_error exclude_persistence_change_as_error
		exclude_revoked_ocsp_responses_as_error=true exclude_server_dns_error_as_error exclude_server_tcp_reset_as_error
		exclude_stale_ocsp_responses_as_error=true exclude_syn_retransmit_as_error exclude_tcp_reset_as_error
		exclude_unavailable_ocsp_responses_as_error=true exclude_unsupported_dns_query_as_error`),
	quiet(keptList, `exclude_http_error_codes ranges resp_code_block`),
	quiet(keptObject, `client_log_streaming_config latency_audit_props sensitive_log_profile time_tracker_props`),
)
