package client

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A stream that ends with its server says so in words.
func TestStreamEnds(t *testing.T) {
	began, done := make(chan struct{}), make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	srv.EnableHTTP2, srv.Config.ErrorLog = true, log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c, err := New(Config{Server: srv.URL, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	go func() {
		defer close(done)
		<-began
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_ = srv.Config.Shutdown(ctx) // it says GOAWAY, and waits
		_ = srv.Config.Close()
	}()
	err = c.Stream(t.Context(), "/api/trace", func([]byte) error { close(began); return nil })
	if err == nil || !strings.HasSuffix(err.Error(), "it has ended, and what was asked for with it") {
		t.Error(err)
	}
	<-done
}

// Who gives http:// for https://, or the other way round, is told which it is.
func TestSchemes(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	secure, plain := httptest.NewUnstartedServer(answer), httptest.NewServer(answer)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the client that speaks no TLS
	secure.StartTLS()
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	for _, c := range []struct{ server, want string }{
		{strings.Replace(secure.URL, "https:", "http:", 1), "the server speaks TLS: give it as https://"},
		{strings.Replace(plain.URL, "http:", "https:", 1), "speaks no TLS; the API of a controller without, --api http://..., is given as http://"},
	} {
		cl, err := New(Config{Server: c.server, Insecure: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cl.Do(t.Context(), http.MethodGet, "/api/pool", nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.server, err, c.want)
		}
		cl.Close()
	}
}
