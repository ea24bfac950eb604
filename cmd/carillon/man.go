package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/carillon-sip/carillon/internal/cli"
)

// manCommand writes the manual from the texts that --help shows.
func manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages, one a command, into a directory",
		Example: "  carillon man /usr/local/share/man/man1",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage{fmt.Errorf("expected carillon man DIR")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root.DisableAutoGenTag = true // its date would change the pages every day
			if err := doc.GenManTree(root, &doc.GenManHeader{Title: "CARILLON", Section: "1", Source: "carillon " + version, Manual: "Carillon"}, args[0]); err != nil {
				return err
			}
			f, err := os.OpenFile(filepath.Join(args[0], "carillon.1"), os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			_, err = f.WriteString(exitStatus())
			return errors.Join(err, f.Close())
		},
	}
}

// exitStatus is the section of the manual that tells exit codes.
func exitStatus() string {
	var b strings.Builder
	b.WriteString(".SH EXIT STATUS\n")
	for _, c := range cli.ExitCodes {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", c.Code, strings.ReplaceAll(c.Meaning, "`", ""))
	}
	return b.String()
}
