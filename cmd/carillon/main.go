// Command carillon is a SIP load balancer: one binary. This file and its
// neighbours are the roof of the house: flags, signals, wiring.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/carillon-sip/carillon/internal/cli"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/shell"
)

// version is set by the linker in releases.
var version = "0.1-dev"

// usage marks an error in how the command was called: exit status 2.
type usage struct{ error }

func main() {
	os.Exit(execute(os.Args[1:]))
}

func execute(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	var u usage
	var wrong cli.UsageError
	if errors.As(err, &u) || errors.As(err, &wrong) {
		err = cli.UsageError{Err: err, Command: cmd.CommandPath()}
	}
	code, text := cli.ExitCode(err)
	var script *shell.ScriptError
	if errors.As(err, &script) {
		code = cli.ExitFailed // whatever its line has met
	}
	if text != "" {
		fmt.Fprintf(os.Stderr, "carillon: %s\n", text)
	}
	return code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "carillon",
		Short: "A SIP load balancer",
		Long: `Carillon gives a farm of SIP servers one address. It sends every message of a call
to the same server, notices dead servers before callers do, and shows what it did.

  carillon demo                                    something to see at once
  carillon run --listen udp://0.0.0.0:5060 \
      --server 10.0.0.1:5060 --server 10.0.0.2:5060    two servers behind one address
  carillon run -f lb.yaml                          objects from a file
  carillon validate -f lb.yaml                     check a file
  carillon apply -f lb.yaml                        bring a file to a controller that runs
  carillon shell                                   configure and look, as in Avi's CLI`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.CompletionOptions.DisableDefaultCmd = true // ours has examples, and refuses what it does not know
	root.AddCommand(runCommand(), controllerCommand(), engineCommand(), validateCommand(), demoCommand(), shellCommand(), storeCommand(), manCommand(root), completionCommand(root))
	root.AddCommand(cli.Commands(version)...)
	root.AddCommand(eyesCommands()...)
	root.SetContext(context.Background())
	return root
}

// noArgs refuses arguments that are no flags; on the root it is an unknown command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return usage{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])}
	}
	msg := fmt.Sprintf("unknown command %q", args[0])
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if near := object.Nearest(strings.ToLower(args[0]), names); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	return usage{errors.New(msg)}
}

// wrongFlag says which flag may be meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return usage{err}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := object.Nearest(unknown.GetSpecifiedName(), names); near != "" {
		return usage{fmt.Errorf("%w; did you mean --%s?", err, near)}
	}
	return usage{err}
}
