package agent

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/selfsigned"
)

// Limits of the control listener.
const (
	maxAsking  = 16        // requests at a time
	maxExplain = 256 << 10 // octets of a request to explain
	askTime    = 10 * time.Second
)

// server answers controllers. Who knows the cluster's secret may ask.
type server struct {
	a           *Agent
	ln          net.Listener
	http        *http.Server
	fingerprint string
	bearer      string
	room        chan struct{}
	done        chan struct{}
}

// serve opens the control listener.
func serve(a *Agent, addr, bearer string) (*server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	certPEM, keyPEM, err := selfsigned.Make("carillon engine "+a.cfg.Name, nil, nil)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	s := &server{a: a, fingerprint: selfsigned.Fingerprint(cert.Certificate[0]), bearer: bearer, room: make(chan struct{}, maxAsking), done: make(chan struct{})}
	if s.ln, err = net.Listen("tcp", addr); err != nil {
		return nil, fmt.Errorf("control listener: %w; give another address with --control", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", s.answer(s.report))
	mux.HandleFunc("GET /series", s.answer(s.series))
	mux.HandleFunc("POST /explain", s.answer(s.explain))
	mux.HandleFunc("GET /calls", s.answer(s.calls))
	mux.HandleFunc("GET /trace", s.trace)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: askTime, ReadTimeout: askTime, WriteTimeout: 6 * askTime, IdleTimeout: 2 * time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(s.done)
		if err := s.http.ServeTLS(s.ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the control listener has ended", "error", err)
		}
	}()
	return s, nil
}

func (s *server) addr() string { return s.ln.Addr().String() }

func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // those that did not end in time
	}
	<-s.done
}

const errUnknown = "who asks does not know the secret of this cluster"

// known reports whether who asks knows it.
func (s *server) known(r *http.Request) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.bearer)) == 1
}

// answer lets in who knows the secret, so many at a time, and writes what h returns.
func (s *server) answer(h func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.known(r) {
			write(w, http.StatusUnauthorized, map[string]string{"error": errUnknown})
			return
		}
		select {
		case s.room <- struct{}{}:
			defer func() { <-s.room }()
		default:
			write(w, http.StatusServiceUnavailable, map[string]string{"error": "too many ask at a time"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxExplain)
		body, err := h(r)
		if err != nil {
			write(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		write(w, http.StatusOK, body)
	}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a controller that has gone
}

// report is the whole engine; with brief=true without servers, with pool=NAME with those of that pool only.
func (s *server) report(r *http.Request) (any, error) {
	st := s.a.eng.Look(engine.Ask{NoServers: r.FormValue("brief") == "true", Pool: r.FormValue("pool")})
	out := Convert(&st, s.a.Registration())
	s.a.bases.tell(out, time.Now())
	return out, nil
}

func (s *server) series(r *http.Request) (any, error) {
	q, err := asked(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.a.history.ask(q)
}

func (s *server) explain(r *http.Request) (any, error) {
	var q report.ExplainRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, fmt.Errorf("the question cannot be read: %w", err)
	}
	x, err := s.a.eng.Explain(r.Context(), q)
	if err != nil {
		return nil, err
	}
	x.Engine = s.a.cfg.Name
	return x, nil
}
