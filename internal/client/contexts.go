package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultServer is where the API of a `carillon run` without flags is.
const DefaultServer = "https://127.0.0.1:9443"

// Context is a place to call, and who calls, by a name.
type Context struct {
	Server      string `yaml:"server"`
	User        string `yaml:"user,omitempty"`
	Password    string `yaml:"password,omitempty"`
	Tenant      string `yaml:"tenant,omitempty"`
	CA          string `yaml:"ca,omitempty"`          // file of an authority in PEM
	Fingerprint string `yaml:"fingerprint,omitempty"` // of the certificate, SHA-256 in hex
}

// Contexts is the file of contexts.
type Contexts struct {
	Current  string              `yaml:"current,omitempty"`
	Contexts map[string]*Context `yaml:"contexts,omitempty"`
	file     string
}

// ConfigFile is where contexts are kept: CARILLON_CONFIG, or carillon/config.yaml in the user's config directory.
func ConfigFile() (string, error) {
	if f := os.Getenv("CARILLON_CONFIG"); f != "" {
		return f, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("contexts: %w; set CARILLON_CONFIG to a file", err)
	}
	return filepath.Join(dir, "carillon", "config.yaml"), nil
}

// LoadContexts reads the contexts; a file that is not there holds none.
func LoadContexts() (*Contexts, error) {
	file, err := ConfigFile()
	if err != nil {
		return nil, err
	}
	c := &Contexts{file: file, Contexts: map[string]*Context{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	if err := yaml.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("contexts: %s: %w", file, err)
	}
	for name, x := range c.Contexts {
		if x == nil {
			delete(c.Contexts, name)
		}
	}
	if c.Contexts == nil {
		c.Contexts = map[string]*Context{}
	}
	return c, nil
}

// File is where the contexts are.
func (c *Contexts) File() string { return c.file }

// Save writes the contexts: the whole file or none of it, readable by the user alone.
func (c *Contexts) Save() error {
	data, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.file), ".config-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	return os.Rename(tmp.Name(), c.file)
}

// Options are what flags say; empty ones fall to the environment, then to the context, then to what stands to reason.
type Options struct {
	Context  string
	Server   string
	User     string
	Password string
	Tenant   string
	CA       string
	Insecure bool
}

// Resolve finds out where to call, and as whom. In the order of what counts: flags, CARILLON_* variables, the context,
// the API of this machine. What a context says of trust and password belongs to its server and to no other.
func Resolve(o Options) (Config, error) {
	cs, err := LoadContexts()
	if err != nil {
		return Config{}, err
	}
	name := first(o.Context, os.Getenv("CARILLON_CONTEXT"), cs.Current)
	x := cs.Contexts[name]
	if x == nil {
		if name != "" && (o.Context != "" || os.Getenv("CARILLON_CONTEXT") != "") {
			return Config{}, fmt.Errorf("there is no context %q in %s; 'carillon context list' shows those that are", name, cs.file)
		}
		x = &Context{}
	}
	server := first(o.Server, os.Getenv("CARILLON_SERVER"), x.Server, DefaultServer)
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	if x.Server != "" && !sameServer(server, x.Server) {
		x = &Context{}
	}
	insecure := os.Getenv("CARILLON_INSECURE")
	cfg := Config{
		Server: server, User: first(o.User, os.Getenv("CARILLON_USER"), x.User, "admin"), Tenant: first(o.Tenant, os.Getenv("CARILLON_TENANT"), x.Tenant),
		Password: first(o.Password, os.Getenv("CARILLON_PASSWORD")),
		CAFile:   first(o.CA, os.Getenv("CARILLON_CA"), x.CA), Fingerprint: first(os.Getenv("CARILLON_FINGERPRINT"), x.Fingerprint),
		Insecure: o.Insecure || insecure != "" && insecure != "0" && insecure != "false",
	}
	if cfg.Password == "" && (x.User == "" || cfg.User == x.User) {
		cfg.Password = x.Password
	}
	if cfg.Insecure {
		cfg.CAFile, cfg.Fingerprint = "", ""
	}
	if cfg.CAFile == "" && cfg.Fingerprint == "" && !cfg.Insecure {
		cfg.CAFile = localCert(server)
	}
	return cfg, nil
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

func sameServer(a, b string) bool { return hostPort(a) == hostPort(b) }

func hostPort(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return server
	}
	return u.Host
}

// localCert is the file of the certificate that the API of this machine has made for itself, if the server is on
// loopback and the file can be read: whoever could change the file could change the program too.
func localCert(server string) string {
	host, _, err := net.SplitHostPort(hostPort(server))
	if err != nil {
		return ""
	}
	if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		return ""
	}
	file := filepath.Join(StateDir(), "api-cert.pem")
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	_ = f.Close() // it was only looked at
	return file
}

// StateDir is where state of this machine is kept: CARILLON_DATA, systemd's STATE_DIRECTORY, /var/lib/carillon for
// root, else the user's own.
func StateDir() string {
	for _, name := range []string{"CARILLON_DATA", "STATE_DIRECTORY"} {
		if d := os.Getenv(name); d != "" {
			return d
		}
	}
	if os.Geteuid() == 0 {
		return "/var/lib/carillon"
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "carillon")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "state", "carillon")
}
