package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/engine"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/quick"
	"github.com/carillon-sip/carillon/internal/view"
)

// runFlags are the flags of `carillon run`.
type runFlags struct {
	file        string
	listen      []string
	servers     []string
	recordRoute bool
	algorithm   string
	noMonitor   bool
	secretFile  string
	cert, key   string
	print       bool

	store  storeFlags
	api    apiFlags
	engine engineFlags
}

func runCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the balancer: engine, controller and REST API in one process",
		Long: `run starts an engine, a controller with its REST API, and a store for the objects, in one
process. Objects from flags or a file are applied to the store; others are made through the
API. With --store none there is neither store nor API, only the engine and the file.`,
		Example: `  carillon run
  carillon run --listen udp://0.0.0.0:5060 --server 10.0.0.1:5060 --server 10.0.0.2:5060
  carillon run -f lb.yaml --metrics 127.0.0.1:9090
  carillon run -f lb.yaml --store none`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, f) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.file, "file", "f", "", "file of objects, YAML or JSON; applied anew when it changes, and on SIGHUP")
	fl.StringArrayVar(&f.listen, "listen", nil, "address to listen on, as udp://10.0.0.10:5060, tcp://[2001:db8::1]:5060 or tls://0.0.0.0:5061; udp://:5060 is all addresses; may be repeated")
	fl.StringArrayVar(&f.servers, "server", nil, "server of the pool, as 10.0.0.1:5060, spoken to over UDP or TCP as the client came, or udp://10.0.0.1:5060, tcp:// or tls://; may be repeated")
	fl.StringVar(&f.cert, "cert", "", "certificate for --listen tls://, PEM, with those that lead to a root (with --server)")
	fl.StringVar(&f.key, "key", "", "private key of --cert, PEM (with --server)")
	fl.BoolVar(&f.recordRoute, "record-route", true, "stay on the path of dialogs (with --server)")
	fl.StringVar(&f.algorithm, "algorithm", "consistent-hash", "how servers are chosen: consistent-hash, round-robin, random, least-connections, fewest-tasks, least-load, fastest-response (with --server)")
	fl.BoolVar(&f.noMonitor, "no-monitor", false, "servers count as up, and are not probed (with --server)")
	fl.StringVar(&f.secretFile, "secret-file", "", "file with the secret of tokens and placement; engines that share calls share it (default: made at the first start, and kept with the objects)")
	fl.BoolVar(&f.print, "print", false, "print the objects that would be run, with all defaults, and end")
	f.store.add(fl, "where the objects are kept: embedded, in --data; the URLs of an etcd cluster with commas between; or none: the file alone counts, and there is no API")
	f.api.add(fl)
	f.engine.add(fl)
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
	if err := f.together(cmd.Flags()); err != nil {
		return err
	}
	asked := replaceRequests()
	changed, watchErr := watch(ctx, f.file)
	set, err := f.load()
	if err != nil {
		return err
	}
	if f.print {
		if set == nil {
			return usage{errNothing}
		}
		_, err := cmd.OutOrStdout().Write(set.YAML(object.Full))
		return err
	}
	log, err := f.engine.check()
	if err != nil {
		return err
	}
	s, err := begin(&f.engine.succession, f.door(), asked, log)
	if err != nil {
		return err
	}
	start := f.whole
	if f.store.where == storeNone {
		start = f.alone
	}
	r, err := start(ctx, set, s)
	if err != nil {
		s.end()
		return err
	}
	if set != nil {
		warn(log, set)
	}
	if watchErr != nil {
		log.Warn("changes of the file are not noticed by themselves; SIGHUP applies it", "file", f.file, "error", watchErr)
	}
	reload := make(chan struct{})
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
			case <-changed:
			}
			select {
			case reload <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	r.reload = func() { f.reload(ctx, r, log) }
	return s.serve(ctx, r, &f.engine, reload)
}

// door is where a successor that was not started by this process may knock; empty: nowhere.
func (f *runFlags) door() string {
	if f.store.where == storeNone {
		return ""
	}
	return filepath.Join(f.store.dir(), "handover")
}

// alone starts an engine without a store: the file, or the flags, are all there is.
func (f *runFlags) alone(_ context.Context, set *object.Set, s *succession) (*running, error) {
	if set == nil {
		return nil, usage{errNothing}
	}
	secret, err := loadSecret(f.secretFile, s.log)
	if err != nil {
		return nil, err
	}
	cfg := f.engine.config(s)
	cfg.Set, cfg.Revision, cfg.Strict, cfg.Secret = set, 1, true, secret
	eng, err := engine.Start(cfg)
	if err != nil {
		return nil, err
	}
	r := &running{engine: eng, apply: func(_ context.Context, set *object.Set) error {
		return eng.Apply(set, eng.Status().Revision+1)
	}}
	r.close = r.closeEngine
	return r, nil
}

// owner marks the objects that come from the file or the flags of `carillon run`.
const owner = "carillon run"

// whole starts both wings on a store.
func (f *runFlags) whole(ctx context.Context, set *object.Set, s *succession) (*running, error) {
	secret, err := firstSecret(f.secretFile)
	if err != nil {
		return nil, err
	}
	r := &running{}
	r.open = func(ctx context.Context) error { return f.openWings(ctx, r, nil, secret, s) }
	return r, f.openWings(ctx, r, set, secret, s)
}

// openWings opens the store and starts controller and agent, around the engine that runs if there is one.
func (f *runFlags) openWings(ctx context.Context, r *running, set *object.Set, secret []byte, s *succession) error {
	st, err := f.store.open(ctx, s.log)
	if err != nil {
		return err
	}
	cp, err := startController(ctx, st, &f.store, &f.api, secret, s.log, s.listen("api"))
	if err != nil {
		return errors.Join(err, st.Close())
	}
	undo := func(err error) error {
		cp.stop()
		return errors.Join(err, st.Close())
	}
	if f.secretFile != "" && !cp.HasSecret(secret) {
		return undo(fmt.Errorf("--secret-file %s: the store has another secret already; leave the flag out, or give another --data", f.secretFile))
	}
	if set != nil {
		if _, err := cp.ApplySet(ctx, set, owner); err != nil {
			return undo(err)
		}
	}
	ag, err := f.engine.agent(ctx, st, cp.Source(), f.store.dir(), r.engine, s)
	if err != nil {
		return undo(err)
	}
	if faults := ag.Engine().Faults(); set != nil && len(faults) > 0 {
		ag.Stop()
		return undo(faultWords(faults))
	}
	r.engine, r.more = ag.Engine(), cp.collectors()
	r.apply = func(ctx context.Context, set *object.Set) error {
		res, err := cp.ApplySet(ctx, set, owner)
		if err != nil {
			return err
		}
		if live := cp.WaitLive(ctx, res.Revision, applyWait, nil); !live.Live {
			return fmt.Errorf("stored as revision %d, but not all of it runs: %v", res.Revision, live.Engines)
		}
		return nil
	}
	r.close = func(all bool) {
		ag.Leave()
		r.closeEngine(all)
		cp.stop()
		if err := st.Close(); err != nil {
			s.log.Warn("the store did not close well", "error", err)
		}
	}
	return nil
}

// applyWait is how long a changed file is waited for until it runs.
const applyWait = 10 * time.Second

// faultWords makes one error of what virtual services lack.
func faultWords(faults map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		errs = append(errs, fmt.Errorf("VirtualService/%s: %s", name, faults[name]))
	}
	return errors.Join(errs...)
}

var errNothing = errors.New("nothing to run: give -f lb.yaml, or --listen udp://0.0.0.0:5060 and --server 10.0.0.1:5060")

// load makes the objects, from the file or from the flags. Nil: neither was given.
func (f *runFlags) load() (*object.Set, error) {
	switch {
	case f.file != "":
		data, err := os.ReadFile(f.file)
		if err != nil {
			return nil, err
		}
		set, err := object.Load(f.file, data)
		if err != nil {
			return nil, view.Pointed(err, data)
		}
		return set, nil
	case len(f.listen) == 0 && len(f.servers) == 0:
		return nil, nil
	case len(f.listen) == 0:
		return nil, usage{errors.New("--listen is missing, as in --listen udp://0.0.0.0:5060")}
	case len(f.servers) == 0:
		return nil, usage{errors.New("--server is missing, as in --server 10.0.0.1:5060")}
	}
	algorithm, ok := algorithms[f.algorithm]
	if !ok {
		return nil, usage{fmt.Errorf("--algorithm %q: must be one of %s", f.algorithm, strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))}
	}
	o := quick.Options{Algorithm: algorithm, NoMonitor: f.noMonitor}
	for _, file := range []struct {
		flag, name string
		to         *string
	}{{"--cert", f.cert, &o.Certificate}, {"--key", f.key, &o.Key}} {
		if file.name == "" {
			continue
		}
		data, err := os.ReadFile(file.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.flag, err)
		}
		*file.to = string(data)
	}
	set, err := quick.Set(f.listen, f.servers, o)
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
	"least-load":        object.LeastLoad,
	"fastest-response":  object.FastestResponse,
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
				log.Info("listening", "virtual_service", s.Name, "address", strings.ToLower(l.Transport.String())+"://"+l.Addr.String(), "workers", l.Workers, "pool", s.Pool)
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
func (f *runFlags) reload(ctx context.Context, r *running, log *slog.Logger) {
	if f.file == "" {
		log.Info("SIGHUP: nothing to read again, the objects came from flags")
		return
	}
	begin := time.Now()
	set, err := loadFile(f.file)
	if err == nil {
		err = r.apply(ctx, set)
	}
	if err != nil {
		log.Error("configuration refused, the one before stays in force", "file", f.file, "error", err)
		return
	}
	warn(log, set)
	log.Info("configuration applied", "file", f.file, "revision", r.engine.Status().Revision, "took_ms", time.Since(begin).Milliseconds())
}
