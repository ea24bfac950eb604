package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// How a connection to a cluster is kept. gRPC asks no oftener than every 10 s.
const (
	dialTimeout      = 5 * time.Second
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 5 * time.Second
	redialMax        = 3 * time.Second // between two attempts at a member that is gone
	readAttempts     = 20              // of a read, 25 ms apart, over all members
)

// dial makes the client of a cluster. It waits for it only to show name and password.
func dial(c Config, closing *atomic.Bool) (*clientv3.Client, error) {
	secure, err := checkURLs(c.URLs)
	if err != nil {
		return nil, err
	}
	cfg := clientv3.Config{
		Endpoints:            c.URLs,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		MaxCallSendMsgSize:   maxRequestBytes + 512<<10,
		MaxUnaryRetries:      readAttempts,
		Username:             c.Username,
		Password:             c.Password,
		Logger:               zapTo(c.Logger, closing, nil),
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(atOnce), grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialMax},
			MinConnectTimeout: dialTimeout,
		})},
	}
	if secure {
		if cfg.TLS, err = tlsConfig(c); err != nil {
			return nil, err
		}
	} else if c.CA != "" || c.Cert != "" || c.Key != "" {
		return nil, errors.New("store: certificates were given, but the URLs are not https")
	}
	cl, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", strings.Join(c.URLs, ","), explain(err))
	}
	return cl, nil
}

// atOnce lets a request fail while no member can be reached. etcd's client would
// wait for one, and then nobody could tell whether the request was sent.
func atOnce(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// link is the way to a cluster. With a name and a password there is no client
// before it was there once.
type link struct {
	cl      atomic.Pointer[clientv3.Client]
	why     atomic.Pointer[error] // valid iff cl is nil
	closing atomic.Bool
}

// connect opens the way, and goes on trying if the cluster is not there.
func (s *Store) connect(c Config) error {
	s.link = &link{}
	cl, err := dial(c, &s.link.closing)
	if err == nil {
		s.link.cl.Store(cl)
		return nil
	}
	if !errors.Is(err, ErrUnavailable) {
		return err
	}
	s.log.Warn("store: the cluster cannot be reached yet", "error", err)
	s.link.why.Store(&err)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for s.ctx.Err() == nil {
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(redialMax):
			}
			cl, err := dial(c, &s.link.closing)
			if err == nil {
				s.link.cl.Store(cl)
				return
			}
			s.link.why.Store(&err)
		}
	}()
	return nil
}

func (l *link) client() (*clientv3.Client, error) {
	if cl := l.cl.Load(); cl != nil {
		return cl, nil
	}
	return nil, *l.why.Load()
}

func (l *link) close() error {
	l.closing.Store(true)
	if cl := l.cl.Load(); cl != nil {
		return cl.Close()
	}
	return nil
}

func checkURLs(urls []string) (secure bool, err error) {
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return false, fmt.Errorf("store: URL %d is none", i+1) // it may have a password in it
		}
		switch {
		case u.Scheme == "unix" && u.Path != "":
		case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.User == nil:
		default:
			return false, fmt.Errorf("store: URL %q must look like https://host:2379, http://host:2379 or unix:///path", u.Redacted())
		}
		if s := u.Scheme == "https"; i == 0 {
			secure = s
		} else if s != secure {
			return false, fmt.Errorf("store: URL %q: either all are https or none", text)
		}
	}
	return secure, nil
}

func tlsConfig(c Config) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("store: CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("store: CA: %s has no certificate in PEM", c.CA)
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("store: a certificate and its key go together")
	}
	if c.Cert != "" {
		// Read anew for each connection, so that a renewed certificate is taken.
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("store: certificate: %w", err)
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return t, nil
}
