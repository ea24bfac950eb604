//go:build linux

// Command bench measures Carillon beside a bare relay and Kamailio, in one run on one machine, and writes what it saw to
// the terminal and to docs/benchmarks.md. bench/run builds and starts it.
package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// plan says what a run does: which sections, and how long each measurement takes.
type plan struct {
	quick    bool
	only     string // sections, separated by commas; empty: all
	write    bool   // write docs/benchmarks.md
	inside   bool   // already in a network namespace of its own
	shake    string // an address to shake hands with, and nothing else: a process of its own
	resume   bool   // likewise: take sessions up again
	carillon string // a binary to measure in place of the one built here

	shakeSecs     float64
	rounds        int // of forwarding and of workers
	latencyRounds int
	secs          float64 // of one forwarding measurement
	latencySecs   float64
	micro         time.Duration // of one micro benchmark
	microCount    int
	held          int // calls up for the memory section
	farm          int // servers of the large pool
	orderSecs     float64
}

// section is one table of the benchmark.
type section struct {
	name string
	run  func(*bench) error
}

var sections = []section{
	{"micro", (*bench).micro},
	{"forward", (*bench).forward},
	{"workers", (*bench).workers},
	{"memory", (*bench).memory},
	{"order", (*bench).order},
	{"latency", (*bench).latency},
	{"streams", (*bench).streams},
	{"control", (*bench).control},
}

// Children die with the thread that started them (Pdeathsig), and are pinned by pinning that thread, so all are started
// from the main thread, which lives as long as the program.
func init() { runtime.LockOSThread() }

func main() {
	p := parsePlan()
	if !p.inside {
		os.Exit(outside(p))
	}
	if p.shake != "" {
		shakeHands(p.shake, p.resume, p.shakeSecs)
		return
	}
	b := &bench{plan: p, began: time.Now()}
	// A signal ends the process; its children follow by Pdeathsig.
	if err := b.run(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	if b.broken {
		os.Exit(1)
	}
}

func parsePlan() plan {
	p := plan{rounds: 9, latencyRounds: 9, secs: 1.5, latencySecs: 2.5, micro: time.Second, microCount: 5, held: 100_000, farm: 10_000, orderSecs: 3}
	flag.BoolVar(&p.quick, "quick", false, "a minute in place of eight; writes no file")
	flag.StringVar(&p.only, "only", "", "sections to run, separated by commas: micro, forward, workers, memory, order, latency, streams, control")
	flag.BoolVar(&p.write, "write", false, "write docs/benchmarks.md though not everything was run")
	flag.StringVar(&p.carillon, "carillon", "", "measure this binary in place of the one built from the tree")
	flag.BoolVar(&p.inside, "inside", false, "set by the program itself when it starts again in a namespace of its own")
	flag.StringVar(&p.shake, "shake", "", "set by the program itself: shake hands with this address, and tell how often that went")
	flag.BoolVar(&p.resume, "resume", false, "likewise: take sessions up again")
	flag.Float64Var(&p.shakeSecs, "shake-secs", 1, "likewise: for so long")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench: what is %q? See --help.\n", flag.Arg(0))
		os.Exit(2)
	}
	for _, name := range p.names() {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			fmt.Fprintf(os.Stderr, "bench: no section %q. See --help.\n", name)
			os.Exit(2)
		}
	}
	if p.quick {
		p.rounds, p.latencyRounds, p.secs, p.latencySecs = 3, 3, 0.6, 0.8
		p.micro, p.microCount, p.orderSecs = 200*time.Millisecond, 3, 0.8
	}
	return p
}

func (p plan) names() []string {
	if p.only == "" {
		return nil
	}
	return strings.Split(p.only, ",")
}

func (p plan) wants(name string) bool { return p.only == "" || slices.Contains(p.names(), name) }

// outside installs and builds, which needs the network, and starts the program again where nothing else is: in a network
// namespace (no port is shared with anyone) and a session (a scheduling group) of its own.
func outside(p plan) int {
	if err := prepare(p); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	for _, attr := range isolation() {
		cmd := exec.Command(self, append([]string{"--inside"}, os.Args[1:]...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = attr
		if err = cmd.Start(); err != nil {
			continue
		}
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
		go func() {
			for s := range stop {
				cmd.Process.Signal(s)
			}
		}()
		err = cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() >= 0 {
			return exit.ExitCode()
		}
		break
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// isolation lists ways to start, the best first. Pdeathsig ends the inner program with this one.
func isolation() []*syscall.SysProcAttr {
	namespace := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		namespace.Cloneflags |= syscall.CLONE_NEWUSER
		namespace.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		namespace.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return []*syscall.SysProcAttr{namespace, {Setsid: true, Pdeathsig: syscall.SIGKILL}}
}

// bench is one run: what it measures with, and what it found.
type bench struct {
	plan
	began   time.Time
	dir     string // binaries and files of the run: .cache/bench
	farm    *load  // generator and servers
	tables  []table
	broken  bool           // a message was lost, changed or misrouted, or something could not be run
	notes   []string       // printed below the tables
	maximum float64        // calls a second of carillon with one worker, once known
	windows map[string]int // the best closed window of each peer, once known
}

func (b *bench) run() error {
	b.dir, b.windows = filepath.Join(".cache", "bench"), map[string]int{}
	if err := loopbackUp(); err != nil {
		return err
	}
	raiseWeight()
	// Its own secret, so that nothing is written where an installed carillon keeps its state.
	if err := os.WriteFile(b.path("secret"), []byte(rand.Text()), 0o600); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		b.note("not run as root: receive buffers are as small as net.core.rmem_max says, so large windows may lose messages.")
	}
	for _, s := range sections {
		if !b.wants(s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s, after %s\n", s.name, time.Since(b.began).Round(time.Second))
		if err := s.run(b); err != nil {
			b.failed("%s: %v", s.name, err)
		}
	}
	if b.farm != nil {
		b.farm.stop()
	}
	b.print(os.Stdout)
	if b.write || (!b.quick && b.only == "") {
		return b.writeDoc(filepath.Join("docs", "benchmarks.md"))
	}
	return nil
}

// note keeps a remark for the end of the report.
func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// failed keeps a remark about something that went wrong: the exit status will be 1.
func (b *bench) failed(format string, args ...any) {
	b.broken = true
	b.note(format, args...)
	fmt.Fprintf(os.Stderr, "bench: %s\n", b.notes[len(b.notes)-1])
}
