package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/rest"
	"github.com/carillon-sip/carillon/internal/store"
)

// storeFlags say where the objects are kept.
type storeFlags struct {
	where        string
	data         string
	ca           string
	cert         string
	key          string
	user         string
	passwordFile string
	maxOps       int
}

// Words of --store beside URLs.
const (
	storeEmbedded = "embedded"
	storeNone     = "none"
)

func (f *storeFlags) add(fl *pflag.FlagSet, words string) {
	fl.StringVar(&f.where, "store", storeEmbedded, words)
	fl.StringVar(&f.data, "data", "", "directory of what is kept: the embedded store, the certificate of the API, the last configuration (default "+stateDir()+")")
	fl.StringVar(&f.ca, "store-ca", "", "file with the authority of the certificates of the etcd cluster")
	fl.StringVar(&f.cert, "store-cert", "", "file with the certificate to show to the etcd cluster")
	fl.StringVar(&f.key, "store-key", "", "file with its key")
	fl.StringVar(&f.user, "store-user", "", "user of the etcd cluster")
	fl.StringVar(&f.passwordFile, "store-password-file", "", "file with the user's password")
	fl.IntVar(&f.maxOps, "store-max-ops", 0, "operations that the etcd cluster takes in a transaction, its --max-txn-ops (0: 128, etcd's own default)")
}

// dir is the directory of what is kept.
func (f *storeFlags) dir() string {
	if f.data != "" {
		return f.data
	}
	return stateDir()
}

// open opens the store.
func (f *storeFlags) open(ctx context.Context, log *slog.Logger) (*store.Store, error) {
	cfg := store.Config{CA: f.ca, Cert: f.cert, Key: f.key, Username: f.user, Version: version, Logger: log, MaxOps: f.maxOps}
	if f.passwordFile != "" {
		password, err := readPassword(f.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("--store-password-file: %w", err)
		}
		cfg.Password = password
	}
	if err := os.MkdirAll(f.dir(), 0o700); err != nil {
		return nil, fmt.Errorf("%w; give a directory of your own with --data", err)
	}
	if f.where == storeEmbedded {
		cfg.Dir = filepath.Join(f.dir(), "store")
	} else {
		cfg.URLs = strings.Split(f.where, ",")
	}
	return store.Open(ctx, cfg)
}

// readPassword reads the first line of a file.
func readPassword(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimRight(line, "\r")
	if line == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return line, nil
}

// apiFlags say where the API is served, and who may log in first.
type apiFlags struct {
	addr         string
	cert         string
	key          string
	passwordFile string
}

func (f *apiFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.addr, "api", "127.0.0.1:9443", "address of the REST API, with TLS; http://127.0.0.1:9080 is one without, on loopback only; empty: none")
	fl.StringVar(&f.cert, "api-cert", "", "file with the certificate of the API (default: one is made at the first start)")
	fl.StringVar(&f.key, "api-key", "", "file with its key")
	fl.StringVar(&f.passwordFile, "admin-password-file", "", "file with the password of the user admin; CARILLON_ADMIN_PASSWORD does the same (default: one is made at the first start, and printed)")
}

// adminPassword is the password that was given for the user admin; empty: none was.
func (f *apiFlags) adminPassword() (string, error) {
	if f.passwordFile == "" {
		return os.Getenv("CARILLON_ADMIN_PASSWORD"), nil
	}
	password, err := readPassword(f.passwordFile)
	if err != nil {
		return "", fmt.Errorf("--admin-password-file: %w", err)
	}
	return password, nil
}

// controlPlane is a controller and its API.
type controlPlane struct {
	*controller.Controller
	api *rest.Server // nil: none
}

// startController starts a controller on a store, and the API.
func startController(ctx context.Context, st *store.Store, sf *storeFlags, af *apiFlags, secret []byte, log *slog.Logger, listen func(string) (net.Listener, error)) (*controlPlane, error) {
	password, err := af.adminPassword()
	if err != nil {
		return nil, err
	}
	c, err := controller.Start(ctx, controller.Config{Store: st, Logger: log, Secret: secret, AdminPassword: password, Version: version})
	if err != nil {
		return nil, err
	}
	if first := c.FirstPassword(); first != "" { // before anything else can fail: it is nowhere else
		fmt.Fprintf(os.Stderr, "\nThe first user is admin, with the password %s\nIt is shown this once: change it, or set CARILLON_ADMIN_PASSWORD.\n\n", first)
	}
	cp := &controlPlane{Controller: c}
	if af.addr == "" {
		return cp, nil
	}
	cp.api, err = rest.Serve(rest.Config{Controller: c, Addr: af.addr, Cert: af.cert, Key: af.key, Dir: sf.dir(), Logger: log, Listen: listen})
	if err != nil {
		c.Stop()
		return nil, err
	}
	log.Info("API", "url", cp.api.URL(), "fingerprint", cp.api.Fingerprint())
	return cp, nil
}

// collectors are what the API counts, for Prometheus.
func (cp *controlPlane) collectors() []prometheus.Collector {
	if cp.api == nil {
		return nil
	}
	return []prometheus.Collector{cp.api}
}

func (cp *controlPlane) stop() {
	if cp.api != nil {
		cp.api.Close()
	}
	cp.Stop()
}

// firstSecret is what the cluster's secret begins as: that of a file, if it is there.
func firstSecret(file string) ([]byte, error) {
	named := file != ""
	if !named {
		file = filepath.Join(stateDir(), "secret")
	}
	secret, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("secret: %w", err)
	case len(secret) < minSecret:
		return nil, fmt.Errorf("secret: %s has %d octets, must have at least %d (make one with: head -c 32 /dev/urandom > %s)", file, len(secret), minSecret, file)
	}
	return secret, nil
}
