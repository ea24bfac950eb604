package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

func applyCommand(a *app) *cobra.Command {
	var files []string
	var dryRun, showDiff bool
	var prune, wait string
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Make the objects of files those of the controller",
		Long: `apply creates what is not there and changes what is, by name, in one request: all of it or
nothing. Applied again it changes nothing. Files are YAML or JSON in the forms of docs/objects,
any number of objects each; references may be to objects that are there already.

With --prune LABEL, a marker given as key or key=value, every object of the files is given that
marker, and what bears it and is in none of them is deleted.`,
		Example: `  carillon apply -f lb.yaml
  carillon apply -f conf.d --diff --dry-run
  carillon apply -f conf.d --prune team=voice
  carillon get pool edge -o yaml | sed s/10.0.0.1/10.0.0.9/ | carillon apply -f -`,
		Args: onlyFlag("-f FILE|DIR"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usage("-f is missing: expected carillon apply -f FILE|DIR")
			}
			patience, err := duration(wait)
			if err != nil {
				return err
			}
			return a.calling(cmd, func(c *client.Client, p *view.Progress) error {
				res, err := applyFiles(cmd, c, p, files, prune, dryRun)
				if err != nil {
					return err
				}
				if showDiff {
					if err := printDiff(cmd, res); err != nil {
						return err
					}
				}
				report(cmd, res, dryRun)
				if dryRun || wait == "" {
					return nil
				}
				return awaitEngines(cmd, c, p, res.Revision, patience, res.Has)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&files, "file", "f", nil, "file or directory of objects; - is standard input; may be repeated")
	fl.BoolVar(&dryRun, "dry-run", false, "tell what would be done, and do nothing")
	fl.BoolVar(&showDiff, "diff", false, "show the lines that change")
	fl.StringVar(&prune, "prune", "", "delete what bears this marker, key or key=value, and is not in the files")
	fl.StringVar(&wait, "wait", "", "wait so long for the engines to run it, such as 10s")
	a.flags.Add(cmd)
	return cmd
}

// applyFiles sends the objects of files in one request.
func applyFiles(cmd *cobra.Command, c *client.Client, p *view.Progress, files []string, prune string, dryRun bool) (*client.Applied, error) {
	objects, err := loadFiles(cmd, files, p)
	if err != nil {
		return nil, err
	}
	query := url.Values{"prune": {prune}, "dry_run": {strconv.FormatBool(dryRun)}}
	res, err := c.Apply(cmd.Context(), client.File(objects, prune), query, telling(p))
	p.Hide()
	return res, err
}

// report tells what became of each object.
func report(cmd *cobra.Command, res *client.Applied, dryRun bool) {
	scr := screen(cmd)
	words := map[string]string{"create": "created", "update": "changed", "delete": "deleted", "unchanged": "unchanged"}
	colours := map[string]string{"create": "green", "update": "yellow", "delete": "red", "unchanged": "faint"}
	for _, o := range res.Objects {
		text := words[o.Action]
		if dryRun && o.Action != "unchanged" {
			text += " (dry run)"
		}
		say(cmd, "%s/%s %s", pathOf(o.Kind), o.Name, scr.Paint(colours[o.Action], text))
	}
	for i, w := range res.Warnings {
		if i == maxNotes {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: and %s more like these\n", view.Thousands(len(res.Warnings)-maxNotes))
			break
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+w)
	}
	if scr.Terminal && len(res.Objects) > 1 {
		say(cmd, "%s", scr.Paint("bold", sum(res)))
	}
}

// maxNotes is how many warnings are told: of thousands of like objects nobody reads them.
const maxNotes = 20

// sum is what became of all objects: 3 objects: 1 created, 2 unchanged.
func sum(res *client.Applied) string {
	n := map[string]int{}
	for _, o := range res.Objects {
		n[o.Action]++
	}
	var parts []string
	for _, p := range [][2]string{{"create", "created"}, {"update", "changed"}, {"delete", "deleted"}, {"unchanged", "unchanged"}} {
		if n[p[0]] > 0 {
			parts = append(parts, view.Thousands(n[p[0]])+" "+p[1])
		}
	}
	return view.Count(len(res.Objects), "object") + ": " + strings.Join(parts, ", ")
}

// printDiff shows what changes, as YAML.
func printDiff(cmd *cobra.Command, res *client.Applied) error {
	scr := screen(cmd)
	for _, o := range res.Objects {
		if o.Action == "unchanged" {
			continue
		}
		name := pathOf(o.Kind) + "/" + o.Name
		before, err := asYAML(o.Kind, o.Before)
		if err != nil {
			return err
		}
		after, err := asYAML(o.Kind, o.After)
		if err != nil {
			return err
		}
		text := string(diff.Diff(name, before, name, after))
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "diff ") {
				continue
			}
			fmt.Fprintln(cmd.OutOrStdout(), paintLine(scr, strings.TrimSuffix(line, "\n")))
		}
	}
	return nil
}

func paintLine(scr *view.Screen, line string) string {
	switch {
	case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		return scr.Paint("bold", line)
	case strings.HasPrefix(line, "@@"):
		return scr.Paint("cyan", line)
	case strings.HasPrefix(line, "-"):
		return scr.Paint("red", line)
	case strings.HasPrefix(line, "+"):
		return scr.Paint("green", line)
	}
	return line
}

func asYAML(kind string, data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	n, err := view.Parse(data)
	if err != nil {
		return nil, err
	}
	return object.YAML(view.AsFile(kind, n).JSON())
}

func diffCommand(a *app) *cobra.Command {
	var files []string
	var prune string
	cmd := &cobra.Command{
		Use:     "diff -f FILE|DIR",
		Short:   "Show what apply would change; exit status 3 when it would change something",
		Example: "  carillon diff -f lb.yaml\n  carillon diff -f conf.d --prune team=voice",
		Args:    onlyFlag("-f FILE|DIR"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usage("-f is missing: expected carillon diff -f FILE|DIR")
			}
			return a.calling(cmd, func(c *client.Client, p *view.Progress) error {
				res, err := applyFiles(cmd, c, p, files, prune, true)
				if err != nil {
					return err
				}
				if err := printDiff(cmd, res); err != nil {
					return err
				}
				if res.Changed {
					return errDiffers
				}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file or directory of objects; - is standard input; may be repeated")
	cmd.Flags().StringVar(&prune, "prune", "", "as for apply")
	a.flags.Add(cmd)
	return cmd
}

func read(cmd *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(file)
}

// loadFiles reads files and directories of objects. Faults of all of them are told, with line and column.
func loadFiles(cmd *cobra.Command, files []string, p *view.Progress) ([]object.Any, error) {
	var names []string
	for _, file := range files {
		info, err := os.Stat(file)
		var missing *fs.PathError
		switch {
		case file == "-" || err == nil && !info.IsDir():
			names = append(names, file)
			continue
		case errors.As(err, &missing):
			return nil, fmt.Errorf("%s: %w", file, missing.Err)
		}
		err = filepath.WalkDir(file, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				names = append(names, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no file ends with .yaml, .yml or .json", strings.Join(files, ", "))
	}
	var all []object.Any
	var errs []error
	from := map[string]string{}
	for i, name := range names {
		p.Say("Reading", "%d of %s, %s", i, view.Count(len(names), "file"), view.Count(len(all), "object"))
		data, err := read(cmd, name)
		if err != nil {
			return nil, err
		}
		objects, err := object.LoadObjects(strings.Replace(name, "-", "standard input", map[bool]int{true: 1}[name == "-"]), data)
		if err != nil {
			errs = append(errs, view.Pointed(err, data))
			continue
		}
		for _, o := range objects {
			if other, twice := from[o.String()]; twice {
				errs = append(errs, fmt.Errorf("%s: %s is in %s too", name, o, other))
			}
			from[o.String()] = name
		}
		all = append(all, objects...)
	}
	if more := len(errs) - maxNotes; more > 0 {
		errs = append(errs[:maxNotes], fmt.Errorf("and %d more", more))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("nothing was changed:\n%w", err)
	}
	return all, nil
}
