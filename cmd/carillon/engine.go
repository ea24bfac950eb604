package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/carillon-sip/carillon/internal/agent"
	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/store"
)

// engineFlags are those of an engine, whoever tells it what to run.
type engineFlags struct {
	name     string
	control  string
	metrics  string
	workers  int
	sockets  int
	logLevel string

	succession successionFlags
}

func (f *engineFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.name, "name", "", "name of the engine, unique on the store (default: the name of this host)")
	fl.StringVar(&f.control, "control", "", "address at which controllers ask the engine how it is (default: a port of 127.0.0.1, which is enough where all run on one machine)")
	fl.StringVar(&f.metrics, "metrics", "", "address for /metrics (Prometheus), /healthz and /readyz, as 127.0.0.1:9090")
	fl.IntVar(&f.workers, "workers", 0, "threads for each listening address; 0 is one for each CPU, but no more than 4 for each of --sockets")
	fl.IntVar(&f.sockets, "sockets", 1, "sockets for each listening address, which share the workers; with one, all messages of a call leave in the order they came; with more, those that one address and port sent")
	f.succession.add(fl)
	fl.StringVar(&f.logLevel, "log-level", "info", "least level of log lines: debug, info, warn or error")
}

// check looks at the flags, and makes the logger.
func (f *engineFlags) check() (*slog.Logger, error) {
	log, err := newLogger(f.logLevel)
	if err != nil {
		return nil, usage{err}
	}
	if f.workers < 0 || f.workers > 1024 {
		return nil, usage{fmt.Errorf("--workers %d is out of range: must be 0 to 1024", f.workers)}
	}
	f.workers = engine.Workers(f.workers, f.sockets)
	if f.sockets < 1 || f.sockets > f.workers {
		return nil, usage{fmt.Errorf("--sockets %d is out of range: must be 1 to %d, the number of workers", f.sockets, f.workers)}
	}
	useProcessors(f.workers)
	return log, nil
}

func (f *engineFlags) config(s *succession) engine.Config {
	return engine.Config{Workers: f.workers, Sockets: f.sockets, Logger: s.log, From: s.from}
}

// agent starts an engine that does what a store says, or has one do so that runs. source sees the store; nil: the agent looks by itself.
func (f *engineFlags) agent(ctx context.Context, st *store.Store, source *catalog.Source, dir string, eng *engine.Engine, s *succession) (*agent.Agent, error) {
	name := f.name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("the engine has no name: %w; give one with --name", err)
		}
		name = host
	}
	return agent.Start(ctx, agent.Config{Store: st, Source: source, Name: name, Engine: f.config(s), Running: eng, Control: f.control, Listen: s.listen("control"), Dir: dir, Version: version,
		Logger: s.log})
}

// useProcessors gives Go's scheduler a processor for each CPU and one more for each
// worker: a worker that waits for datagrams holds its own (docs/adr/0004-udp-io.md).
func useProcessors(workers int) {
	runtime.GOMAXPROCS(runtime.NumCPU() + workers)
}

// follow runs an engine that does what the store says.
func (f *engineFlags) follow(ctx context.Context, sf *storeFlags, s *succession) (*running, error) {
	r := &running{}
	r.open = func(ctx context.Context) error {
		st, err := sf.open(ctx, s.log)
		if err != nil {
			return err
		}
		ag, err := f.agent(ctx, st, nil, sf.dir(), r.engine, s)
		if err != nil {
			return errors.Join(err, st.Close())
		}
		r.engine = ag.Engine()
		r.close = func(all bool) {
			ag.Leave()
			r.closeEngine(all)
			if err := st.Close(); err != nil {
				s.log.Warn("the store did not close well", "error", err)
			}
		}
		return nil
	}
	return r, r.open(ctx)
}

func engineCommand() *cobra.Command {
	var sf storeFlags
	var f engineFlags
	cmd := &cobra.Command{
		Use:   "engine",
		Short: "Run an engine: SIP, as the store says",
		Long: `engine serves the virtual services that a store holds. It goes on with what it has when the
store is lost, and starts with what it had last. A controller on the same store takes changes.`,
		Example: `  carillon engine --name se-1 --store https://etcd-1:2379,https://etcd-2:2379,https://etcd-3:2379 --store-ca ca.pem --control 10.0.0.5:9444`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := sf.together(cmd.Flags()); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			asked := replaceRequests()
			if sf.where == storeEmbedded || sf.where == storeNone {
				return usage{fmt.Errorf("--store: an engine by itself needs the URLs of an etcd cluster; carillon run has a store of its own")}
			}
			log, err := f.check()
			if err != nil {
				return err
			}
			s, err := begin(&f.succession, filepath.Join(sf.dir(), "handover-"+strings.ReplaceAll(cmp.Or(f.name, "engine"), "/", "_")), asked, log)
			if err != nil {
				return err
			}
			r, err := f.follow(ctx, &sf, s)
			if err != nil {
				s.end()
				return err
			}
			return s.serve(ctx, r, &f, nil)
		},
	}
	sf.add(cmd.Flags(), "URLs of the etcd cluster that holds the objects, with commas between")
	f.add(cmd.Flags())
	return cmd
}
