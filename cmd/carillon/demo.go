package main

import (
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/demo"
	"github.com/carillon-sip/carillon/internal/engine"
)

func demoCommand() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Balance calls between user agents of its own, and show it live",
		Long: `demo starts the balancer on loopback, three SIP servers and callers that register with
digest and place calls, and shows what happens as a live table. Keys kill, revive and
drain a server; without a terminal it prints one line a second.`,
		Example: `  carillon demo
  carillon demo --rate 50 --kill 2@10s --revive 2@20s --duration 30s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if o.Servers == 0 || o.Callers == 0 || o.Rate == 0 { // to demo.Run it would mean: as you like
				return usage{errors.New("--servers, --callers and --rate must be more than 0")}
			}
			if err := o.Validate(); err != nil {
				return usage{err}
			}
			o.Workers = engine.Workers(o.Workers, 1)
			useProcessors(o.Workers)
			return demo.Run(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "", "address of the balancer (default "+demo.DefaultListen+", or a free port if that is taken)")
	f.IntVar(&o.Servers, "servers", 3, "servers, 1 to 9")
	f.IntVar(&o.Callers, "callers", 12, "callers, 1 to 500")
	f.Float64Var(&o.Rate, "rate", 20, "calls a second")
	f.DurationVar(&o.Talk, "talk", 5*time.Second, "mean length of a call")
	f.DurationVar(&o.Duration, "duration", 0, "end after this time (0: when told to)")
	f.BoolVar(&o.Plain, "plain", false, "one line a second, also on a terminal")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of all that happens by chance (0: another each time)")
	f.IntVar(&o.Workers, "workers", 0, "threads of the balancer (0: one for each CPU, but no more than 4)")
	f.BoolVar(&o.SharedNonces, "shared-nonces", false, "servers accept each other's digest nonces")
	f.StringArrayVar(&o.Kill, "kill", nil, "kill a server at a time, as 2@10s; may be repeated")
	f.StringArrayVar(&o.Revive, "revive", nil, "revive a server at a time, as 2@20s; may be repeated")
	f.StringArrayVar(&o.Drain, "drain", nil, "drain a server at a time, as 3@30s; may be repeated")
	f.StringArrayVar(&o.Undrain, "undrain", nil, "let a drained server have calls again, as 3@40s; may be repeated")
	return cmd
}
