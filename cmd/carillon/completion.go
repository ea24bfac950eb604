package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/cli"
	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
)

// completionCommand writes what a shell needs to complete commands, options, types and names of objects.
func completionCommand(root *cobra.Command) *cobra.Command {
	writers := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) }, "zsh": root.GenZshCompletion,
		"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Write what a shell needs to complete commands, options and names of objects",
		Long: `completion writes a script for a shell. Names of objects are asked of the controller while you type,
as the flags, variables and context say; when it does not answer there are none.`,
		Example: `  source <(carillon completion bash)
  carillon completion bash > /etc/bash_completion.d/carillon
  carillon completion zsh > "${fpath[1]}/_carillon"
  carillon completion fish > ~/.config/fish/completions/carillon.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || writers[args[0]] == nil {
				return usage{fmt.Errorf("expected carillon completion bash, zsh or fish")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return writers[args[0]](cmd.OutOrStdout()) },
	}
}

// completeTime bounds a question to the API while somebody types.
const completeTime = 2 * time.Second

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// asking completes with what the API tells.
func asking(flags *cli.Flags, ask func(ctx context.Context, c *client.Client, args []string) ([]string, error)) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		c, err := flags.Client(io.Discard)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		out, err := ask(ctx, c, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // somebody types; the command will tell
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func namesOf(ctx context.Context, c *client.Client, kind, before string) ([]string, error) {
	k, _ := object.FindKind(kind)
	names, err := c.Names(ctx, k)
	slices.Sort(names)
	for i := range names {
		names[i] = before + names[i]
	}
	return names, err
}

// completeNames completes the names of a kind of object.
func completeNames(flags *cli.Flags, kind string) completer {
	return asking(flags, func(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
		return namesOf(ctx, c, kind, "")
	})
}

// completeServers completes a pool and one of its servers; with others too the virtual services, as what may be enabled.
func completeServers(flags *cli.Flags, others bool) completer {
	return asking(flags, func(ctx context.Context, c *client.Client, args []string) ([]string, error) {
		switch {
		case len(args) == 0 && others:
			services, err := namesOf(ctx, c, "VirtualService", "virtualservice/")
			if err != nil {
				return nil, err
			}
			pools, err := namesOf(ctx, c, "Pool", "")
			return append(pools, services...), err
		case len(args) == 0:
			return namesOf(ctx, c, "Pool", "")
		case len(args) == 1 && !strings.Contains(args[0], "/"):
			return serversOf(ctx, c, args[0])
		}
		return nil, nil
	})
}

// serversOf are the servers of a pool, by hostname or by address and port.
func serversOf(ctx context.Context, c *client.Client, pool string) ([]string, error) {
	k, _ := object.FindKind("Pool")
	data, found, err := c.Find(ctx, k, pool, nil)
	if err != nil || !found {
		return nil, err
	}
	var p struct {
		Default uint16 `json:"default_server_port"`
		Servers []struct {
			IP       struct{ Addr netip.Addr }
			Port     uint16
			Hostname string
		}
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	var out []string
	for _, s := range p.Servers {
		port := s.Port
		if port == 0 {
			port = p.Default
		}
		at := netip.AddrPortFrom(s.IP.Addr, port).String()
		if s.Hostname != "" {
			out = append(out, s.Hostname+"\t"+at)
		} else {
			out = append(out, at)
		}
	}
	return out, nil
}
