// Package client calls the REST API. It knows how to log in, what an error looks like and how a list goes on, and
// nothing of what the objects mean.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Limits.
const (
	maxAnswer = 512 << 20
	timeout   = 90 * time.Second // a write may wait for the engines
	pageSize  = 200
)

// Config says where the API is, and who calls.
type Config struct {
	Server   string // https://host:port; without a scheme it is https
	User     string
	Password string
	Tenant   string // empty: the user's own
	// How the server's certificate is trusted: by an authority in a file, by its fingerprint (SHA-256 in hex), or not at
	// all. None of them: by the system's authorities.
	CAFile      string
	Fingerprint string
	Insecure    bool
	// Trace is told of every request and its answer; status is 0 when there was none. Nil: nobody is.
	Trace func(method, url string, body []byte, status int, answer []byte)
}

// Client calls one API. Any number of goroutines may use it.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// Error is a refusal of the API.
type Error struct {
	Status int
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

// UnreachableError says that no answer came. Whether a change has happened is not known.
type UnreachableError struct {
	Server string
	Cause  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be reached: %v", e.Server, e.Cause)
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// UntrustedError says that nothing vouches for the server's certificate.
type UntrustedError struct {
	Server      string
	Fingerprint string
	Cause       error
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("the certificate of %s is not trusted: %v; its fingerprint is %s", e.Server, e.Cause, e.Fingerprint)
}

func (e *UntrustedError) Unwrap() error { return e.Cause }

// New makes a client. Nothing is sent yet.
func New(cfg Config) (*Client, error) {
	if !strings.Contains(cfg.Server, "://") {
		cfg.Server = "https://" + cfg.Server
	}
	base, err := url.Parse(cfg.Server)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("server %q: expected https://host:port", cfg.Server)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("authority: %w", err)
		}
		if conf.RootCAs = x509.NewCertPool(); !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authority: %s holds no certificate in PEM", cfg.CAFile)
		}
	}
	if cfg.Insecure || cfg.Fingerprint != "" {
		conf.InsecureSkipVerify = true // the fingerprint says more than a name; --insecure is the user's word
		conf.VerifyPeerCertificate = pinned(cfg)
	}
	t := &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	return &Client{cfg: cfg, base: base, http: &http.Client{Transport: t, Timeout: timeout}}, nil
}

// pinned checks a certificate against the fingerprint.
func pinned(cfg Config) func([][]byte, [][]*x509.Certificate) error {
	want := strings.ToLower(strings.ReplaceAll(cfg.Fingerprint, ":", ""))
	return func(raw [][]byte, _ [][]*x509.Certificate) error {
		if want == "" || len(raw) == 0 {
			return nil
		}
		if sum := sha256.Sum256(raw[0]); hex.EncodeToString(sum[:]) != want {
			return &UntrustedError{cfg.Server, hex.EncodeToString(sum[:]), errors.New("it is another one than was trusted")}
		}
		return nil
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends a request and returns the body of the answer. path begins with /api/ and may hold a query. A body that is no
// []byte is sent as JSON; nil is none.
func (c *Client) Do(ctx context.Context, method, path string, body any) ([]byte, error) {
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.trace(req, 0, nil)
		return nil, c.explain(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &UnreachableError{c.base.Host, fmt.Errorf("the answer broke off: %w", err)}
	}
	c.trace(req, resp.StatusCode, data)
	if resp.StatusCode >= 300 {
		return nil, refusal(resp, data)
	}
	return data, nil
}

func (c *Client) trace(req *http.Request, status int, answer []byte) {
	if c.cfg.Trace == nil {
		return
	}
	var sent []byte
	if req.GetBody != nil {
		if b, err := req.GetBody(); err == nil {
			sent, _ = io.ReadAll(b) // from memory
		}
	}
	c.cfg.Trace(req.Method, req.URL.String(), sent, status, answer)
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base.String(), "/")+path, content)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.cfg.User, c.cfg.Password)
	req.Header.Set("Content-Type", "application/json")
	if c.cfg.Tenant != "" {
		req.Header.Set("X-Avi-Tenant", c.cfg.Tenant)
	}
	return req, nil
}

func refusal(resp *http.Response, data []byte) error {
	var said struct{ Error string }
	if resp.StatusCode == http.StatusBadRequest && bytes.Contains(data, []byte("HTTP request to an HTTPS server")) { // package http says so
		return &Error{resp.StatusCode, "the server speaks TLS: give it as https://"}
	}
	if json.Unmarshal(data, &said) != nil || said.Error == "" {
		said.Error = "the server answered " + resp.Status
	}
	return &Error{resp.StatusCode, said.Error}
}

// explain turns errors of the network into words that help.
func (c *Client) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0:
		return c.untrusted(verify.UnverifiedCertificates[0], verify.Err)
	case errors.As(err, &unknown) && unknown.Cert != nil:
		return c.untrusted(unknown.Cert, err)
	case errors.As(err, &host):
		return c.untrusted(host.Certificate, err)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var untrusted *UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted
	}
	var plain tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &plain) {
		err = errors.New("what listens there speaks no TLS; the API of a controller without, --api http://..., is given as http://")
	}
	return &UnreachableError{c.base.Host, err}
}

func (c *Client) untrusted(cert *x509.Certificate, cause error) error {
	sum := sha256.Sum256(cert.Raw)
	return &UntrustedError{c.base.Host, hex.EncodeToString(sum[:]), cause}
}

// List returns all objects of a kind, page by page. query is added to each request.
func (c *Client) List(ctx context.Context, kind string, query url.Values) ([]json.RawMessage, error) {
	var out []json.RawMessage
	v := url.Values{}
	for name, values := range query {
		v[name] = values
	}
	v.Set("page_size", fmt.Sprint(pageSize))
	for page := 1; ; page++ {
		v.Set("page", fmt.Sprint(page))
		data, err := c.Do(ctx, http.MethodGet, "/api/"+kind+"?"+v.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var got struct {
			Results []json.RawMessage
			Next    string
		}
		if err := json.Unmarshal(data, &got); err != nil {
			return nil, fmt.Errorf("list of %s: %w", kind, err)
		}
		out = append(out, got.Results...)
		if got.Next == "" {
			return out, nil
		}
	}
}

// Fingerprint asks a server for its certificate, trusting it or not, and returns its SHA-256 in hex.
func Fingerprint(ctx context.Context, server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" {
		return "", fmt.Errorf("server %q: expected https://host:port; without TLS there is no certificate", server)
	}
	host := u.Host
	if u.Port() == "" {
		host += ":443"
	}
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}} // it is only looked at
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		return "", &UnreachableError{u.Host, err}
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
	return hex.EncodeToString(sum[:]), nil
}
