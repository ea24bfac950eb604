//go:build linux

package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Setup is what a test wants of the balancer. Zero values are the balancer's own defaults.
type Setup struct {
	Listen        []netip.AddrPort // the service's addresses; the first one is where tests send to
	Servers       []netip.AddrPort
	NoRecordRoute bool
	Workers       int
	// HealthIntervalS is how often servers are probed, in seconds.
	HealthIntervalS int
	Args            []string    // further flags; only Carillon knows them
	File            string      // a file of objects instead of listen and servers; only Carillon reads it
	API             bool        // with a store and the REST API; else the engine alone
	Env             []string    // added to the environment
	Supervisor      *Supervisor // of a balancer that replaces itself; nil: it does not
}

// Balancer is the running balancer.
type Balancer struct {
	*Process
	t       testing.TB
	Addr    netip.AddrPort
	metrics string // host:port; empty for the stand-in
	API     *API   // nil: it has none
	command Command
	file    string // of objects; empty: none
}

// StandIn says that the tests run against Kamailio's dispatcher in place of Carillon
// (CARILLON_E2E_BALANCER=kamailio): with it the tests themselves can be tested, and a failure be judged.
func StandIn() bool { return os.Getenv("CARILLON_E2E_BALANCER") == "kamailio" }

// StartBalancer starts the balancer and returns when it answers an OPTIONS.
func StartBalancer(t testing.TB, s Setup) *Balancer {
	t.Helper()
	if StandIn() {
		return startStandIn(t, s)
	}
	metrics := Addr(t, "127.0.0.1")
	dir := t.TempDir()
	servers := len(s.Servers)
	if s.HealthIntervalS > 0 {
		s.File = filepath.Join(dir, "lb.yaml")
		s.Objects().Write(t, s.File)
	}
	args := append(s.flags(), "--metrics", metrics.String(), "--secret-file", SecretFile(t, dir))
	b := &Balancer{t: t, Addr: s.Listen[0], metrics: metrics.String(), file: s.File}
	if s.API {
		b.API = NewAPI(t, TCPAddr(t))
		args = append(args, withAPI(dir, b.API.Addr)...)
	} else {
		args = append(args, "--store", "none")
	}
	b.command = Command{Name: "carillon", Path: Carillon(t), Args: args, Dir: dir, Env: append([]string{"CARILLON_ADMIN_PASSWORD=" + AdminPassword}, s.Env...)}
	if s.Supervisor != nil {
		b.command = s.Supervisor.command(b.command)
	}
	b.Process = Start(t, b.command)
	if s.Supervisor != nil {
		s.Supervisor.AwaitReady()
	}
	t.Cleanup(b.showCounters)
	AwaitSIP(t, b.Process, b.Addr)
	Until(t, "/readyz says ready", b.Ready)
	if servers > 0 {
		b.AwaitServers(servers)
	}
	return b
}

// Rewrite gives the balancer another file of objects, and tells it.
func (b *Balancer) Rewrite(text string) {
	b.t.Helper()
	WriteWhole(b.t, b.file, text)
	b.Signal(syscall.SIGHUP)
}

// Restart ends the balancer and starts it again as it was started first.
func (b *Balancer) Restart() {
	b.t.Helper()
	b.Stop(syscall.SIGTERM)
	b.Process = Start(b.t, b.command)
	AwaitSIP(b.t, b.Process, b.Addr)
	Until(b.t, "/readyz says ready", b.Ready)
}

// AwaitServers waits until so many servers are up.
func (b *Balancer) AwaitServers(n int) {
	b.t.Helper()
	Until(b.t, fmt.Sprintf("%d servers up", n), func() bool {
		up := 0
		for name, value := range b.Metrics() {
			if strings.HasPrefix(name, "carillon_server_up{") {
				up += int(value)
			}
		}
		return up == n
	})
}

// SecretFile writes the secret of the tests: each run places calls anew only as far as their Call-IDs differ.
func SecretFile(t testing.TB, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("the secret of the end-to-end tests"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func (s Setup) flags() []string {
	args := []string{"run"}
	if s.File != "" {
		args = append(args, "-f", s.File)
	} else {
		for _, a := range s.Listen {
			args = append(args, "--listen", "udp://"+a.String())
		}
		for _, a := range s.Servers {
			args = append(args, "--server", a.String())
		}
	}
	if s.NoRecordRoute && s.File == "" {
		args = append(args, "--record-route=false")
	}
	if s.Workers > 0 {
		args = append(args, "--workers", strconv.Itoa(s.Workers))
	}
	return append(args, s.Args...)
}

// told are the counters that a failing test shows.
var told = regexp.MustCompile(`^carillon_(virtual_service_(messages|faults|answers|table_full)_total|socket_.*(drops|errors)_total|server_failovers_total|pool_(retries_refused|full)_total|connections_closed_total)`)

func (b *Balancer) showCounters() {
	if !b.t.Failed() || b.Exited() {
		return
	}
	var lines []string
	for name, value := range b.Metrics() {
		if value != 0 && told.MatchString(name) {
			lines = append(lines, fmt.Sprintf("%s %g", name, value))
		}
	}
	slices.Sort(lines)
	b.t.Log("what the balancer counted:\n" + strings.Join(lines, "\n"))
}

var build struct {
	once sync.Once
	path string
	err  error
}

var programs struct {
	once sync.Once
	dir  string // of what was built for all tests
	err  error
}

// programDir is where what is built for all tests is kept until the last of them has ended.
func programDir() (string, error) {
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "carillon-e2e-"); programs.err == nil {
			programs.err = os.Chmod(programs.dir, 0o755) // another user runs it, too
		}
	})
	return programs.dir, programs.err
}

// Carillon is the path of the program, built once for all tests from the source beside them, or taken from
// CARILLON_BIN.
func Carillon(t testing.TB) string {
	t.Helper()
	if given := os.Getenv("CARILLON_BIN"); given != "" {
		return given
	}
	build.once.Do(func() {
		touchSources()
		var dir string
		if dir, build.err = programDir(); build.err != nil {
			return
		}
		build.path = filepath.Join(dir, "carillon")
		out, err := exec.Command("go", "build", "-o", build.path, "../cmd/carillon").CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("go build ../cmd/carillon: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// touchSources makes the balancer's source an input of this test in the eyes of "go test", which would otherwise show
// a cached result after a change: the tests do not import what they start.
func touchSources() {
	for _, root := range []string{"../cmd", "../internal"} {
		filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(name, ".go") {
				os.Stat(name)
			}
			return nil
		})
	}
}

func removeBuild() {
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
}

// MetricsAddr is where the metrics are.
func (b *Balancer) MetricsAddr() string { return b.metrics }

// Knock connects to where a process asks that wants to take over.
func (b *Balancer) Knock() net.Conn {
	b.t.Helper()
	args := b.command.Args
	c, err := net.Dial("unix", filepath.Join(args[slices.Index(args, "--data")+1], "handover"))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// Ready asks /readyz.
func (b *Balancer) Ready() bool {
	if b.metrics == "" {
		return true
	}
	answer, err := http.Get("http://" + b.metrics + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Metrics returns the samples of /metrics by name with labels, as the text has them.
func (b *Balancer) Metrics() map[string]float64 {
	b.t.Helper()
	answer, err := http.Get("http://" + b.metrics + "/metrics")
	if err != nil {
		b.t.Errorf("metrics: %v", err)
		return nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Errorf("metrics: %v", err)
	}
	out := make(map[string]float64)
	for _, line := range strings.Split(string(text), "\n") {
		space := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || space < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(line[space+1:], 64); err == nil {
			out[line[:space]] = value
		}
	}
	return out
}

// Sum adds up the samples of a metric, named without its prefix, whose labels hold all of the texts.
func (b *Balancer) Sum(metric string, labels ...string) (sum float64) {
	b.t.Helper()
	for name, value := range b.Metrics() {
		rest, ok := strings.CutPrefix(name, "carillon_"+metric)
		if ok && (rest == "" || rest[0] == '{') && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			sum += value
		}
	}
	return sum
}

// ResidentKB is the resident memory of the program in kilobytes.
func (p *Process) ResidentKB() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.t.Fatalf("%s: VmRSS: %v", p.name, err)
	}
	return n
}

// AwaitSIP sends OPTIONS to the address until something SIP comes back.
func AwaitSIP(t testing.TB, p *Process, to netip.AddrPort) {
	t.Helper()
	from, err := net.ListenUDP("udp", &net.UDPAddr{IP: loopbackOf(to.Addr())})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	buf := make([]byte, 65535)
	for n, end := 1, time.Now().Add(Patience); time.Now().Before(end); n++ {
		if p.Exited() {
			t.Fatalf("%s ended at its start:\n%s", p.name, p.Output())
		}
		// An error here is the ICMP answer to the one before: not yet there.
		from.WriteToUDPAddrPort(options(from.LocalAddr().String(), to, n), to)
		from.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if size, _, err := from.ReadFromUDPAddrPort(buf); err == nil && strings.HasPrefix(string(buf[:size]), "SIP/2.0 ") {
			return
		}
	}
	t.Fatalf("%s: no answer to OPTIONS at %v in %v", p.name, to, Patience)
}

func loopbackOf(a netip.Addr) net.IP {
	if a.Is4() {
		return net.IPv4(127, 0, 0, 1)
	}
	return net.IPv6loopback
}

func options(from string, to netip.AddrPort, n int) []byte {
	return fmt.Appendf(nil, "OPTIONS sip:%[2]s SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP %[1]s;branch=z9hG4bK-ready-%[3]d;rport\r\n"+
		"Max-Forwards: 70\r\n"+
		"From: <sip:ready@%[1]s>;tag=ready%[3]d\r\nTo: <sip:%[2]s>\r\nCall-ID: ready-%[3]d@%[1]s\r\nCSeq: %[3]d OPTIONS\r\n"+
		"Content-Length: 0\r\n\r\n", from, to, n)
}
