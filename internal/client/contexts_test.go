package client

import (
	"os"
	"path/filepath"
	"testing"
)

// alone makes a machine on which nothing is set.
func alone(t *testing.T) {
	t.Helper()
	for _, name := range []string{"SERVER", "USER", "PASSWORD", "TENANT", "CONTEXT", "CA", "FINGERPRINT", "INSECURE"} {
		t.Setenv("CARILLON_"+name, "")
	}
	dir := t.TempDir()
	t.Setenv("CARILLON_CONFIG", filepath.Join(dir, "config.yaml"))
	t.Setenv("CARILLON_DATA", filepath.Join(dir, "data"))
}

func resolve(t *testing.T, o Options) Config {
	t.Helper()
	c, err := Resolve(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestResolve(t *testing.T) {
	alone(t)
	if c := resolve(t, Options{}); c.Server != DefaultServer || c.User != "admin" || c.Password != "" || c.CAFile != "" || c.Insecure {
		t.Errorf("with nothing: %+v", c)
	}
	cs, err := LoadContexts()
	if err != nil {
		t.Fatal(err)
	}
	cs.Contexts["prod"] = &Context{Server: "https://lb:9443", User: "ops", Password: "secret", Tenant: "voice", Fingerprint: "ab"}
	cs.Current = "prod"
	if err := cs.Save(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cs.File()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if c := resolve(t, Options{}); c.Server != "https://lb:9443" || c.User != "ops" || c.Password != "secret" || c.Tenant != "voice" || c.Fingerprint != "ab" {
		t.Errorf("by the context: %+v", c)
	}
	// the password of a context is for its server and its user
	if c := resolve(t, Options{Server: "other:9443"}); c.Server != "https://other:9443" || c.Password != "" || c.Fingerprint != "" || c.User != "admin" {
		t.Errorf("another server: %+v", c)
	}
	if c := resolve(t, Options{User: "eve"}); c.Password != "" {
		t.Errorf("another user: %+v", c)
	}
	t.Setenv("CARILLON_TENANT", "data")
	t.Setenv("CARILLON_PASSWORD", "newer")
	if c := resolve(t, Options{}); c.Tenant != "data" || c.Password != "newer" {
		t.Errorf("by variables: %+v", c)
	}
	if c := resolve(t, Options{Tenant: "flag", Insecure: true}); c.Tenant != "flag" || !c.Insecure || c.Fingerprint != "" {
		t.Errorf("by flags: %+v", c)
	}
	if _, err := Resolve(Options{Context: "nope"}); err == nil {
		t.Error("a context that is not there is taken")
	}
}

// The certificate of this machine's own API is trusted on loopback, and nowhere else.
func TestLocalCert(t *testing.T) {
	alone(t)
	if err := os.MkdirAll(StateDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(StateDir(), "api-cert.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for server, want := range map[string]string{"https://127.0.0.1:9443": file, "localhost:9443": file, "https://[::1]:9443": file,
		"https://192.0.2.1:9443": "", "https://127.0.0.1.example.net:9443": ""} {
		if c := resolve(t, Options{Server: server}); c.CAFile != want {
			t.Errorf("%s: %q, want %q", server, c.CAFile, want)
		}
	}
}

// A broken file of contexts is told of, not replaced.
func TestContextsBroken(t *testing.T) {
	alone(t)
	file, err := ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("current: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadContexts(); err == nil {
		t.Error("it is taken")
	}
}
