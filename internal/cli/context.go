package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/view"
)

func completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	cs, err := client.LoadContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(cs.Contexts)), cobra.ShellCompDirectiveNoFileComp
}

func loginCommand(a *app) *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Check user and password, and keep them in a context",
		Long: `login asks for the password, tries it, and keeps it in a context: a file in the user's config
directory that nobody else may read. The context is named as --context says, else as the server.`,
		Example: "  carillon login\n  carillon login --server https://lb.example.net:9443 --user ops --context prod\n  carillon login --password-stdin < password.txt",
		Args:    args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			name := a.flags.Context
			cs, err := client.LoadContexts()
			if err != nil {
				return err
			}
			o := a.flags.Options
			if cs.Contexts[name] == nil {
				o.Context = ""
			}
			cfg, err := client.Resolve(o)
			if err != nil {
				return err
			}
			if stdin {
				line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
				if err != nil && !errors.Is(err, io.EOF) {
					return err
				}
				cfg.Password = strings.TrimRight(line, "\r\n")
			} else if os.Getenv("CARILLON_PASSWORD") == "" {
				if cfg.Password, err = AskPassword(cmd.ErrOrStderr(), fmt.Sprintf("Password of %s at %s: ", cfg.User, cfg.Server)); err != nil {
					return err
				}
			}
			if err := WhoAmI(cmd.Context(), cfg); err != nil {
				return err
			}
			if name == "" {
				name = contextName(cs, cfg.Server)
			}
			cs.Contexts[name] = &client.Context{Server: cfg.Server, User: cfg.User, Password: cfg.Password, Tenant: cfg.Tenant, CA: cfg.CAFile, Fingerprint: cfg.Fingerprint}
			cs.Current = name
			if err := cs.Save(); err != nil {
				return err
			}
			say(cmd, "Logged in as %s; context %s is kept in %s.", cfg.User, name, cs.File())
			return nil
		},
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	a.flags.Add(cmd)
	return cmd
}

// contextName is the context of a server that there is, else a name made of the server's.
func contextName(cs *client.Contexts, server string) string {
	for _, name := range slices.Sorted(maps.Keys(cs.Contexts)) {
		if cs.Contexts[name].Server == server {
			return name
		}
	}
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		return u.Host
	}
	return server
}

// AskPassword reads a password from the terminal.
func AskPassword(out io.Writer, prompt string) (string, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", usage("a password is missing: set CARILLON_PASSWORD, or run 'carillon login' on a terminal")
	}
	fmt.Fprint(out, prompt)
	data, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(out)
	return string(data), err
}

// WhoAmI tries user and password.
func WhoAmI(ctx context.Context, cfg client.Config) error {
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Do(ctx, http.MethodGet, "/api/whoami", nil)
	return err
}

func contextCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "context",
		Short:   "Places to call, by name: servers, users and whom to trust",
		Example: "  carillon context list\n  carillon context use prod\n  carillon context trust --server lb.example.net:9443",
		Args:    args(0, 0, "list|use|set|delete|trust"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{Use: "list", Short: "List the contexts", Example: "  carillon context list", Args: args(0, 0, ""), RunE: listContexts}
	use := &cobra.Command{Use: "use NAME", Short: "Make a context the current one", Example: "  carillon context use prod", Args: args(1, 1, "NAME"), ValidArgsFunction: completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(args[0], false, func(cs *client.Contexts, _ *client.Context) { cs.Current = args[0] })
		}}
	remove := &cobra.Command{Use: "delete NAME", Short: "Forget a context", Example: "  carillon context delete old", Args: args(1, 1, "NAME"), ValidArgsFunction: completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(args[0], false, func(cs *client.Contexts, _ *client.Context) {
				delete(cs.Contexts, args[0])
				if cs.Current == args[0] {
					cs.Current = ""
				}
			})
		}}
	cmd.AddCommand(list, use, remove, setContext(a), trustCommand(a))
	return cmd
}

func listContexts(cmd *cobra.Command, _ []string) error {
	cs, err := client.LoadContexts()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(cs.Contexts)) {
		x := cs.Contexts[name]
		mark, trust := "", "the system's authorities"
		if name == cs.Current {
			mark = "*"
		}
		switch {
		case x.Fingerprint != "":
			trust = "fingerprint " + x.Fingerprint[:min(16, len(x.Fingerprint))] + "..."
		case x.CA != "":
			trust = x.CA
		}
		rows = append(rows, []string{mark, name, x.Server, x.User, x.Tenant, trust})
	}
	if len(rows) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "There are no contexts; 'carillon login' makes one.")
		return nil
	}
	screen(cmd).Table([]string{"", "Name", "Server", "User", "Tenant", "Trust"}, rows)
	return nil
}

// change changes one context; with add it is made when it is not there.
func change(name string, add bool, f func(*client.Contexts, *client.Context)) error {
	cs, err := client.LoadContexts()
	if err != nil {
		return err
	}
	x := cs.Contexts[name]
	if x == nil && !add {
		return usage("there is no context %q; 'carillon context list' shows those that are", name)
	}
	if x == nil {
		x = &client.Context{}
		cs.Contexts[name] = x
	}
	f(cs, x)
	return cs.Save()
}

func setContext(a *app) *cobra.Command {
	var x client.Context
	cmd := &cobra.Command{Use: "set NAME", Short: "Make or change a context", Example: "  carillon context set prod --server https://lb.example.net:9443 --user ops --tenant voice",
		Args: args(1, 1, "NAME"), ValidArgsFunction: completeContexts}
	fl := cmd.Flags()
	fl.StringVar(&x.Server, "server", "", "where the API is, https://host:port")
	fl.StringVar(&x.User, "user", "", "who calls")
	fl.StringVar(&x.Tenant, "tenant", "", "tenant to work in")
	fl.StringVar(&x.CA, "ca", "", "file with the authority of the server's certificate")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return change(args[0], true, func(cs *client.Contexts, c *client.Context) {
			for _, p := range []struct{ to, from *string }{{&c.Server, &x.Server}, {&c.User, &x.User}, {&c.Tenant, &x.Tenant}, {&c.CA, &x.CA}} {
				if *p.from != "" {
					*p.to = *p.from
				}
			}
			if cs.Current == "" {
				cs.Current = args[0]
			}
		})
	}
	return cmd
}

func trustCommand(a *app) *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Trust the certificate of a server by its fingerprint",
		Long: `trust asks the server for its certificate, shows its fingerprint, and keeps it in the context of
the server: from then on that certificate is trusted, and no other. With --fingerprint nothing is
asked: it must be that one. A controller logs its fingerprint when it starts.`,
		Example: "  carillon context trust --server https://lb.example.net:9443\n  carillon context trust --server lb.example.net:9443 --fingerprint 5d2c...",
		Args:    args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := client.Resolve(a.flags.Options)
			if err != nil {
				return err
			}
			shown, err := client.Fingerprint(cmd.Context(), cfg.Server)
			if err != nil {
				return err
			}
			if want := strings.ToLower(strings.ReplaceAll(fingerprint, ":", "")); want != "" && want != shown {
				return &client.UntrustedError{Server: cfg.Server, Fingerprint: shown, Cause: errors.New("it is another one than --fingerprint says")}
			}
			if fingerprint == "" && !confirm(cmd, fmt.Sprintf("The certificate of %s has the fingerprint\n  %s\nIs it the one that the controller logs when it starts? [y/N] ", cfg.Server, shown)) {
				return errors.New("not trusted; nothing was changed")
			}
			cs, err := client.LoadContexts()
			if err != nil {
				return err
			}
			name := a.flags.Context
			if name == "" {
				name = contextName(cs, cfg.Server)
			}
			if cs.Contexts[name] == nil {
				cs.Contexts[name] = &client.Context{Server: cfg.Server}
			}
			cs.Contexts[name].Fingerprint, cs.Contexts[name].CA = shown, ""
			if cs.Current == "" {
				cs.Current = name
			}
			if err := cs.Save(); err != nil {
				return err
			}
			say(cmd, "Context %s trusts %s and no other.", name, shown)
			return nil
		},
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "SHA-256 of the certificate in hex, as the controller logs it")
	a.flags.Add(cmd)
	return cmd
}

// confirm asks on a terminal; elsewhere the answer is no.
func confirm(cmd *cobra.Command, question string) bool {
	if !view.NewScreen(os.Stderr).Terminal || !term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintln(cmd.ErrOrStderr(), question+"\nThere is no terminal to answer on: give --fingerprint.")
		return false
	}
	fmt.Fprint(cmd.ErrOrStderr(), question)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
}
