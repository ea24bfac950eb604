package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/view"
)

func exportCommand(a *app) *cobra.Command {
	var secrets bool
	var file string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write all objects of all tenants, as import takes them",
		Long:    "export writes every object as JSON, by kind, with uuids. It takes an admin of all tenants. Without --secrets the places of secrets are blanked, and an import keeps those that are there.",
		Example: "  carillon export -f backup.json --secrets\n  carillon export | jq .Pool",
		Args:    args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.calling(cmd, func(c *client.Client, p *view.Progress) error {
				path := "/api/export"
				if secrets {
					path += "?secrets=true"
				}
				p.Say("The controller writes", "all objects")
				data, err := c.DoTelling(cmd.Context(), http.MethodGet, path, nil, telling(p))
				if err != nil {
					return err
				}
				p.End()
				if file == "" || file == "-" {
					_, err = cmd.OutOrStdout().Write(data)
					return err
				}
				return writePrivate(file, data)
			})
		},
	}
	cmd.Flags().BoolVar(&secrets, "secrets", false, "with keys and passwords' hashes, readable")
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to write, readable by you alone (default: standard output)")
	a.flags.Add(cmd)
	return cmd
}

func importCommand(a *app) *cobra.Command {
	var file, wait string
	cmd := &cobra.Command{
		Use:     "import -f FILE",
		Short:   "Bring in what export wrote: objects of all tenants, by uuid",
		Example: "  carillon import -f backup.json\n  carillon import -f backup.json --wait 60s",
		Args:    onlyFlag("-f FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usage("-f is missing: expected carillon import -f FILE")
			}
			patience, err := duration(wait)
			if err != nil {
				return err
			}
			data, err := read(cmd, file)
			if err != nil {
				return err
			}
			return a.calling(cmd, func(c *client.Client, p *view.Progress) error {
				path := "/api/import"
				if p.On() {
					path += "?progress=true"
				}
				answer, err := c.DoTelling(cmd.Context(), http.MethodPost, path, data, telling(p))
				if err != nil {
					return err
				}
				p.Hide()
				n, err := view.Parse(answer)
				if err != nil {
					return err
				}
				say(cmd, "%s objects brought in, revision %s", n.Get("objects").String(), n.Get("revision").String())
				if wait == "" {
					return nil
				}
				revision, err := strconv.ParseInt(n.Get("revision").String(), 10, 64)
				if err != nil {
					return fmt.Errorf("the answer to an import: %w", err)
				}
				return awaitEngines(cmd, c, p, revision, patience, func(string) bool { return true })
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file that export wrote; - is standard input")
	cmd.Flags().StringVar(&wait, "wait", "", "wait so long for the engines to run it, such as 10s")
	a.flags.Add(cmd)
	return cmd
}

// calling does something with the API that may take long, and shows how far it is.
func (a *app) calling(cmd *cobra.Command, do func(*client.Client, *view.Progress) error) error {
	c, err := a.flags.Client(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer c.Close()
	p := view.NewProgress(cmd.ErrOrStderr())
	defer p.End()
	return do(c, p)
}

// telling has a request tell its progress, if anybody sees it.
func telling(p *view.Progress) client.Telling {
	if !p.On() {
		return client.Telling{}
	}
	return client.Telling{Sent: p.Sent, Progress: p.Phase, Received: p.Received}
}

// duration reads a time such as 10s; a number is of seconds. Empty: none.
func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, usage("--wait %q is no time: expected one such as 10s", text)
	}
	return d, nil
}

// awaitEngines waits for the engines to run a change that has been made, and fails when one does not. What engines say of
// objects that are not ours is told, and nothing more.
func awaitEngines(cmd *cobra.Command, c *client.Client, p *view.Progress, revision int64, d time.Duration, ours func(object string) bool) error {
	live, err := c.AwaitLive(cmd.Context(), revision, d, func(l *client.Live) {
		p.Say("Waiting for engines", "%d of %d run revision %d", l.Running(), len(l.Engines), revision)
	})
	if err != nil {
		return fmt.Errorf("it is stored as revision %d; whether engines run it is not known: %w", revision, err)
	}
	p.Hide()
	var faults []string
	for i := range live.Engines {
		e := &live.Engines[i]
		if !e.Live {
			faults = append(faults, fmt.Sprintf("engine %s is at revision %d after %s", e.Name, e.Revision, d))
		}
		for object, words := range e.Errors {
			text := fmt.Sprintf("engine %s: %s: %s", e.Name, object, words)
			if !ours(object) {
				fmt.Fprintln(cmd.ErrOrStderr(), "note: "+text)
				continue
			}
			faults = append(faults, text)
		}
	}
	switch {
	case len(live.Engines) == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "note: no engine is registered; revision %d runs when one is\n", revision)
		return nil
	case len(faults) == 0:
		if screen(cmd).Terminal {
			say(cmd, "runs on %s", view.Count(len(live.Engines), "engine"))
		}
		return nil
	}
	slices.Sort(faults)
	return fmt.Errorf("it is stored as revision %d, but does not run everywhere:\n%s", revision, strings.Join(faults, "\n"))
}
