package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/theory/jsonpath"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

func getCommand(a *app) *cobra.Command {
	var output, selector string
	var full bool
	cmd := &cobra.Command{
		Use:   "get TYPE [NAME...]",
		Short: "Show objects",
		Long: `get shows the objects of a type, or those with the names given. The forms yaml and json
are those of files: what get writes, apply takes. Defaults are left out unless --full. A
jsonpath sees all that the API answers: defaults, uuid, and how the object is doing.`,
		Example: `  carillon get pool
  carillon get virtualservice -o wide
  carillon get pool edge -o yaml > edge.yaml
  carillon get pool edge -o jsonpath='{.servers[*].ip.addr}'
  carillon get pool edge -o jsonpath='{.runtime.oper_status.state}'
  carillon get pool -l team=voice -o name`,
		Args:              args(1, many, "TYPE [NAME...]"),
		ValidArgsFunction: a.completeTypes,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := kindArg(args[0])
			if err != nil {
				return err
			}
			write, err := writerFor(output)
			if err != nil {
				return err
			}
			c, err := a.flags.Client(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer c.Close()
			table := output == "table" || output == "wide"
			list, err := collect(cmd, c, k, args[1:], selector, full || table || strings.HasPrefix(output, "jsonpath"))
			if err != nil {
				return err
			}
			return write(cmd, k, list, len(args) == 2)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&output, "output", "o", "table", "table, wide, yaml, json, name, or jsonpath=EXPRESSION (RFC 9535; the $ may be left out)")
	fl.StringVarP(&selector, "selector", "l", "", "only objects with this marker, key or key=value")
	fl.BoolVar(&full, "full", false, "yaml and json: defaults too")
	a.flags.Add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "wide", "yaml", "json", "name", "jsonpath="}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// collect finds the objects.
func collect(cmd *cobra.Command, c *client.Client, k object.KindInfo, names []string, selector string, full bool) ([]*view.Node, error) {
	query := url.Values{"include_name": {"true"}, "join_subresources": {"runtime"}}
	if !full {
		query.Set("skip_default", "true")
		query.Del("join_subresources")
	}
	if selector != "" {
		key, value, _ := strings.Cut(selector, "=")
		query.Set("label_key", key)
		query.Set("label_value", value)
	}
	if len(names) == 0 {
		list, err := c.List(cmd.Context(), k.Path, query)
		if err != nil {
			return nil, err
		}
		return view.ParseAll(list)
	}
	var out []*view.Node
	for _, name := range names {
		data, found, err := c.Find(cmd.Context(), k, name, query)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, c.NoSuch(cmd.Context(), k, name)
		}
		n, err := view.Parse(data)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// writer writes objects; single says that one was asked for by its name.
type writer func(cmd *cobra.Command, k object.KindInfo, list []*view.Node, single bool) error

func writerFor(output string) (writer, error) {
	if path, ok := strings.CutPrefix(output, "jsonpath="); ok {
		return jsonPathWriter(path)
	}
	switch output {
	case "table", "wide":
		return func(cmd *cobra.Command, k object.KindInfo, list []*view.Node, _ bool) error {
			if len(list) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "There is no %s.\n", k.Title)
				return nil
			}
			screen(cmd).Table(view.ListOf(k.Name, list, output == "wide"))
			return nil
		}, nil
	case "name":
		return func(cmd *cobra.Command, k object.KindInfo, list []*view.Node, _ bool) error {
			for _, n := range list {
				say(cmd, "%s/%s", k.Path, n.Get("name").String())
			}
			return nil
		}, nil
	case "yaml", "json":
		return func(cmd *cobra.Command, k object.KindInfo, list []*view.Node, single bool) error {
			return writeFile(cmd, output, asFile(k, list, single))
		}, nil
	}
	return nil, usage("-o %q: must be table, wide, yaml, json, name or jsonpath=EXPRESSION", output)
}

// asFile makes a file of objects: the list of their kind, or a single one with its kind beside its fields.
func asFile(k object.KindInfo, list []*view.Node, single bool) *view.Node {
	out := view.NewObject()
	if single && len(list) == 1 {
		n := view.AsFile(k.Name, list[0])
		out.Set("kind", view.NewText(k.Name))
		for i, name := range n.Names {
			out.Set(name, n.Items[i])
		}
		return out
	}
	all := &view.Node{Type: view.List}
	for _, n := range list {
		all.Items = append(all.Items, view.AsFile(k.Name, n))
	}
	out.Set(k.Name, all)
	return out
}

// asAnswer is asFile with what only answers have: uuid, tenant, when it was changed, and how it is doing.
func asAnswer(k object.KindInfo, list []*view.Node, single bool) *view.Node {
	out := asFile(k, list, single)
	for i, n := range list {
		to := out
		if all := out.Get(k.Name); all != nil && all.Type == view.List {
			to = all.Items[i]
		}
		for _, name := range []string{"uuid", "url", "tenant_ref", "_last_modified", "runtime"} {
			if v := n.Get(name); v != nil {
				if name == "tenant_ref" {
					v = view.NewText(object.RefName(v.Text))
				}
				to.Set(name, v)
			}
		}
	}
	return out
}

func writeFile(cmd *cobra.Command, output string, n *view.Node) error {
	var data []byte
	var err error
	if output == "yaml" {
		data, err = object.YAML(n.JSON())
	} else {
		data, err = json.MarshalIndent(n, "", "  ")
		data = append(data, '\n')
	}
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(data)
	return err
}

// jsonPathWriter takes RFC 9535's $.servers[*].port, and kubectl's {.servers[*].port}.
func jsonPathWriter(text string) (writer, error) {
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "{"), "}"))
	if !strings.HasPrefix(text, "$") {
		text = "$" + text
	}
	path, err := jsonpath.Parse(text)
	if err != nil {
		return nil, usage("-o jsonpath: %v", err)
	}
	return func(cmd *cobra.Command, k object.KindInfo, list []*view.Node, single bool) error {
		var value any
		if err := json.Unmarshal(asAnswer(k, list, single).JSON(), &value); err != nil {
			return err
		}
		for _, found := range path.Select(value) {
			if s, ok := found.(string); ok {
				say(cmd, "%s", s)
				continue
			}
			data, err := json.Marshal(found)
			if err != nil {
				return err
			}
			say(cmd, "%s", data)
		}
		return nil
	}, nil
}

func describeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "describe TYPE NAME",
		Short:             "Show all of one object: fields, how it is doing, and what refers to it",
		Example:           "  carillon describe pool edge\n  carillon describe virtualservice sip",
		Args:              args(2, 2, "TYPE NAME"),
		ValidArgsFunction: a.completeTypes,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := kindArg(args[0])
			if err != nil {
				return err
			}
			c, err := a.flags.Client(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := collect(cmd, c, k, args[1:], "", true)
			if err != nil {
				return err
			}
			n := list[0]
			runtime := n.Get("runtime")
			n.Delete("runtime")
			scr := screen(cmd)
			scr.Grid([]string{"Field", "Value"}, view.Rows(k.Name, n, view.Options{}))
			if runtime != nil && runtime.Type == view.Object {
				say(cmd, "\nHow it is doing:")
				scr.Grid([]string{"Field", "Value"}, view.Rows("", runtime, view.Options{}))
			}
			return describeUsers(cmd, c, k, n.Get("uuid").String())
		},
	}
	a.flags.Add(cmd)
	return cmd
}

// describeUsers lists the objects that refer to one.
func describeUsers(cmd *cobra.Command, c *client.Client, k object.KindInfo, uuid string) error {
	var users []string
	for _, other := range object.Kinds() {
		list, err := c.List(cmd.Context(), other.Path, url.Values{"refers_to": {k.Path + ":" + uuid}, "fields": {"name"}})
		if err != nil {
			return err
		}
		nodes, err := view.ParseAll(list)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			users = append(users, other.Path+"/"+n.Get("name").String())
		}
	}
	if len(users) > 0 {
		say(cmd, "\nReferred to by: %s", strings.Join(users, ", "))
	}
	return nil
}

func deleteCommand(a *app) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "delete TYPE NAME... | -f FILE",
		Short: "Delete objects, all of those named or none",
		Example: `  carillon delete pool edge
  carillon delete -f lb.yaml`,
		ValidArgsFunction: a.completeTypes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(files) == 0 && len(args) < 2 || len(files) > 0 && len(args) > 0 {
				return usage("expected carillon delete TYPE NAME..., or carillon delete -f FILE")
			}
			return a.calling(cmd, func(c *client.Client, p *view.Progress) error {
				body, err := toDelete(cmd, p, files, args)
				if err != nil {
					return err
				}
				res, err := c.Apply(cmd.Context(), body, url.Values{"delete": {"true"}}, telling(p))
				if err != nil {
					return byUUID(cmd, c, args, err)
				}
				p.Hide()
				for _, o := range res.Objects {
					say(cmd, "%s/%s deleted", pathOf(o.Kind), o.Name)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file or directory of objects; - is standard input; may be repeated")
	a.flags.Add(cmd)
	return cmd
}

// toDelete is what to delete, as Apply takes it: the objects of files, or those with names.
func toDelete(cmd *cobra.Command, p *view.Progress, files, args []string) ([]byte, error) {
	if len(files) > 0 {
		objects, err := loadFiles(cmd, files, p)
		if err != nil {
			return nil, err
		}
		return client.File(objects, ""), nil
	}
	k, err := kindArg(args[0])
	if err != nil {
		return nil, err
	}
	list := []map[string]string{}
	for _, name := range args[1:] {
		list = append(list, map[string]string{"name": name})
	}
	return json.Marshal(map[string]any{k.Name: list})
}

// byUUID deletes the one object that was asked for, if it is its uuid that was given: of what nobody can read there is no
// name. Else it adds the nearest name to the error that there is none such.
func byUUID(cmd *cobra.Command, c *client.Client, args []string, err error) error {
	code, _ := ExitCode(err)
	if code != ExitNotFound || len(args) != 2 {
		return err
	}
	k, kindErr := kindArg(args[0])
	if kindErr != nil {
		return err
	}
	switch gone, err := c.DeleteUUID(cmd.Context(), k, args[1]); {
	case err != nil:
		return err
	case gone:
		say(cmd, "%s/%s deleted", k.Path, args[1])
		return nil
	}
	return c.NoSuch(cmd.Context(), k, args[1])
}

func pathOf(kind string) string {
	if k, ok := object.FindKind(kind); ok {
		return k.Path
	}
	return strings.ToLower(kind)
}
