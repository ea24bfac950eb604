package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/cli"
	"github.com/carillon-sip/carillon/internal/eyes"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/view"
)

// eyesCommands are the commands that look at traffic and help at a change.
func eyesCommands() []*cobra.Command {
	return []*cobra.Command{traceCommand(), topCommand(), callsCommand(), explainCommand(), previewCommand(),
		drainCommand(), undrainCommand(), enableCommand(false), enableCommand(true), doctorCommand()}
}

// looking makes a command that calls the API until it is done, or told to end.
func looking(cmd *cobra.Command, do func(ctx context.Context, e *eyes.Eyes, args []string) error) *cobra.Command {
	var flags cli.Flags
	flags.Add(cmd)
	complete(cmd, &flags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		c, err := flags.Client(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		defer c.Close()
		screen := &view.Screen{Out: cmd.OutOrStdout()}
		if f, ok := cmd.OutOrStdout().(*os.File); ok {
			screen = view.NewScreen(f)
		}
		note := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
		return do(ctx, &eyes.Eyes{Client: c, Screen: screen, Note: note}, args)
	}
	return cmd
}

// complete has a command complete the names of objects, where its arguments and options take some.
func complete(cmd *cobra.Command, flags *cli.Flags) {
	switch cmd.Name() {
	case "drain", "undrain":
		cmd.ValidArgsFunction = completeServers(flags, false)
	case "enable", "disable":
		cmd.ValidArgsFunction = completeServers(flags, true)
	default:
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	for name, kind := range map[string]string{"pool": "Pool", "virtualservice": "VirtualService"} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, completeNames(flags, kind)) // the flag is there
		}
	}
	for name, words := range map[string][]string{"view": {"servers", "services", "methods", "codes"}, "method": sip.Methods(), "code": {"4xx", "5xx", "6xx", "4xx-6xx"}} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // likewise
		}
	}
}

// between refuses a number of arguments, in words.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usage{fmt.Errorf("expected %s %s", cmd.CommandPath(), what)}
		}
		return nil
	}
}

func traceCommand() *cobra.Command {
	var o eyes.TraceOptions
	var code, source string
	var services []string
	var last time.Duration
	cmd := &cobra.Command{
		Use:   "trace [CALL-ID]",
		Short: "Follow messages live, and draw who sent what to whom, and why",
		Long: `trace shows messages as engines see them, from now on: the client, the balancer, its servers, the
times between, and beside each arrow what the balancer decided. Of filters that are given all
must fit; a message that fits brings the rest of its call. With --code the trace begins before
the code is known, so engines copy all messages meanwhile, and tell of the calls that fit.

A trace costs the engines nothing until it is asked for, and then a bounded amount: messages that
there is no room for are counted, and the count is told. Credentials and media keys are blanked
unless --secrets. Engines keep no messages of before: what is over cannot be traced.`,
		Example: `  carillon trace 3848276298220188511@192.0.2.7
  carillon trace --from '+3312345*' --full
  carillon trace --code 4xx-6xx --virtualservice edge
  carillon trace --method REGISTER --only --for 10s
  carillon trace --of pbx-1 --pcap pbx-1.pcapng
  carillon trace --method INVITE --pcap - | wireshark -k -i -`,
		Args: between(0, 1, "[CALL-ID]"),
	}
	f := cmd.Flags()
	f.StringVar(&o.Filter.From, "from", "", "user or number of From; a * at its end stands for anything")
	f.StringVar(&o.Filter.To, "to", "", "likewise of To")
	f.StringVar(&o.Filter.User, "number", "", "likewise of either")
	f.StringVar(&o.Filter.Method, "method", "", "of a request; of a response that of its CSeq")
	f.StringVar(&code, "code", "", "of a response: 486, 4xx, 400-499 or 4xx-6xx")
	f.StringVar(&o.Filter.Server, "of", "", "server that it comes from or goes to: name, address or address:port")
	f.StringVar(&source, "source", "", "address or prefix that it comes from or goes to")
	f.StringArrayVar(&services, "virtualservice", nil, "virtual service; may be repeated")
	f.BoolVar(&o.Filter.Only, "only", false, "only messages that fit themselves, not the rest of the call")
	f.BoolVar(&o.Filter.Secrets, "secrets", false, "with credentials and media keys, for an admin")
	f.BoolVar(&o.Full, "full", false, "with the texts; - and + before lines that leave otherwise than they came")
	f.StringVar(&o.Pcap, "pcap", "", "write packets to this file too, for Wireshark; - is standard output, and nothing is drawn")
	f.BoolVar(&o.JSON, "json", false, "one JSON value a line in place of the drawing")
	f.IntVarP(&o.Count, "count", "n", 0, "end after so many messages")
	f.DurationVar(&last, "for", 0, "end after this time")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, args []string) error {
		if len(args) == 1 {
			o.Filter.CallID = args[0]
		}
		q := o.Filter.Values()
		q.Set("code", code)
		q.Set("source", source)
		filter, err := report.ParseTraceFilter(q)
		if err != nil {
			return usage{err}
		}
		filter.Services = services
		filter.Before = code != "" && !filter.Only
		o.Filter = filter
		if last > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, last)
			defer cancel()
		}
		return e.Trace(ctx, o)
	})
}

func topCommand() *cobra.Command {
	var o eyes.TopOptions
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch servers, virtual services, methods and codes live",
		Long: `top shows rates, codes, response times, health, shares and drains as they are, on all engines
together. Keys: tab or 1 to 4 for another view, s and r for what it is sorted by, / to filter,
p to pause, ? for help, q to end. Into a pipe it writes a table each interval.`,
		Example: `  carillon top
  carillon top --view services --sort 5xx
  carillon top --plain -n 1`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.View, "view", "servers", "servers, services, methods or codes")
	f.StringVar(&o.Sort, "sort", "", "column to sort by, the largest first; names from a")
	f.StringVar(&o.Filter, "filter", "", "only lines that hold this text")
	f.BoolVar(&o.Plain, "plain", false, "tables one after the other, also on a terminal")
	f.IntVarP(&o.Times, "count", "n", 0, "end after so many tables, with --plain or into a pipe (0: when told to)")
	f.DurationVarP(&o.Every, "interval", "i", 2*time.Second, "time between looks")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, _ []string) error {
		if o.Every < time.Second { // a controller asks its engines no more often
			return usage{errors.New("--interval must be 1s or more")}
		}
		if err := o.Check(); err != nil {
			return usage{err}
		}
		return e.Top(ctx, o)
	})
}

func callsCommand() *cobra.Command {
	var o eyes.CallsOptions
	cmd := &cobra.Command{
		Use:   "calls",
		Short: "List calls that are up, by server",
		Long: `calls shows the Call-IDs that engines remember: their server, their age, the method of their last
request, how long ago that was, and when they are forgotten. A Call-ID is known for
transaction_timeout after its last request, whatever it was of. It is up from the 2xx to its INVITE
to the end of its BYE, where the application profile has record_route: else no BYE is seen, and
none is up. Engines keep a hash of a Call-ID and no text: that is told of calls that a trace has
seen.`,
		Example: `  carillon calls
  carillon calls --up
  carillon calls --pool edge --of pbx-1 --limit 1000
  carillon calls --limit 0`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.Pool, "pool", "", "of this pool")
	f.StringVar(&o.Server, "of", "", "of this server: name, address or address:port")
	f.StringVar(&o.Service, "virtualservice", "", "of this virtual service")
	f.BoolVar(&o.Up, "up", false, "only those that are up")
	f.IntVar(&o.Limit, "limit", 50, "calls to list; 0: only how many there are")
	f.BoolVar(&o.JSON, "json", false, "as the API has it")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, _ []string) error { return e.Calls(ctx, o) })
}

func explainCommand() *cobra.Command {
	var o eyes.ExplainOptions
	var file string
	cmd := &cobra.Command{
		Use:   "explain [-f FILE | CALL-ID]",
		Short: "Tell which way a message would go, and why",
		Long: `explain has an engine decide about a message as it would decide about one that comes, and sends
nothing: what was checked, what ties it to a server, which servers there are, and how it would leave.`,
		Example: `  carillon explain -f invite.txt
  carillon explain -f invite.txt --source 192.0.2.7:5060 --virtualservice edge
  carillon explain 3848276298220188511@192.0.2.7`,
		Args: between(0, 1, "[-f FILE | CALL-ID]"),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "file with the message as it is on the wire; line ends may be LF alone; - is standard input")
	f.StringVar(&o.Source, "source", "", "address and port that it comes from (default: where its top Via says)")
	f.StringVar(&o.Service, "virtualservice", "", "virtual service (default: the message tells)")
	f.StringVar(&o.Engine, "engine", "", "engine to ask (default: the first that answers)")
	f.BoolVar(&o.JSON, "json", false, "as the API has it")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, args []string) error {
		if (file == "") == (len(args) == 0) {
			return usage{errors.New("give a message with -f, or a Call-ID, one of them")}
		}
		if len(args) == 1 {
			o.CallID = args[0]
			return e.Explain(ctx, o)
		}
		data, err := readFile(cmd, file)
		if err != nil {
			return err
		}
		o.Message = string(data)
		return e.Explain(ctx, o)
	})
}

func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

func previewCommand() *cobra.Command {
	var files []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "preview -f FILE",
		Short: "Tell what a file would do if it were applied: sockets, calls, keys that move",
		Long: `preview works out what apply would change, against what is configured and what engines tell, and
changes nothing. Its status is 1 when the file would be refused.`,
		Example: `  carillon preview -f lb.yaml
  carillon get pool edge -o yaml | sed s/ratio:.1/ratio:\ 2/ | carillon preview -f -`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringArrayVarP(&files, "file", "f", nil, "file of objects; - is standard input; may be repeated")
	f.BoolVar(&asJSON, "json", false, "as the API has it")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, _ []string) error {
		if len(files) == 0 {
			return usage{errors.New("-f is missing: expected carillon preview -f FILE")}
		}
		var all []object.Any
		for _, file := range files {
			data, err := readFile(cmd, file)
			if err != nil {
				return err
			}
			objects, err := object.LoadObjects(strings.Replace(file, "-", "standard input", map[bool]int{true: 1}[file == "-"]), data)
			if err != nil {
				return view.Pointed(err, data)
			}
			all = append(all, objects...)
		}
		return e.Preview(ctx, all, asJSON)
	})
}

func drainCommand() *cobra.Command {
	var o eyes.DrainOptions
	cmd := &cobra.Command{
		Use:   "drain POOL SERVER",
		Short: "Give a server no new calls, and wait until those it has are over",
		Long: `drain disables a server: new calls go elsewhere, and those that it has go on until the deadline.
A call counts while it is up, and for transaction_timeout after its last request. The deadline is
graceful_disable_timeout of the pool: other servers of it that are draining get it too.

With --wait the status is 0 when no call was left, and 1 when the deadline came first.`,
		Example: `  carillon drain edge pbx-1 --deadline 30m --wait
  carillon drain edge 10.0.0.1:5060 --deadline never`,
		Args: between(2, 2, "POOL SERVER"),
	}
	f := cmd.Flags()
	f.StringVar(&o.Deadline, "deadline", "", "how long its calls may go on: such as 30m, 0 for at once, or never (default: graceful_disable_timeout of the pool)")
	f.BoolVar(&o.Wait, "wait", false, "wait until no call is left")
	f.BoolVar(&o.JSON, "json", false, "as the API has it")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, args []string) error {
		o.Pool, o.Server = args[0], args[1]
		return e.Drain(ctx, o)
	})
}

func undrainCommand() *cobra.Command {
	return looking(&cobra.Command{
		Use:     "undrain POOL SERVER",
		Short:   "Give a server new calls again",
		Example: "  carillon undrain edge pbx-1",
		Args:    between(2, 2, "POOL SERVER"),
	}, func(ctx context.Context, e *eyes.Eyes, args []string) error { return e.Undrain(ctx, args[0], args[1]) })
}

func enableCommand(on bool) *cobra.Command {
	name, short := "disable", "Disable a server, a pool or a virtual service"
	long := "A server that is disabled drains for the pool's graceful_disable_timeout; a pool takes no calls; a virtual service\nhas no sockets."
	if on {
		name, short, long = "enable", "Enable a server, a pool or a virtual service", ""
	}
	return looking(&cobra.Command{
		Use: name + " POOL [SERVER] | virtualservice/NAME", Short: short, Long: long,
		Example: fmt.Sprintf("  carillon %s edge 10.0.0.1:5060\n  carillon %s edge\n  carillon %s virtualservice/sip", name, name, name),
		Args:    between(1, 2, "POOL [SERVER] | virtualservice/NAME"),
	}, func(ctx context.Context, e *eyes.Eyes, args []string) error {
		return e.Enable(ctx, args[0], strings.Join(args[1:], ""), on)
	})
}

func doctorCommand() *cobra.Command {
	var o eyes.DoctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and the virtual services, and say what is wrong and how to mend it",
		Long: `doctor looks at engines and what they cannot run, the store and what of it nobody can read,
listeners, advertised addresses and names, routes
to servers from the addresses that requests leave from, MTU, socket buffers, the clock and limits
of open files, and sends an OPTIONS and a REGISTER through each listener of each virtual service,
over UDP, TCP and TLS, whose certificate it looks at. Run it on the machine of an engine, as its
user or as root: what is on another machine is told as not looked at. Its status is 1 when
something is wrong.`,
		Example: `  carillon doctor
  carillon doctor --virtualservice edge --user-part 1001
  carillon doctor --no-probe`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.Service, "virtualservice", "", "only this one")
	f.StringVar(&o.User, "user-part", "carillon-doctor", "user of the To that is registered, without credentials: a refusal is as good as an acceptance")
	f.BoolVar(&o.NoProbe, "no-probe", false, "send no SIP")
	f.BoolVar(&o.JSON, "json", false, "findings as JSON")
	return looking(cmd, func(ctx context.Context, e *eyes.Eyes, _ []string) error { return e.Doctor(ctx, o) })
}
