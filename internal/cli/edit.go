package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

func editCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit TYPE NAME",
		Short: "Change an object in an editor",
		Long: `edit opens an object as YAML in CARILLON_EDITOR, VISUAL, EDITOR or vi, and sends what was
changed. Refused, or when the controller cannot be reached, the text is kept in a file that the error names.`,
		Example:           "  carillon edit pool edge\n  EDITOR=nano carillon edit virtualservice sip",
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
			n, err := fetch(cmd.Context(), c, k, args[1], false)
			if err != nil {
				return err
			}
			before, err := object.YAML(asFile(k, []*view.Node{n}, true).JSON())
			if err != nil {
				return err
			}
			file, after, err := inEditor(cmd, k.Path+"-"+args[1], before)
			if err != nil {
				return err
			}
			if bytes.Equal(before, after) {
				say(cmd, "%s/%s unchanged", k.Path, args[1])
				return os.Remove(file)
			}
			if err := put(cmd, c, k, n, file, after); err != nil {
				return fmt.Errorf("%w\nYour text is kept: mend it, then carillon apply -f %s", err, file)
			}
			say(cmd, "%s/%s changed", k.Path, args[1])
			return os.Remove(file)
		},
	}
	a.flags.Add(cmd)
	return cmd
}

// put sends a changed object, unless somebody else changed it meanwhile.
func put(cmd *cobra.Command, c *client.Client, k object.KindInfo, old *view.Node, file string, text []byte) error {
	objects, err := object.LoadObjects(file, text)
	if err != nil {
		return view.Pointed(err, text)
	}
	if len(objects) != 1 || objects[0].Kind() != k.Name {
		return fmt.Errorf("expected one object of kind %s", k.Name)
	}
	n, err := view.Parse(objects[0].JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true}))
	if err != nil {
		return err
	}
	n.Set("_last_modified", old.Get("_last_modified"))
	_, err = c.Do(cmd.Context(), http.MethodPut, "/api/"+k.Path+"/"+old.Get("uuid").String(), n.JSON())
	return err
}

// inEditor lets somebody change a text, and returns the file that holds it.
func inEditor(cmd *cobra.Command, name string, text []byte) (file string, after []byte, err error) {
	f, err := os.CreateTemp("", "carillon-"+strings.Map(plain, name)+"-*.yaml") // with mode 0600
	if err != nil {
		return "", nil, err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Close()
	}
	if err != nil {
		return "", nil, err
	}
	editor := "vi"
	for _, v := range []string{"CARILLON_EDITOR", "VISUAL", "EDITOR"} {
		if e := os.Getenv(v); e != "" {
			editor = e
			break
		}
	}
	words := append(strings.Fields(editor), f.Name())
	run := exec.CommandContext(cmd.Context(), words[0], words[1:]...)
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := run.Run(); err != nil {
		return "", nil, errors.Join(fmt.Errorf("the editor %s: %w; nothing was changed", editor, err), os.Remove(f.Name()))
	}
	after, err = os.ReadFile(f.Name())
	return f.Name(), after, err
}

func plain(r rune) rune {
	if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return '_'
}

// writePrivate writes a file that the user alone may read, whole or not at all.
func writePrivate(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".carillon-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
