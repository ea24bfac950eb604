package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/exporter"
)

func controllerCommand() *cobra.Command {
	var sf storeFlags
	var af apiFlags
	var level, metrics string
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Run a controller: the REST API and the objects, no SIP",
		Long: `controller serves the REST API on a store, for engines that run elsewhere. Any number
of controllers work on one etcd cluster side by side.`,
		Example: `  carillon controller --store embedded --data /var/lib/carillon --api 0.0.0.0:9443
  carillon controller --store https://etcd-1:2379,https://etcd-2:2379,https://etcd-3:2379 --store-ca ca.pem --api 0.0.0.0:9443`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := sf.together(cmd.Flags()); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			log, err := newLogger(level)
			if err != nil {
				return usage{err}
			}
			st, err := sf.open(ctx, log)
			if err != nil {
				return err
			}
			defer st.Close()
			cp, err := startController(ctx, st, &sf, &af, nil, log, nil)
			if err != nil {
				return err
			}
			defer cp.stop()
			if metrics != "" {
				srv, err := exporter.Serve(metrics, nil, cp.collectors()...)
				if err != nil {
					return err
				}
				defer srv.Close()
			}
			<-ctx.Done()
			log.Info("ending")
			return nil
		},
	}
	sf.add(cmd.Flags(), "where the objects are kept: embedded, in --data, or the URLs of an etcd cluster with commas between")
	af.add(cmd.Flags())
	cmd.Flags().StringVar(&metrics, "metrics", "", "address for /metrics (Prometheus) and /healthz, as 127.0.0.1:9090")
	cmd.Flags().StringVar(&level, "log-level", "info", "least level of log lines: debug, info, warn or error")
	return cmd
}
