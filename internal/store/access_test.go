package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestAccess: what a cluster thinks of a name, a password and a key.
func TestAccess(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, false)
	cfg := c.withPassword("carillon", "s3cret")

	wrong := cfg
	wrong.Password = "guess"
	if _, err := Open(t.Context(), wrong); !errors.Is(err, ErrDenied) {
		t.Errorf("a wrong password: %v", err)
	}
	beside := cfg
	beside.Prefix = "/somebody/"
	s := open(t, beside)
	if _, _, err := s.Commit(t.Context(), Txn{Put: []KV{{Key: "a"}}}); !errors.Is(err, ErrDenied) {
		t.Errorf("another's key: %v", err)
	}
	if _, _, err := s.List(t.Context(), ""); !errors.Is(err, ErrDenied) {
		t.Errorf("another's keys: %v", err)
	}
	if b := next(t, s.Follow(t.Context(), "")); !errors.Is(b.Err, ErrDenied) {
		t.Errorf("another's changes: %+v", b)
	}
	if err := open(t, cfg).Snapshot(t.Context(), &bytes.Buffer{}); !errors.Is(err, ErrDenied) {
		t.Errorf("a backup without root: %v", err)
	}

	// The cluster is there later than we are.
	c.kill(c.members[0])
	late := open(t, cfg)
	if _, _, _, err := late.Get(t.Context(), "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("not there yet: %v", err)
	}
	f := late.Follow(t.Context(), "")
	if b := next(t, f); !errors.Is(b.Err, ErrUnavailable) {
		t.Errorf("not there yet: %+v", b)
	}
	c.start(c.members[0])
	if b := next(t, f); !b.Reset {
		t.Errorf("%+v", b)
	}
}

// TestConfig: what is wrong by itself is said at once.
func TestConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		config Config
		want   string
	}{
		"no place":     {Config{}, "no data directory was given"},
		"no scheme":    {Config{URLs: []string{"etcd-1:2379"}}, `URL "etcd-1:2379" must look like https://host:2379`},
		"a path":       {Config{URLs: []string{"https://etcd-1:2379/x"}}, "must look like"},
		"a password":   {Config{URLs: []string{"https://me:secret@etcd-1:2379"}}, "must look like"},
		"no URL":       {Config{URLs: []string{"https://me:secret@etcd-1:x"}}, "URL 1 is none"},
		"mixed":        {Config{URLs: []string{"https://a:1", "http://b:1"}}, "either all are https or none"},
		"certificates": {Config{URLs: []string{"http://a:1"}, CA: "x"}, "the URLs are not https"},
		"no CA":        {Config{URLs: []string{"https://a:1"}, CA: file + "x"}, "CA: open"},
		"bad CA":       {Config{URLs: []string{"https://a:1"}, CA: file}, "has no certificate in PEM"},
		"half":         {Config{URLs: []string{"https://a:1"}, Cert: file}, "a certificate and its key go together"},
		"bad key":      {Config{URLs: []string{"https://a:1"}, Cert: file, Key: file}, "certificate: tls:"},
		"prefix":       {Config{Dir: file, Prefix: "/x"}, "must end with a slash"},
	} {
		s, err := Open(t.Context(), tt.config)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestLog: etcd's warnings come once, as ours, and end with the server.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	var closing atomic.Bool
	lg := zapTo(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime})), &closing, nil)
	lg.Info("hello")
	lg.Warn("exceeded recommended request limit", zap.Int("n", 1))
	lg = lg.With(zap.String("member", "m1"))
	for range 3 {
		lg.Warn("slow disk", zap.Duration("took", time.Second))
	}
	lg.Error("no disk", zap.Error(context.Canceled))
	closing.Store(true)
	lg.Error("stopped")
	want := `level=WARN msg="store: etcd: slow disk" member=m1 took=1s
level=ERROR msg="store: etcd: no disk" member=m1 error="context canceled"
`
	if out.String() != want {
		t.Errorf("got %s\nwant %s", &out, want)
	}
}
