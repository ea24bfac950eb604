package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
	"github.com/carillon-sip/carillon/internal/view"
)

func validateCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "validate",
		Short:   "Check a file of objects without running it",
		Example: "  carillon validate -f lb.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage{errors.New("give the file: -f lb.yaml")}
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			set, err := object.Load(file, data)
			if err != nil {
				return view.Pointed(err, data)
			}
			if _, err := snapshot.Compile(set, nil, snapshot.Env{Sealer: token.New(nil)}, 1); err != nil {
				return err
			}
			for _, w := range set.Warnings() {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %s\n", file, w)
			}
			servers := 0
			for i := range set.Pools {
				servers += len(set.Pools[i].Servers)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s, %s, %s\n", file,
				count(len(set.VirtualServices), "virtual service"), count(len(set.Pools), "pool"), count(servers, "server"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file of objects, YAML or JSON")
	return cmd
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
