// Package rest is the HTTP face of the controller: Avi's REST API. It speaks JSON, keeps no state of its own, and
// answers every refusal with {"error": "..."} that names object and field.
package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/controller"
)

// AviVersion is the release of Avi whose API this is. Clients may ask for any up to it.
const AviVersion = "30.2.1"

// Limits of the API.
const (
	MaxBody         = 16 << 20  // octets of a request
	MaxBulk         = 64 << 20  // likewise of a macro, an import and a preview
	maxDrain        = 256 << 20 // what is read of a body that is too large, and thrown away
	maxExplain      = 256 << 10
	MaxRequests     = 256             // at a time, of who is logged in
	maxRequestsEach = MaxRequests / 2 // likewise of one user: some wait for engines, or read traces, for long
	maxOpen         = 64              // likewise of who is not
	maxOutside      = 1024            // of these, whose bodies are on their way
	maxOutsideEach  = 16              // likewise of one address
	MaxPage         = 200             // objects in a page
	defaultPage     = 25
	headerTime      = 10 * time.Second
	bodyTime        = 60 * time.Second
	openTime        = 10 * time.Second     // for the body of who is not logged in
	writeTime       = 30 * time.Second     // for the answer to be read
	requestTime     = bodyTime + 2*maxWait // for all of a request
	idleTime        = 2 * time.Minute
	shutdownTime    = 5 * time.Second
)

// Config is what a server is started with.
type Config struct {
	Controller *controller.Controller
	// Addr is where to listen: host:port, or https://host:port, with TLS; http://host:port without, on loopback only.
	Addr string
	// Cert and Key are files in PEM. Empty: a certificate is made at the first start, and kept in Dir.
	Cert, Key string
	Dir       string
	Logger    *slog.Logger // nil: nothing is logged
	// Listen opens the listener; nil: as usual.
	Listen func(addr string) (net.Listener, error)
}

// Server is a running API.
type Server struct {
	cfg     Config
	c       *controller.Controller
	log     *slog.Logger
	http    *http.Server
	ln      net.Listener
	shows   *credential // nil: without TLS
	room    chan struct{}
	lobby   chan struct{} // for who is not logged in
	outside *crowd        // bodies of those, on their way, by address
	users   *crowd        // requests of who is logged in, by user
	done    chan struct{}

	started  time.Time
	counts   requestCounts
	document func() []byte // of OpenAPI, made when it is first asked for
}

// Serve opens the API and serves it.
func Serve(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, c: cfg.Controller, log: cfg.Logger, room: make(chan struct{}, MaxRequests), lobby: make(chan struct{}, maxOpen), outside: newCrowd(maxOutside, maxOutsideEach), users: newCrowd(MaxRequests, maxRequestsEach), done: make(chan struct{}), counts: newRequestCounts(), started: time.Now(), document: sync.OnceValue(document)}
	addr, plain, err := where(cfg.Addr)
	if err != nil {
		return nil, err
	}
	var conf *tls.Config
	if !plain {
		if s.shows, err = newCredential(&cfg, time.Now()); err != nil {
			return nil, err
		}
		conf = s.shows.config()
	}
	listen := cfg.Listen
	if listen == nil {
		listen = func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
	}
	if s.ln, err = listen(addr); err != nil {
		return nil, fmt.Errorf("api: %w; give another address with --api", err)
	}
	if !plain {
		go s.shows.follow(s.done)
	}
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: requestTime, IdleTimeout: idleTime, MaxHeaderBytes: 64 << 10,
		TLSConfig: conf, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug)}
	go func() {
		defer close(s.done)
		var err error
		if plain {
			err = s.http.Serve(s.ln)
		} else {
			err = s.http.ServeTLS(s.ln, "", "")
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the API has ended", "error", err)
		}
	}()
	return s, nil
}

// where reads an address of the API.
func where(text string) (addr string, plain bool, err error) {
	addr, plain = strings.CutPrefix(text, "http://")
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "https://"), "/")
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", false, fmt.Errorf("api: %q is no address: expected host:port, such as 127.0.0.1:9443", text)
	}
	if plain && host != "localhost" {
		if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
			return "", false, fmt.Errorf("api: %s: passwords would cross the network in the clear: without TLS only an address of loopback is served, such as http://127.0.0.1:9080", text)
		}
	}
	return addr, plain, nil
}

// URL is where the API is.
func (s *Server) URL() string {
	if s.shows != nil {
		return "https://" + s.ln.Addr().String()
	}
	return "http://" + s.ln.Addr().String()
}

// host is the address that the API listens on, without the port.
func (s *Server) host() string {
	host, _, err := net.SplitHostPort(s.ln.Addr().String())
	if err != nil {
		return s.ln.Addr().String()
	}
	return host
}

// Close ends the API; requests under way have a moment to end.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close() // those that did not end in time
	}
	<-s.done
}
