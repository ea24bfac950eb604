package controller

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
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// Limits of asking engines.
const (
	askTimeout = 5 * time.Second
	askMax     = 256 << 20 // octets of an answer: 20,000 servers at length are some 40 MB
	reportLife = time.Second
)

// asker asks engines about themselves. Each is known by the fingerprint of its certificate, which it has put into the
// store itself, and knows us by the cluster's secret.
type asker struct {
	token string

	mu      sync.Mutex
	clients map[string]*http.Client // by fingerprint
	reports map[string]cached       // by engine
}

type cached struct {
	at  time.Time
	eng *report.Engine
}

// maxClients bounds the connections to engines that have gone.
const maxClients = 256

func newAsker(secret []byte) *asker {
	return &asker{token: report.Bearer(secret), clients: map[string]*http.Client{}, reports: map[string]cached{}}
}

func (a *asker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.clients {
		h.CloseIdleConnections()
	}
}

func (a *asker) client(fingerprint string) *http.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.clients[fingerprint]; h != nil {
		return h
	}
	if len(a.clients) >= maxClients {
		for _, h := range a.clients {
			h.CloseIdleConnections()
		}
		clear(a.clients)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, // no name and no authority: the very certificate is known
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) > 0 {
				if sum := sha256.Sum256(raw[0]); hex.EncodeToString(sum[:]) == fingerprint {
					return nil
				}
			}
			return errors.New("the certificate is not the one that the engine has registered")
		}}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}, Timeout: askTimeout}
	a.clients[fingerprint] = h
	return h
}

// ask sends a request to an engine and reads its answer as JSON.
func (a *asker) ask(ctx context.Context, e *report.Registration, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+e.Control+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := a.client(e.Fingerprint).Do(req)
	if err != nil {
		return fmt.Errorf("engine %s does not answer: %w", e.Name, err)
	}
	defer resp.Body.Close()
	content = io.LimitReader(resp.Body, askMax)
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error string }
		if json.NewDecoder(content).Decode(&said) != nil || said.Error == "" {
			said.Error = resp.Status
		}
		return fmt.Errorf("engine %s: %s", e.Name, said.Error)
	}
	if err := json.NewDecoder(content).Decode(into); err != nil {
		return fmt.Errorf("engine %s: %w", e.Name, err)
	}
	return nil
}

// report asks an engine how it is, or returns what it said a moment ago.
func (a *asker) report(ctx context.Context, e *report.Registration) (*report.Engine, error) {
	a.mu.Lock()
	known, ok := a.reports[e.Name]
	a.mu.Unlock()
	if ok && time.Since(known.at) < reportLife && known.eng.Applied >= e.Applied { // what runs now is newer than what it told
		return known.eng, nil
	}
	out := &report.Engine{}
	if err := a.ask(ctx, e, http.MethodGet, "/report", nil, out); err != nil {
		return nil, err
	}
	a.mu.Lock()
	if len(a.reports) >= maxClients {
		clear(a.reports)
	}
	a.reports[e.Name] = cached{time.Now(), out}
	a.mu.Unlock()
	return out, nil
}

// Reports asks every engine how it is. Of one that does not answer there is an error instead.
func (c *Controller) Reports(ctx context.Context) (reports []*report.Engine, errs []error) {
	engines := c.Engines()
	got := make([]*report.Engine, len(engines))
	fails := make([]error, len(engines))
	var wg sync.WaitGroup
	for i := range engines {
		wg.Go(func() { got[i], fails[i] = c.asker.report(ctx, &engines[i]) })
	}
	wg.Wait()
	for i := range engines {
		if fails[i] != nil {
			errs = append(errs, fails[i])
		} else {
			reports = append(reports, got[i])
		}
	}
	return reports, errs
}

// Series asks every engine for the history of something. The query is the engine's.
func (c *Controller) Series(ctx context.Context, query url.Values) ([]report.Series, error) {
	engines := c.Engines()
	got := make([][]report.Series, len(engines))
	fails := make([]error, len(engines))
	var wg sync.WaitGroup
	for i := range engines {
		wg.Go(func() {
			fails[i] = c.asker.ask(ctx, &engines[i], http.MethodGet, "/series?"+query.Encode(), nil, &got[i])
		})
	}
	wg.Wait()
	return report.MergeSeries(got), errors.Join(fails...)
}

// Explain asks an engine which way a message would go. Without a name it is the first that answers.
func (c *Controller) Explain(ctx context.Context, engine string, what report.ExplainRequest) (*report.Explanation, error) {
	var errs []error
	for _, e := range c.Engines() {
		if engine != "" && e.Name != engine {
			continue
		}
		out := &report.Explanation{}
		err := c.asker.ask(ctx, &e, http.MethodPost, "/explain", what, out)
		if err == nil {
			return out, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fault(Unavailable, "there is no engine to ask%s", map[bool]string{true: " named " + engine}[engine != ""])
	}
	return nil, &Error{Code: Invalid, Msg: errors.Join(errs...).Error()}
}
