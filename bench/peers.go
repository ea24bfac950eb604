//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Ports of everything. The namespace is the benchmark's own, so they are fixed.
const (
	serversPort  = 17000 // the farm's servers, counted up
	callersPort  = 16000
	servers      = 10
	callers      = 10
	firstProxy   = 5060 // the proxies, each on one of its own
	firstMetrics = 9090
)

// peer is something between the callers and the servers.
type peer struct {
	name    string
	cmd     *exec.Cmd
	port    int
	relay   bool // looks at nothing: adds no Via, gets responses back from where requests came
	foreign bool // another project's program
	log     string
	cpus    []int
	runs    []result
	window  int
	more    []string      // sipgen's options for all runs through it
	exited  chan struct{} // closed when the process has ended
}

// words are sipgen's options for a run through the peer.
func (p *peer) words(more ...string) []string {
	w := []string{fmt.Sprintf("proxy=127.0.0.1:%d", p.port), fmt.Sprintf("pid=%d", p.cmd.Process.Pid)}
	if len(p.cpus) == 1 {
		w = append(w, fmt.Sprintf("cpu=%d", p.cpus[0]))
	}
	if p.relay {
		w = append(w, "vias=1", "to-source=1")
	}
	w = append(w, p.more...)
	return append(w, more...)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// start runs a peer's command on its CPUs, its output in a file.
func (b *bench) start(p *peer, path string, args ...string) error {
	p.log = b.path(fmt.Sprintf("%s.%d.log", strings.ReplaceAll(p.name, " ", "-"), p.port))
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startOn(p.cmd, p.cpus); err != nil {
		return err
	}
	p.exited = make(chan struct{})
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	return nil
}

func (p *peer) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (b *bench) startRelay(mode string, port int) (*peer, error) {
	p := &peer{name: "relay " + mode, port: port, relay: true, cpus: []int{0}}
	if err := b.start(p, b.path("relay"), fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", serversPort), strconv.Itoa(servers), mode); err != nil {
		return nil, err
	}
	return p, b.ready(b.farm, p)
}

// startKamailio starts the dispatcher configuration; its children share CPU 0.
func (b *bench) startKamailio(children, port int) (*peer, error) {
	var list strings.Builder
	for i := range servers {
		fmt.Fprintf(&list, "1 sip:127.0.0.1:%d\n", serversPort+i)
	}
	p, err := b.runKamailio(&peer{name: fmt.Sprintf("kamailio %d", children), foreign: true, port: port, cpus: []int{0}}, "bench/kamailio/stateless.cfg.in", list.String(),
		"@LISTEN@", fmt.Sprintf("127.0.0.1:%d", port), "@CHILDREN@", strconv.Itoa(children))
	if err != nil {
		return nil, err
	}
	return p, b.ready(b.farm, p)
}

// runKamailio starts a configuration, with the words that its template wants and a list of servers for the dispatcher.
func (b *bench) runKamailio(p *peer, template, list string, words ...string) (*peer, error) {
	text, err := os.ReadFile(template)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(b.path(fmt.Sprintf("kamailio.%d", p.port)))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	if err != nil || len(modules) == 0 {
		return nil, fmt.Errorf("kamailio has no modules under /usr/lib")
	}
	config := strings.NewReplacer(append(words, "@MODULES@", modules[0]+"/", "@SERVERS@", dir+"/servers")...).Replace(string(text))
	for name, text := range map[string]string{"servers": list, "kamailio.cfg": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	path, err := lookup("kamailio")
	if err != nil {
		return nil, err
	}
	// In the foreground; receive buffer, shared and private memory as large as it can use.
	return p, b.start(p, path, "-DD", "-X", "fm", "-x", "fm", "-f", dir+"/kamailio.cfg", "-b", "4194304", "-m", "256", "-M", "16", "-Y", dir, "-P", dir+"/pid")
}

// startCarillon starts it as it is run: Record-Route, health monitor, metrics, all on.
func (b *bench) startCarillon(workers, port int, cpus []int, serverList []string) (*peer, error) {
	p := &peer{name: fmt.Sprintf("carillon, %d workers", workers), port: port, cpus: cpus}
	if workers == 1 {
		p.name = "carillon"
	}
	args := []string{"run", "--store", "none", "--listen", fmt.Sprintf("udp://127.0.0.1:%d", port), "--workers", strconv.Itoa(workers),
		"--metrics", fmt.Sprintf("127.0.0.1:%d", firstMetrics+port-firstProxy), "--record-route=true", "--secret-file", b.path("secret")}
	for _, s := range serverList {
		args = append(args, "--server", s)
	}
	return p, b.start(p, b.carillonPath(), args...)
}

func (b *bench) carillonPath() string {
	if b.carillon != "" {
		return b.carillon
	}
	return b.path("carillon")
}

// farmList names the farm's servers.
func farmList(port, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("127.0.0.1:%d", port+i)
	}
	return list
}

// noConnection is how sipgen says that the proxy takes no connection (yet).
const noConnection = "no connection to"

// ready waits until a whole call passes, and tells why when none does.
func (b *bench) ready(l *load, p *peer) error {
	var last result
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && p.running(); {
		r, err := l.run(p.words("calls=3", "window=1", "timeout-ms=50")...)
		if err != nil && !strings.Contains(err.Error(), noConnection) {
			return err
		}
		if r.Completed == 3 {
			return nil
		}
		last = r
		time.Sleep(20 * time.Millisecond)
	}
	text, _ := os.ReadFile(p.log)
	if len(text) > 600 {
		text = text[len(text)-600:]
	}
	b.stop(p)
	return fmt.Errorf("%s ended, or let no call pass within 10 s (%s); the end of its log:\n%s", p.name, last.wrong(), text)
}

func (b *bench) stop(p *peer) {
	if p == nil || p.exited == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// openFarm starts the generator that most sections use.
func (b *bench) openFarm() error {
	if b.farm != nil {
		return nil
	}
	var err error
	b.farm, err = startLoad(b.path("sipgen"), generatorCPU(), fmt.Sprintf("--servers=127.0.0.1:%d", serversPort), fmt.Sprintf("--nservers=%d", servers),
		fmt.Sprintf("--callers=127.0.0.1:%d", callersPort), fmt.Sprintf("--ncallers=%d", callers))
	return err
}
