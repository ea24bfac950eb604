// Package cli is the commands that work on objects from files and from the command line: get, apply, diff, edit and
// their like. Each is one or two calls of the REST API.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// Exit codes. docs/cli.md has them for people.
const (
	ExitFailed      = 1 // refused, or failed
	ExitUsage       = 2 // called in a wrong way
	ExitDiffers     = 3 // diff has found differences
	ExitNotFound    = 4
	ExitUnreachable = 5 // no answer: whether a change has happened is not known
	ExitDenied      = 6 // not logged in, no right, or a certificate that is not trusted
)

// ExitCodes are the codes with their meaning, as the manual tells them.
var ExitCodes = []struct {
	Code    int
	Meaning string
}{
	{0, "done"},
	{ExitFailed, "refused, or failed; nothing was changed unless the text says otherwise"},
	{ExitUsage, "called in a wrong way"},
	{ExitDiffers, "`diff` has found differences"},
	{ExitNotFound, "there is no such object"},
	{ExitUnreachable, "no answer: the controller cannot be reached"},
	{ExitDenied, "not logged in, no right, or a certificate that is not trusted"},
}

// UsageError is an error in how a command was called.
type UsageError struct {
	Err     error
	Command string // whose --help says more; empty: carillon
}

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

func usage(format string, args ...any) error { return UsageError{Err: fmt.Errorf(format, args...)} }

// errDiffers ends diff when there are differences; nothing is printed of it.
var errDiffers = errors.New("there are differences")

// ExitCode is the code of an error, and what is told of it; an empty text: nothing.
func ExitCode(err error) (code int, text string) {
	var u UsageError
	var refused *client.Error
	var lost *client.UnreachableError
	var untrusted *client.UntrustedError
	var missing *client.NotFound
	switch {
	case err == nil:
		return 0, ""
	case errors.Is(err, errDiffers):
		return ExitDiffers, ""
	case errors.As(err, &u):
		return ExitUsage, fmt.Sprintf("%v\nTry '%s --help'.", err, cmp.Or(u.Command, "carillon"))
	case errors.As(err, &untrusted):
		return ExitDenied, fmt.Sprintf("%v\nIf that is the fingerprint that the controller logs when it starts: carillon context trust --server %s --fingerprint %s",
			err, untrusted.Server, untrusted.Fingerprint)
	case errors.As(err, &lost):
		return ExitUnreachable, err.Error() + "\nIs 'carillon run' or 'carillon controller' running there? --server, CARILLON_SERVER or 'carillon context' say where."
	case errors.As(err, &missing):
		return ExitNotFound, fmt.Sprintf("%v\n'carillon get %s' lists those that there are.", err, missing.Kind.Path)
	case errors.As(err, &refused):
		return refusedCode(refused, err)
	}
	return ExitFailed, err.Error()
}

func refusedCode(e *client.Error, err error) (int, string) {
	switch e.Status {
	case http.StatusUnauthorized:
		return ExitDenied, err.Error() + "\nLog in with 'carillon login', or set CARILLON_USER and CARILLON_PASSWORD."
	case http.StatusForbidden:
		return ExitDenied, err.Error()
	case http.StatusNotFound:
		return ExitNotFound, err.Error()
	case http.StatusPreconditionFailed:
		return ExitFailed, err.Error() + "\nSomebody else changed it meanwhile: get it again."
	}
	return ExitFailed, err.Error()
}

// Flags are those of every command that calls the API.
type Flags struct {
	client.Options
}

// Add adds the flags to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.Server, "server", "", "where the API is, https://host:port (default: CARILLON_SERVER, the context, "+client.DefaultServer+")")
	fl.StringVar(&f.Context, "context", "", "context to use (default: CARILLON_CONTEXT, the current one)")
	fl.StringVar(&f.User, "user", "", "who calls (default: CARILLON_USER, the context, admin); the password comes from CARILLON_PASSWORD or 'carillon login'")
	fl.StringVar(&f.Tenant, "tenant", "", "tenant to work in (default: CARILLON_TENANT, the context, the user's own); * reads all")
	fl.StringVar(&f.CA, "ca", "", "file with the authority of the server's certificate (default: CARILLON_CA)")
	fl.BoolVar(&f.Insecure, "insecure", false, "do not check the server's certificate: whoever is in between reads the password")
	_ = cmd.RegisterFlagCompletionFunc("context", completeContexts) // the flag is there
}

// Client connects as the flags say.
func (f *Flags) Client(stderr io.Writer) (*client.Client, error) {
	cfg, err := client.Resolve(f.Options)
	if err != nil {
		return nil, UsageError{Err: err}
	}
	if cfg.Insecure {
		fmt.Fprintf(stderr, "WARNING: the certificate of %s is not checked (--insecure): whoever is in between reads the password and changes what he likes.\n", cfg.Server)
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, UsageError{Err: err}
	}
	return c, nil
}

// app is what commands share.
type app struct {
	flags   Flags
	version string
}

// Commands returns the commands.
func Commands(version string) []*cobra.Command {
	var out []*cobra.Command
	for _, make := range []func(*app) *cobra.Command{
		applyCommand, getCommand, describeCommand, deleteCommand, editCommand, diffCommand, exportCommand, importCommand,
		explainFieldCommand, loginCommand, contextCommand, versionCommand,
	} {
		out = append(out, make(&app{version: version}))
	}
	return out
}

// screen is where a command's output goes.
func screen(cmd *cobra.Command) *view.Screen {
	if f, ok := cmd.OutOrStdout().(*os.File); ok {
		return view.NewScreen(f)
	}
	return &view.Screen{Out: cmd.OutOrStdout()}
}

func say(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
}

// shortKinds are short names of types, as people say them.
var shortKinds = map[string]string{
	"vs": "VirtualService", "vip": "VsVip", "hm": "HealthMonitor", "pg": "PoolGroup", "se": "ServiceEngine", "cert": "SSLKeyAndCertificate",
	"app": "ApplicationProfile", "net": "NetworkProfile",
}

// kindArg reads a type of object: its name, its plural, or its short name.
func kindArg(text string) (object.KindInfo, error) {
	if k, ok := object.FindKind(text); ok {
		return k, nil
	}
	if k, ok := object.FindKind(strings.TrimSuffix(text, "s")); ok && text != "vs" {
		return k, nil
	}
	if k, ok := object.FindKind(shortKinds[strings.ToLower(text)]); ok {
		return k, nil
	}
	names := types()
	if near := object.Nearest(strings.ToLower(text), names); near != "" {
		return object.KindInfo{}, usage("there is no type of object %q; did you mean %s?", text, near)
	}
	return object.KindInfo{}, usage("there is no type of object %q; there are: %s", text, strings.Join(names, ", "))
}

// args refuses a number of arguments, in words.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 && strings.HasPrefix(what, "TYPE") {
			return usage("expected %s %s; types are %s", cmd.CommandPath(), what, strings.Join(types(), ", "))
		}
		if len(args) < least || len(args) > most {
			return usage("expected %s %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

func types() []string {
	var out []string
	for _, k := range object.Kinds() {
		out = append(out, k.Path)
	}
	return out
}

// onlyFlag refuses arguments of a command that takes its files by -f, which is easily forgotten.
func onlyFlag(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("expected %s %s; did you mean -f %s?", cmd.CommandPath(), what, args[0])
		}
		return nil
	}
}

const many = 1 << 20

// completeTypes completes a type, then names of that type.
func (a *app) completeTypes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) == 0 {
		for _, k := range object.Kinds() {
			out = append(out, k.Path+"\t"+view.KindHelp(k.Name))
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	k, err := kindArg(args[0])
	if err != nil || len(args) > 1 && (cmd.Name() == "describe" || cmd.Name() == "edit") { // those take one name
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := a.flags.Client(io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	names, err := c.Names(cmd.Context(), k)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp // somebody types; the command will tell
	}
	names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(args[1:], n) })
	return names, cobra.ShellCompDirectiveNoFileComp
}

// fetch finds an object.
func fetch(ctx context.Context, c *client.Client, k object.KindInfo, name string, full bool) (*view.Node, error) {
	query := map[string][]string{}
	if !full {
		query["skip_default"] = []string{"true"}
	}
	data, found, err := c.Find(ctx, k, name, query)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, c.NoSuch(ctx, k, name)
	}
	return view.Parse(data)
}

func versionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program, and of the controller if one answers",
		Example: "  carillon version\n  carillon version --client",
		Args:    args(0, 0, ""),
	}
	only := cmd.Flags().Bool("client", false, "this program's alone")
	a.flags.Add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		say(cmd, "carillon %s", a.version)
		if *only {
			return nil
		}
		c, err := a.flags.Client(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		defer c.Close()
		data, err := c.Do(cmd.Context(), http.MethodGet, "/api/cluster/version", nil)
		if err != nil {
			say(cmd, "controller: %v", err)
			return nil
		}
		n, err := view.Parse(data)
		if err != nil {
			return err
		}
		say(cmd, "controller %s at %s, API of Avi %s", n.Get("carillon").String(), c.Config().Server, n.Get("Version").String())
		return nil
	}
	return cmd
}
