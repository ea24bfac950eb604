// Package report is what engines tell of themselves, as one JSON document each, and how the documents of several
// engines become one. Words of state are Avi's. It holds plain values, and knows neither engines nor controllers.
package report

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"time"
)

// RegistrationPrefix is where the store keeps registrations, each behind the name of its engine.
const RegistrationPrefix = "engine/"

// Registration is what an engine keeps in the store for as long as it lives.
type Registration struct {
	Name        string            `json:"name"`
	UUID        string            `json:"uuid"`
	Control     string            `json:"control"`     // address of the control listener
	Fingerprint string            `json:"fingerprint"` // SHA-256 of its certificate, in hex
	Version     string            `json:"version"`     // of carillon
	Host        string            `json:"host"`
	PID         int               `json:"pid"`
	Started     time.Time         `json:"started"`
	Applied     int64             `json:"applied"`          // revision that runs
	Wanted      int64             `json:"wanted"`           // revision that is to run: more than Applied while a change is under way
	Errors      map[string]string `json:"errors,omitempty"` // by object, as VirtualService/edge: what of it cannot run, and why
}

// Bearer is what a controller shows to an engine: proof that it knows the cluster's secret.
func Bearer(secret []byte) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("carillon engine control"))
	return hex.EncodeToString(m.Sum(nil))
}

// Operational states (Avi).
const (
	Up           = "OPER_UP"
	Down         = "OPER_DOWN"
	Disabled     = "OPER_DISABLED"
	Unused       = "OPER_UNUSED"
	Initializing = "OPER_INITIALIZING"
	Unavailable  = "OPER_UNAVAIL" // no engine tells of it
)

// Oper is an operational state, with its reasons in words.
type Oper struct {
	State   string     `json:"state"`
	Reason  []string   `json:"reason,omitempty"`
	Code    string     `json:"reason_code_string,omitempty"`
	Changed *Timestamp `json:"last_changed_time,omitempty"`
}

// Timestamp is a time as Avi writes it.
type Timestamp struct {
	Secs  int64 `json:"secs"`
	USecs int64 `json:"usecs"`
}

// At is a time as Avi writes it; nil for none.
func At(t time.Time) *Timestamp {
	if t.IsZero() {
		return nil
	}
	return &Timestamp{t.Unix(), int64(t.Nanosecond() / 1000)}
}

// Engine is one engine, or the sum of several.
type Engine struct {
	Registration
	At           time.Time `json:"at"`
	Engines      []string  `json:"engines"` // whose sum this is
	Transactions int       `json:"transactions"`
	Calls        int       `json:"calls"`
	Services     []Service `json:"services"`
	Pools        []Pool    `json:"pools"`
}

// Counts counts things by name or number.
type Counts[K comparable] map[K]uint64

// Total is the sum of all.
func (c Counts[K]) Total() uint64 {
	var n uint64
	for _, v := range c {
		n += v
	}
	return n
}

// Service is one virtual service. Counters count since the engine started.
type Service struct {
	Name             string         `json:"name"`
	Oper             Oper           `json:"oper_status"`
	Pool             string         `json:"pool"`
	Group            *Group         `json:"pool_group,omitempty"` // of its pools; Pool is the one that gets most new calls
	Listeners        []Listener     `json:"listeners"`
	Transactions     int            `json:"transactions"` // open
	Calls            int            `json:"calls"`        // Call-IDs known
	TransactionsFull uint64         `json:"transactions_full"`
	CallsFull        uint64         `json:"calls_full"`
	Requests         Counts[string] `json:"requests,omitempty"`  // forwarded, by method
	Responses        Counts[int]    `json:"responses,omitempty"` // forwarded, by code; 1 to 6: others of the class
	Answers          Counts[int]    `json:"answers,omitempty"`   // of the balancer's own, by code
	Reasons          Counts[string] `json:"reasons,omitempty"`   // every message, by what became of it
	Faults           Counts[string] `json:"faults,omitempty"`    // malformed messages
	Latency          Latency        `json:"latency"`             // from a request to its final response
	Recent           *Recent        `json:"recent,omitempty"`    // what of it is of the last minutes
	Engines          []string       `json:"engines"`             // that run it
}

// Group is the pools of a virtual service with a pool group.
type Group struct {
	Name        string   `json:"name"`
	Priority    string   `json:"priority_label"`        // of the pools that take new calls; of several engines: of the first
	Deactivated bool     `json:"deactivated,omitempty"` // a higher priority is held back by deactivate_primary_pool_on_down
	Members     []Member `json:"members"`
}

// Member is one pool of a group.
type Member struct {
	Pool     string  `json:"pool"`
	Priority string  `json:"priority_label"`
	Ratio    int     `json:"ratio"`
	Share    float64 `json:"share"` // of new calls
}

// Listener is one listening address.
type Listener struct {
	Engine    string         `json:"engine"`
	Addr      netip.AddrPort `json:"address"`
	Transport string         `json:"transport"` // udp, tcp or tls
	Workers   int            `json:"workers"`
	RxPackets uint64         `json:"rx_packets"`
	TxPackets uint64         `json:"tx_packets"`
	RxBytes   uint64         `json:"rx_bytes"`
	TxBytes   uint64         `json:"tx_bytes"`
	RxDropped uint64         `json:"rx_dropped"` // by the kernel, for a full receive buffer
	Conns     *Conns         `json:"connections,omitempty"`
}

// Conns is the connections of a listener of TCP or TLS; packets are then messages.
type Conns struct {
	Open       int64             `json:"open"`
	Accepted   uint64            `json:"accepted"`
	Opened     uint64            `json:"opened"`     // by the engine, to servers mostly
	Handshakes uint64            `json:"handshakes"` // of TLS
	Resumed    uint64            `json:"resumed"`    // of these, sessions that were taken up again
	Closed     map[string]uint64 `json:"closed"`     // by reason, those that were refused too
}

// Latency sums up response times.
type Latency struct {
	Count uint64 `json:"count"`
	SumUS uint64 `json:"sum_us"`
	P50US uint64 `json:"p50_us"` // of several engines: the largest
	P99US uint64 `json:"p99_us"` // likewise
}

// MeanUS is the mean; 0 without any.
func (l *Latency) MeanUS() float64 {
	if l.Count == 0 {
		return 0
	}
	return float64(l.SumUS) / float64(l.Count)
}

// Pool is one pool.
type Pool struct {
	Name           string   `json:"name"`
	Oper           Oper     `json:"oper_status"`
	Algorithm      string   `json:"lb_algorithm"`
	Total          int      `json:"num_servers"`
	Up             int      `json:"num_servers_up"`
	Enabled        int      `json:"num_servers_enabled"`
	MinServersUp   int      `json:"min_servers_up"`
	RetriesRefused uint64   `json:"retries_refused"`
	Full           uint64   `json:"full"` // requests that no server got since all had as many open as they may
	Recent         *Recent  `json:"recent,omitempty"`
	Servers        []Server `json:"servers"`
}

// Server is one server of a pool.
type Server struct {
	Name             string         `json:"name"`
	Addr             netip.AddrPort `json:"address"`
	Oper             Oper           `json:"oper_status"`
	State            string         `json:"state"` // ours: up, down, draining, disabled, backoff
	Ratio            int            `json:"ratio"`
	CallsUp          int64          `json:"calls_up"`             // calls that are up on it, as far as they are seen (Record-Route)
	RampPercent      int            `json:"ramp_percent"`         // of its share that it gets (slow start); 100 mostly; of several engines: the least
	HashShare        float64        `json:"hash_share"`           // of the keys, 0 to 1
	DrainUntil       time.Time      `json:"drain_until,omitzero"` // when it is disabled for good; of several engines the last
	Requests         Counts[string] `json:"requests,omitempty"`
	Responses        Counts[int]    `json:"responses,omitempty"`
	Failovers        uint64         `json:"failovers"`
	OpenTransactions int64          `json:"open_transactions"`
	Calls            int64          `json:"calls"`
	Latency          Latency        `json:"latency"`
	Recent           *Recent        `json:"recent,omitempty"`
	Monitors         []Monitor      `json:"monitors,omitempty"`
}

// Monitor is what one monitor of one engine knows of a server. Names of members are those of Avi's hmonstat.
type Monitor struct {
	Engine           string      `json:"se_name"`
	Name             string      `json:"health_monitor_name"`
	Type             string      `json:"health_monitor_type"`
	Port             uint16      `json:"port"`
	State            string      `json:"oper_state"`
	Code             string      `json:"failure_code"`
	Detail           string      `json:"detail,omitempty"`
	Changed          *Timestamp  `json:"last_transition_timestamp_1,omitempty"`
	Changed2         *Timestamp  `json:"last_transition_timestamp_2,omitempty"`
	Changed3         *Timestamp  `json:"last_transition_timestamp_3,omitempty"`
	Rise             int         `json:"rise_count"`
	Fall             int         `json:"fall_count"`
	Checks           uint64      `json:"total_checks"`
	FailedChecks     uint64      `json:"total_failed_checks"`
	CurrFailedChecks int         `json:"curr_failed_checks"`
	Counts           []CodeCount `json:"total_count,omitempty"`
	AvgMS            float64     `json:"avg_response_time"`
	MinMS            float64     `json:"min_response_time"`
	MaxMS            float64     `json:"max_response_time"`
	RecentMS         float64     `json:"recent_response_time"`
}

// CodeCount counts failed checks of one kind.
type CodeCount struct {
	Type  string `json:"type"`
	Count uint64 `json:"count"`
}

// Series is the history of one figure.
type Series struct {
	ID     string  `json:"id"`               // such as l4_client.avg_rx_pkts
	Entity string  `json:"entity"`           // name of the virtual service or pool
	Server string  `json:"server,omitempty"` // address; empty: of the entity itself
	StepS  int     `json:"step_s"`
	Points []Point `json:"points"` // the oldest first
}

// Point is one value of a Series.
type Point struct {
	At    int64   `json:"t"` // s since 1970, end of the step
	Value float64 `json:"v"`
}
