package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/exporter"
	"github.com/carillon-sip/carillon/internal/handover"
	"github.com/carillon-sip/carillon/internal/object"
)

// successionFlags say how a process takes over from another, and hands over to one.
type successionFlags struct {
	door     string
	takeOver bool
	drain    time.Duration
}

func (f *successionFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.door, "handover", "", "socket in the file system at which a process with --take-over finds this one (default: a file in --data; none with --store none)")
	fl.BoolVar(&f.takeOver, "take-over", false, "take over sockets, calls and connections from the process that runs, which ends; start as usual if none does")
	fl.DurationVar(&f.drain, "drain-deadline", 5*time.Minute, "how long a process that was replaced goes on with connections of TLS, which cannot be handed over")
}

const (
	// fdVariable names the descriptor by which a successor finds the process that started it.
	fdVariable = "CARILLON_HANDOVER_FD"
	// helloLimit is how long a successor may take until it has looked at its flags and files.
	helloLimit = 30 * time.Second
	// freeLimit is how long a predecessor may take to close its store.
	freeLimit = 30 * time.Second
	// reopenEvery is how often a process whose successor failed tries to have its store again.
	reopenEvery = time.Second
)

// succession is how this process came to be, and how it goes.
type succession struct {
	f         *successionFlags
	log       *slog.Logger
	program   string         // as it was called
	from      *handover.Conn // the process to take over from; nil: none
	listeners handover.Listeners
	door      *handover.Door
	doorPath  string
	callers   chan caller // successors that are there
	asked     <-chan os.Signal
	starting  *exec.Cmd // the successor that was started and is not there yet; nil: none

	handovers int // since a cold start
	failed    atomic.Int64
	halted    time.Duration // for so long nobody read when this process took over
}

// caller is a process that wants to take over, or one that was started for that and failed.
type caller struct {
	c   *handover.Conn
	cmd *exec.Cmd // nil: it was not started by this process
	err error
}

// replaceRequests are the signals that ask for another process in the place of this one. They count from the start on: before, they would end it.
func replaceRequests() <-chan os.Signal {
	asked := make(chan os.Signal, 1)
	if len(replaceSignals) > 0 {
		signal.Notify(asked, replaceSignals...)
	}
	return asked
}

// running is a balancer at work.
type running struct {
	engine  *engine.Engine
	apply   func(context.Context, *object.Set) error // of a file that has changed
	reload  func()
	more    []prometheus.Collector      // what is counted beside the engine
	close   func(all bool)              // of all, or of all but the engine
	open    func(context.Context) error // of what close closed but for the engine; nil: there is nothing
	metrics *exporter.Server            // nil: none
}

// closeEngine is close where there is nothing else.
func (r *running) closeEngine(all bool) {
	if all {
		r.engine.Stop()
	}
}

// begin finds the process to take over from, if there is one, and has it close what only one can have open. From here on the
// process must not fail by what it could have known before.
func begin(f *successionFlags, door string, asked <-chan os.Signal, log *slog.Logger) (*succession, error) {
	s := &succession{f: f, log: log, program: program(), doorPath: door, callers: make(chan caller), asked: asked}
	if f.door != "" {
		s.doorPath = f.door
	}
	if f.takeOver && s.doorPath == "" {
		return nil, usage{errors.New("--take-over: without a store there is no place where the process that runs is looked for: give both --handover PATH")}
	}
	var err error
	if fd := os.Getenv(fdVariable); fd == "3" {
		file := os.NewFile(3, "predecessor")
		s.from, err = handover.FromFile(file)
		file.Close()
		os.Unsetenv(fdVariable)
	} else if f.takeOver {
		s.from, err = handover.Knock(s.doorPath)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			log.Info("nobody is there to take over from, a cold start", "handover", s.doorPath)
			return s, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--take-over: %w", err)
	}
	if s.from == nil {
		return s, nil
	}
	if err := s.greet(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// told is what a process tells its successor of itself.
type told struct {
	Handovers int `json:"handovers"`
}

func (s *succession) greet() error {
	s.from.Limit(time.Now().Add(freeLimit))
	defer s.from.Limit(time.Time{})
	if err := s.from.Send(handover.Hello, nil); err != nil {
		return err
	}
	m, err := s.from.Expect(handover.Welcome)
	if err != nil {
		return err
	}
	if err := s.listeners.Take(m); err != nil {
		return err
	}
	if m, err = s.from.Expect(handover.Free); err != nil {
		return err
	}
	var t told
	if err := json.Unmarshal(m.Data, &t); err != nil {
		return err
	}
	s.handovers = t.Handovers + 1
	return nil
}

// program is the path of this program as it was called: what is there when it is started anew need not be the same.
func program() string {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			return path
		}
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// listen listens under a name that a successor knows.
func (s *succession) listen(name string) func(addr string) (net.Listener, error) {
	return func(addr string) (net.Listener, error) { return s.listeners.Listen(name, addr) }
}

// end gives up what there is of a succession.
func (s *succession) end() {
	if s.from != nil {
		s.from.Close()
	}
	s.listeners.Close()
}

// serve serves until the context ends or another process does so in the place of this one. reload says that the file is to be read
// again.
func (s *succession) serve(ctx context.Context, r *running, f *engineFlags, reload <-chan struct{}) error {
	stop := func() {
		r.close(true)
		s.end()
	}
	if err := s.start(r, f); err != nil {
		stop()
		return err
	}
	for {
		var left *engine.Farewell
		select {
		case <-ctx.Done():
			s.log.Info("ending")
			s.abandon()
			s.closeDoor()
			if r.metrics != nil {
				r.metrics.Close()
			}
			stop()
			return nil
		case <-reload:
			r.reload()
		case <-s.asked:
			s.replace()
		case c := <-s.callers:
			left = s.handOver(ctx, r, f, c)
		}
		if left != nil {
			s.leave(ctx, r, left)
			return nil
		}
	}
}

// start takes over, where there is somebody to take over from, and tells who wants to know that this process serves.
func (s *succession) start(r *running, f *engineFlags) error {
	if err := s.serveMetrics(r, f); err != nil {
		return err
	}
	if s.from != nil {
		t, err := r.engine.TakeOver()
		if err != nil {
			return err
		}
		s.halted = t.Halted
		s.log.Info("taken over", "listeners", t.Listeners, "connections", t.Connections, "transactions", t.Transactions, "stored_requests", t.Requests, "repeats", t.Repeats,
			"call_ids", t.Known, "calls_up", t.Up, "halted_ms", float64(t.Halted.Microseconds())/1000, "handovers", s.handovers)
	}
	announce(s.log, r.engine)
	s.openDoor()
	if _, err := daemon.SdNotify(false, fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid())); err != nil {
		s.log.Warn("systemd could not be told that this process serves", "error", err)
	}
	return nil
}

func (s *succession) serveMetrics(r *running, f *engineFlags) error {
	if r.metrics != nil {
		r.metrics.Close()
		r.metrics = nil
	}
	if f.metrics == "" {
		return nil
	}
	ln, err := s.listeners.Listen("metrics", f.metrics)
	if err != nil {
		return fmt.Errorf("--metrics %s: %w", f.metrics, err)
	}
	r.metrics = exporter.ServeOn(ln, r.engine, append(r.more, s.collectors()...)...)
	return nil
}

func (s *succession) collectors() []prometheus.Collector {
	figure := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "carillon_" + name, Help: help}, value)
	}
	count := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "carillon_" + name, Help: help}, value)
	}
	return []prometheus.Collector{
		count("handovers_total", "Times that a process took over from another since a cold start.", func() float64 { return float64(s.handovers) }),
		count("handovers_failed_total", "Times that this process was to be replaced, and was not.", func() float64 { return float64(s.failed.Load()) }),
		figure("handover_halted_seconds", "For so long nobody read when this process took over; 0 after a cold start.", func() float64 { return s.halted.Seconds() }),
	}
}

// openDoor lets processes find this one that want to take over. Without it there is SIGUSR2.
func (s *succession) openDoor() {
	if s.doorPath == "" {
		return
	}
	d, err := handover.Open(s.doorPath, s.from != nil)
	if err != nil {
		s.log.Warn("no process will find this one by --take-over", "handover", s.doorPath, "error", err)
		return
	}
	s.door = d
	go func() {
		for {
			c, err := d.Answer()
			if err != nil {
				return
			}
			go s.await(c, nil)
		}
	}()
}

// await waits until whoever is at the other end says that it wants to take over. Who only looks who is there is let go.
func (s *succession) await(c *handover.Conn, cmd *exec.Cmd) {
	c.Limit(time.Now().Add(helloLimit))
	_, err := c.Expect(handover.Hello)
	if cmd == nil && errors.Is(err, io.EOF) {
		c.Close()
		return
	}
	if errors.Is(err, handover.ErrVersion) {
		_ = c.Send(handover.Welcome, nil) // so that it says which version this one speaks
	}
	s.callers <- caller{c, cmd, err}
}

func (s *succession) closeDoor() {
	if s.door != nil {
		s.door.Close()
	}
}

// replace starts this program anew, as it is now, to hand over to it when it is there.
func (s *succession) replace() {
	if s.starting != nil {
		s.log.Info("a process that replaces this one is being started already", "pid", s.starting.Process.Pid)
		return
	}
	c, theirs, err := handover.Pair()
	if err != nil {
		s.fail(err)
		return
	}
	cmd := exec.Command(s.program, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), fdVariable+"=3"), []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		c.Close()
		s.fail(err)
		return
	}
	s.log.Info("replacing this process", "program", s.program, "pid", cmd.Process.Pid)
	s.starting = cmd
	go s.await(c, cmd)
}

// abandon ends a successor that is not there yet.
func (s *succession) abandon() {
	if s.starting != nil {
		s.starting.Process.Kill()
	}
}

func (s *succession) fail(err error) {
	s.failed.Add(1)
	s.log.Error("this process was not replaced, and goes on", "error", err)
}

// handOver hands over to a process. Nil: that failed, and this process goes on.
func (s *succession) handOver(ctx context.Context, r *running, f *engineFlags, to caller) (left *engine.Farewell) {
	if to.cmd != nil {
		s.starting = nil
	}
	err, closed := to.err, false
	if err == nil {
		left, closed, err = s.attempt(r, to.c)
	}
	if err == nil {
		if to.cmd != nil {
			go to.cmd.Wait() // should it end before this one
		}
		return left
	}
	to.c.Close()
	if to.cmd != nil {
		to.cmd.Process.Kill()
		if ended := to.cmd.Wait(); ended != nil && !strings.Contains(ended.Error(), "killed") {
			err = fmt.Errorf("%w: the new process: %w", err, ended)
		}
	}
	s.fail(err)
	if closed {
		s.reopen(ctx, r, f)
	}
	return nil
}

// attempt is one: closed tells whether all but the engine has been closed.
func (s *succession) attempt(r *running, c *handover.Conn) (left *engine.Farewell, closed bool, err error) {
	c.Limit(time.Now().Add(freeLimit))
	names, fds, err := s.listeners.Message()
	if err == nil {
		err = c.Send(handover.Welcome, names, fds...)
	}
	if err != nil {
		return nil, false, err
	}
	if closed = r.open != nil; closed {
		r.close(false)
		r.close = r.closeEngine
	}
	data, err := json.Marshal(told{s.handovers})
	if err == nil {
		err = c.Send(handover.Free, data)
	}
	if err == nil {
		left, err = r.engine.HandOver(c)
	}
	return left, closed, err
}

// reopen opens again what was closed for a successor that failed. The engine serves all the while.
func (s *succession) reopen(ctx context.Context, r *running, f *engineFlags) {
	for {
		err := r.open(ctx)
		if err == nil {
			if err = s.serveMetrics(r, f); err == nil {
				return
			}
		}
		s.log.Error("the store cannot be opened again yet, the engine goes on with what it has", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(reopenEvery):
		}
	}
}

// leave ends this process, which has been replaced, when nothing is left of it.
func (s *succession) leave(ctx context.Context, r *running, left *engine.Farewell) {
	s.abandon()
	if s.door != nil {
		s.door.Leave()
	}
	go func() {
		for to := range s.callers { // who comes too late is to ask the other one
			to.c.Close()
		}
	}()
	if r.metrics != nil {
		r.metrics.Close()
	}
	s.listeners.Close()
	s.log.Info("replaced: another process serves", "connections_given", left.Given, "tls_connections_left", left.Stay,
		"halted_ms", float64(left.Halted.Microseconds())/1000, "drain_deadline", s.f.drain.String())
	ctx, cancel := context.WithTimeout(ctx, s.f.drain)
	defer cancel()
	left.Serve(ctx)
	s.log.Info("ending", "replaced", true)
}
