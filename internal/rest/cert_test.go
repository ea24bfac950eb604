package rest

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/selfsigned"
)

// credentialAt makes one, and gives what it has logged since it was last asked.
func credentialAt(t *testing.T, cfg Config, now time.Time) (*credential, func() string) {
	t.Helper()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c, err := newCredential(&cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	return c, func() string {
		defer log.Reset()
		return log.String()
	}
}

// pair writes a certificate that is good from a moment on, and its key.
func pair(t *testing.T, from time.Time, name, cert, key string) {
	t.Helper()
	certPEM, keyPEM, err := selfsigned.MakeAt(from, name, []string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{cert: certPEM, key: keyPEM} {
		if file == "" {
			continue
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What was made here is made anew before it ends, also after the clock has jumped, forward or back, and is what stands in its files.
func TestCertificateMadeAnew(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		now := time.Now()
		c, said := credentialAt(t, Config{Dir: dir}, now)
		first := c.fingerprint()
		for _, step := range []struct {
			what  string
			at    time.Duration
			other bool
		}{
			{"at once", 0, false},
			{"long before its end", selfsigned.Life - 31*24*time.Hour, false},
			{"before its end", selfsigned.Life - 29*24*time.Hour, true},
			{"just after", selfsigned.Life - 29*24*time.Hour + certLook, false},
			{"years later", 10 * selfsigned.Life, true},
			{"back", 0, true},
			{"an hour back", -59 * time.Minute, false},
		} {
			before := c.fingerprint()
			said()
			c.look(now.Add(step.at))
			log := said()
			if other := c.fingerprint() != before; other != step.other || other != strings.Contains(log, c.fingerprint()) || strings.Contains(log, "WARN") {
				t.Fatalf("%q, %s: another one %v, want %v; logged: %s", dir, step.what, other, step.other, log)
			}
			if !selfsigned.Good(c.shown.Load().Leaf, now.Add(step.at)) {
				t.Errorf("%q, %s: what is shown is not good", dir, step.what)
			}
		}
		if c.fingerprint() == first {
			t.Error("the first one is shown again")
		}
		if dir == "" {
			continue
		}
		if again, _ := credentialAt(t, Config{Dir: dir}, now); again.fingerprint() != c.fingerprint() {
			t.Error("the next start shows another one")
		}
		if late, _ := credentialAt(t, Config{Dir: dir}, now.Add(selfsigned.Life)); late.fingerprint() == c.fingerprint() {
			t.Error("a start after its end shows it still")
		}
	}
}

// Files that change are taken while the API serves; two that do not belong together, or none, leave the one before. An end that is near is told
// once a day.
func TestCertificateFollowsFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	now := time.Now()
	pair(t, now, "one", cert, key)
	c, said := credentialAt(t, Config{Cert: cert, Key: key, Dir: t.TempDir()}, now)
	name := func() string { return c.shown.Load().Leaf.Subject.CommonName }
	look := func(what, want, log string) {
		t.Helper()
		said()
		c.look(now)
		if text := said(); name() != want || !strings.Contains(text, log) || log == "" && text != "" {
			t.Fatalf("%s: %s is shown, want %s; logged: %s", what, name(), want, text)
		}
	}
	look("nothing changed", "one", "")
	pair(t, now, "another", cert, filepath.Join(dir, "not yet"))
	look("the certificate is there before its key", "one", "cannot be used")
	look("it is told once", "one", "")
	if err := os.Rename(filepath.Join(dir, "not yet"), key); err != nil {
		t.Fatal(err)
	}
	look("the key too", "another", "shows another certificate")
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	look("it is away", "another", "cannot be used")
	pair(t, now.Add(20*24*time.Hour-selfsigned.Life), "ends", cert, key)
	look("one that ends", "ends", "ends soon")
	look("it is told once", "ends", "")
	now = now.Add(25 * time.Hour)
	look("a day later", "ends", "ends soon")
	now = now.Add(selfsigned.Life)
	look("it has ended", "ends", "not good now")
	if name() != "ends" {
		t.Error("a certificate that was given was made anew")
	}
}

// Who connects sees the one that is shown now, and so do readiness and metrics.
func TestCertificateIsServed(t *testing.T) {
	w := newWorld(t)
	peer := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(w.api.URL(), "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return selfsigned.Fingerprint(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	before := peer()
	if until := w.api.shows.shown.Load().Leaf.NotAfter.UTC().Format(time.RFC3339); w.send("GET", "/api/carillon/readiness", nil).text("certificate_until") != until {
		t.Error("readiness does not tell", until)
	}
	if err := w.api.shows.make(time.Now()); err != nil {
		t.Fatal(err)
	}
	if after := peer(); after == before || after != w.api.Fingerprint() {
		t.Errorf("%s is shown, was %s, want %s", after, before, w.api.Fingerprint())
	}
}
