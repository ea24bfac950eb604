package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/exporter"
	"github.com/carillon-sip/carillon/internal/object"
)

// runFlags are the flags of `carillon run`.
type runFlags struct {
	file        string
	listen      []string
	servers     []string
	recordRoute bool
	algorithm   string
	noMonitor   bool
	metrics     string
	workers     int
	sockets     int
	secretFile  string
	logLevel    string
	print       bool
}

func runCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the balancer, from flags or from a file of objects",
		Example: `  carillon run --listen udp://0.0.0.0:5060 --server 10.0.0.1:5060 --server 10.0.0.2:5060
  carillon run -f lb.yaml --metrics 127.0.0.1:9090`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.file, "file", "f", "", "file of objects, YAML or JSON; applied anew when it changes, and on SIGHUP")
	fl.StringArrayVar(&f.listen, "listen", nil, "address to listen on, as udp://10.0.0.10:5060, udp://[2001:db8::1]:5060 or udp://0.0.0.0:5060; may be repeated")
	fl.StringArrayVar(&f.servers, "server", nil, "server of the pool, as 10.0.0.1:5060; may be repeated")
	fl.BoolVar(&f.recordRoute, "record-route", true, "stay on the path of dialogs (with --server)")
	fl.StringVar(&f.algorithm, "algorithm", "consistent-hash", "how servers are chosen: consistent-hash, round-robin, random, least-connections, fewest-tasks (with --server)")
	fl.BoolVar(&f.noMonitor, "no-monitor", false, "servers count as up, and are not probed (with --server)")
	fl.StringVar(&f.metrics, "metrics", "", "address for /metrics (Prometheus), /healthz and /readyz, as 127.0.0.1:9090")
	fl.IntVar(&f.workers, "workers", 0, "threads for each listening address; 0 is one for each CPU, but no more than 4 for each of --sockets")
	fl.IntVar(&f.sockets, "sockets", 1, "sockets for each listening address, which share the workers; with one, all messages of a call leave in the order they came; with more, those that one address and port sent")
	fl.StringVar(&f.secretFile, "secret-file", "", "file with the secret of tokens and placement; engines that share calls share it (default: made at the first start, in the state directory)")
	fl.StringVar(&f.logLevel, "log-level", "info", "least level of log lines: debug, info, warn or error")
	fl.BoolVar(&f.print, "print", false, "print the objects that would be run, with all defaults, and end")
	return cmd
}

func run(cmd *cobra.Command, f *runFlags) error {
	// signals and changes count from here on: one that comes during the start must
	// neither kill the process nor be lost
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	changed, watchErr := watch(ctx, f.file)
	set, err := f.load()
	if err != nil {
		return err
	}
	if f.print {
		_, err := cmd.OutOrStdout().Write(set.YAML(object.Full))
		return err
	}
	log, err := newLogger(f.logLevel)
	if err != nil {
		return usage{err}
	}
	if f.workers < 0 || f.workers > 1024 {
		return usage{fmt.Errorf("--workers %d is out of range: must be 0 to 1024", f.workers)}
	}
	f.workers = engine.Workers(f.workers, f.sockets)
	if f.sockets < 1 || f.sockets > f.workers {
		return usage{fmt.Errorf("--sockets %d is out of range: must be 1 to %d, the number of workers", f.sockets, f.workers)}
	}
	secret, err := loadSecret(f.secretFile, log)
	if err != nil {
		return err
	}
	useProcessors(f.workers)
	eng, err := engine.Start(engine.Config{Set: set, Revision: 1, Strict: true, Secret: secret, Workers: f.workers, Sockets: f.sockets, Logger: log})
	if err != nil {
		return err
	}
	defer eng.Stop()
	if f.metrics != "" {
		srv, err := exporter.Serve(f.metrics, eng)
		if err != nil {
			return err
		}
		defer srv.Close()
	}
	announce(log, eng)
	warn(log, set)
	if watchErr != nil {
		log.Warn("changes of the file are not noticed by themselves; SIGHUP applies it", "file", f.file, "error", watchErr)
	}
	for {
		select {
		case <-ctx.Done():
			log.Info("ending")
			return nil
		case <-hup:
			f.reload(eng, log)
		case <-changed:
			f.reload(eng, log)
		}
	}
}

// useProcessors gives Go's scheduler a processor for each CPU and one more for each
// worker: a worker that waits for datagrams holds its own (docs/adr/0004-udp-io.md).
func useProcessors(workers int) {
	runtime.GOMAXPROCS(runtime.NumCPU() + workers)
}

// load makes the objects, from the file or from the flags.
func (f *runFlags) load() (*object.Set, error) {
	switch {
	case f.file != "" && len(f.listen)+len(f.servers) > 0:
		return nil, usage{errors.New("give -f, or --listen and --server, not both")}
	case f.file != "":
		return loadFile(f.file)
	case len(f.listen) == 0 && len(f.servers) == 0:
		return nil, usage{errors.New("nothing to run: give -f lb.yaml, or --listen udp://0.0.0.0:5060 and --server 10.0.0.1:5060")}
	case len(f.listen) == 0:
		return nil, usage{errors.New("--listen is missing, as in --listen udp://0.0.0.0:5060")}
	case len(f.servers) == 0:
		return nil, usage{errors.New("--server is missing, as in --server 10.0.0.1:5060")}
	}
	algorithm, ok := algorithms[f.algorithm]
	if !ok {
		return nil, usage{fmt.Errorf("--algorithm %q: must be one of %s", f.algorithm, strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))}
	}
	set, err := object.Quick(f.listen, f.servers, object.QuickOptions{Algorithm: algorithm, NoMonitor: f.noMonitor})
	if err != nil {
		return nil, usage{err}
	}
	for i := range set.ApplicationProfiles {
		set.ApplicationProfiles[i].SIPServiceProfile.RecordRoute = f.recordRoute
	}
	return set, nil
}

var algorithms = map[string]object.LBAlgorithm{
	"consistent-hash":   object.ConsistentHash,
	"round-robin":       object.RoundRobin,
	"random":            object.Random,
	"least-connections": object.LeastConnections,
	"fewest-tasks":      object.FewestTasks,
}

func loadFile(name string) (*object.Set, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return object.Load(name, data)
}

func newLogger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: must be debug, info, warn or error", level)
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: l})), nil
}

func announce(log *slog.Logger, eng *engine.Engine) {
	st := eng.Status()
	for _, s := range st.Services {
		for _, l := range s.Listeners {
			if !l.Egress {
				log.Info("listening", "virtual_service", s.Name, "address", "udp://"+l.Addr.String(), "workers", l.Workers, "pool", s.Pool)
			}
		}
	}
	for _, p := range st.Pools {
		log.Info("pool", "name", p.Name, "algorithm", p.Algorithm, "servers", len(p.Servers))
	}
}

// warn logs what a configuration says that has no effect, or looks odd.
func warn(log *slog.Logger, set *object.Set) {
	for _, w := range set.Warnings() {
		log.Warn("configuration", "note", w)
	}
}

// reload applies the file; a bad one is refused whole, and what ran goes on.
func (f *runFlags) reload(eng *engine.Engine, log *slog.Logger) {
	if f.file == "" {
		log.Info("SIGHUP: nothing to read again, the objects came from flags")
		return
	}
	begin := time.Now()
	set, err := loadFile(f.file)
	if err == nil {
		err = eng.Apply(set, eng.Status().Revision+1)
	}
	if err != nil {
		log.Error("configuration refused, the one before stays in force", "file", f.file, "error", err)
		return
	}
	warn(log, set)
	log.Info("configuration applied", "file", f.file, "revision", eng.Status().Revision, "took_ms", time.Since(begin).Milliseconds())
}
