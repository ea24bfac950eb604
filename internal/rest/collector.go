package rest

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collectTime bounds what Prometheus waits for.
const collectTime = 2 * time.Second

// requestCounts counts what was asked for, and how it was answered.
type requestCounts struct {
	answered *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newRequestCounts() requestCounts {
	return requestCounts{
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carillon_api_requests_total", Help: "requests to the API"}, []string{"method", "code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "carillon_api_request_seconds", Help: "time to the answer of a request",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}}),
	}
}

// methods that are counted by their names; what else a client makes up is "other".
var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true}

func (r *requestCounts) count(method string, status int, took time.Duration) {
	if !methods[method] {
		method = "other"
	}
	r.answered.WithLabelValues(method, strconv.Itoa(status)).Inc()
	r.seconds.Observe(took.Seconds())
}

// Describe and Collect make the server a prometheus.Collector of what API, controller and store count.
func (s *Server) Describe(chan<- *prometheus.Desc) {}

// Collect asks the store, so it may take a moment.
func (s *Server) Collect(out chan<- prometheus.Metric) {
	s.counts.answered.Collect(out)
	s.counts.seconds.Collect(out)
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	st := s.c.Stats(ctx)
	one := func(kind prometheus.ValueType, name, help string, value float64) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("carillon_"+name, help, nil, nil), kind, value)
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	one(prometheus.GaugeValue, "store_up", "1 if the store answers", truth(st.Store.Healthy))
	one(prometheus.GaugeValue, "store_full", "1 if the store refuses writes for want of room", truth(st.Store.Full))
	one(prometheus.GaugeValue, "store_size_bytes", "size of the store's database", float64(st.Store.SizeBytes))
	one(prometheus.GaugeValue, "store_quota_bytes", "what it may come to; 0 if that is not known", float64(st.Store.Quota))
	one(prometheus.GaugeValue, "config_revision", "revision that this controller has seen", float64(st.Revision))
	one(prometheus.GaugeValue, "config_objects", "objects configured", float64(st.Objects))
	one(prometheus.GaugeValue, "config_unreadable_records", "records of the store that cannot be read", float64(st.Unreadable))
	one(prometheus.CounterValue, "config_changes_total", "changes made by this controller", float64(st.Changes))
	one(prometheus.CounterValue, "config_changes_refused_total", "changes that were refused", float64(st.Refused))
	one(prometheus.CounterValue, "config_conflicts_total", "changes planned anew since another controller was faster", float64(st.Conflicts))
	one(prometheus.GaugeValue, "engines_registered", "engines that are registered", float64(st.Engines))
	one(prometheus.CounterValue, "logins_total", "right passwords", float64(st.Logins))
	one(prometheus.CounterValue, "logins_failed_total", "wrong passwords", float64(st.BadLogins))
	one(prometheus.CounterValue, "logins_locked_total", "logins not looked at after too many wrong passwords", float64(st.LockedLogins))
	one(prometheus.GaugeValue, "sessions_revoked", "stretches of logged out sessions that are remembered", float64(st.Revoked))
	one(prometheus.CounterValue, "sessions_ended_early_total", "sessions ended because too many around them were logged out", float64(st.EndedEarly))
	if c := s.shows; c != nil {
		one(prometheus.GaugeValue, "api_certificate_until_seconds", "when the certificate of the API ends, in seconds since 1970", float64(c.shown.Load().Leaf.NotAfter.Unix()))
	}
	one(prometheus.GaugeValue, "api_requests_in_flight", "requests under way", float64(len(s.room)+len(s.lobby)))
}
