// Package exporter shows what an engine knows of itself to Prometheus, and
// answers /healthz and /readyz. The message path counts in memory of its own; this
// package adds up when it is asked.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carillon-sip/carillon/internal/engine"
)

// Server is a running HTTP server.
type Server struct {
	Addr net.Addr
	http *http.Server
}

// Serve listens on an address such as 127.0.0.1:9090 and answers /metrics
// (Prometheus text or OpenMetrics), /healthz (the process lives) and /readyz (every
// virtual service takes new calls; else 503 and which does not, and why). eng is nil
// in a process without an engine; more is what else the process counts.
func Serve(addr string, eng *engine.Engine, more ...prometheus.Collector) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w", addr, err)
	}
	return ServeOn(l, eng, more...), nil
}

// ServeOn is Serve on a listener, which it closes in the end.
func ServeOn(l net.Listener, eng *engine.Engine, more ...prometheus.Collector) *Server {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if eng != nil {
		reg.MustRegister(&collector{eng: eng})
	}
	reg.MustRegister(more...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if eng == nil {
			fmt.Fprintln(w, "ok")
			return
		}
		ready(w, eng.Status())
	})
	s := &Server{Addr: l.Addr(), http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}}
	go s.http.Serve(l)
	return s
}

// Close ends the server; requests under way get a second.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Join(s.http.Shutdown(ctx), s.http.Close())
}

func ready(w http.ResponseWriter, st engine.Status) {
	pools := map[string]*engine.PoolStatus{}
	for i := range st.Pools {
		pools[st.Pools[i].Name] = &st.Pools[i]
	}
	var missing []string
	for _, s := range st.Services {
		switch p := pools[s.Pool]; {
		case !s.Traffic:
			missing = append(missing, fmt.Sprintf("VirtualService/%s: traffic_enabled is false", s.Name))
		case p.State == "up" || s.Group != nil && s.Group.Up:
		case p.Reason == "min_servers_up":
			missing = append(missing, fmt.Sprintf("VirtualService/%s: servers of Pool/%s that are up: %d, min_servers_up is %d", s.Name, p.Name, p.Up, p.MinServersUp))
		default:
			missing = append(missing, fmt.Sprintf("VirtualService/%s: no server of Pool/%s is up", s.Name, p.Name))
		}
	}
	if len(st.Services) == 0 {
		missing = append(missing, "no virtual service is enabled")
	}
	if len(missing) == 0 {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, m := range missing {
		fmt.Fprintln(w, m)
	}
}
