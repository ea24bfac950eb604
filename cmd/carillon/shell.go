package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/carillon-sip/carillon/internal/cli"
	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/shell"
	"github.com/carillon-sip/carillon/internal/view"
)

func shellCommand() *cobra.Command {
	var flags cli.Flags
	var commands []string
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Configure and look in the grammar of Avi's CLI",
		Long: `shell is the CLI of Avi: configure TYPE NAME enters an object, its fields are set one a line,
sub-objects are entered in turn, and the outermost save sends it. TAB completes, ? helps.

With -c, or with commands on standard input, it runs them and ends: at the first that fails,
with its line number and status 1.`,
		Example: `  carillon shell
  carillon shell -c 'show pool'
  carillon shell -c 'configure pool p1' -c 'servers ip 10.0.0.1 port 5060' -c save -c save
  carillon shell < steps.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			typed := len(commands) == 0 && term.IsTerminal(int(os.Stdin.Fd()))
			c, asked, err := shellClient(cmd, &flags, typed)
			if err != nil {
				return err
			}
			defer c.Close()
			cfg := shell.Config{Client: c, Screen: view.NewScreen(os.Stdout), Err: cmd.ErrOrStderr(), Version: version}
			if asked {
				cfg.Password = func(prompt string) (string, error) { return cli.AskPassword(cmd.ErrOrStderr(), prompt) }
			}
			if typed {
				if file, err := client.ConfigFile(); err == nil {
					cfg.History = filepath.Join(filepath.Dir(file), "history")
				}
			}
			s, err := shell.New(cfg)
			if err != nil {
				return err
			}
			switch {
			case typed:
				return s.RunTerminal(cmd.Context())
			case len(commands) > 0:
				return s.RunScript(cmd.Context(), strings.NewReader(strings.Join(commands, "\n")))
			}
			return s.RunScript(cmd.Context(), cmd.InOrStdin())
		},
	}
	cmd.Flags().StringArrayVarP(&commands, "command", "c", nil, "command to run; may be repeated, and hold several lines")
	flags.Add(cmd)
	return cmd
}

// loginTries is how often a password is asked for.
const loginTries = 3

// shellClient connects, and asks for user and password where nothing gives them: then asked is true.
func shellClient(cmd *cobra.Command, flags *cli.Flags, typed bool) (c *client.Client, asked bool, err error) {
	c, err = flags.Client(cmd.ErrOrStderr())
	if err != nil {
		return nil, false, err
	}
	cfg := c.Config()
	if !typed || cfg.Password != "" {
		return c, false, nil
	}
	for try := 1; ; try++ {
		fmt.Fprintf(cmd.ErrOrStderr(), "Login [%s]: ", cfg.User)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return nil, false, err
		}
		if name := strings.TrimSpace(line); name != "" {
			cfg.User = name
		}
		if cfg.Password, err = cli.AskPassword(cmd.ErrOrStderr(), "Password: "); err != nil {
			return nil, false, err
		}
		err = cli.WhoAmI(cmd.Context(), cfg)
		var refused *client.Error
		if err == nil {
			c, err = client.New(cfg)
			return c, true, err
		}
		if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized || try == loginTries {
			return nil, false, err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), err)
	}
}
