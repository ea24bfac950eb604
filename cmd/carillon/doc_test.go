package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/carillon-sip/carillon/internal/cli"
)

var update = flag.Bool("update", false, "write the reference of commands in docs/cli.md")

const (
	docFile  = "../../docs/cli.md"
	docBegin = "<!-- made from --help by go test ./cmd/carillon -update; do not edit below -->\n"
)

// TestDocs holds docs/cli.md and the help together: the second part of the page is made of it.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(page), docBegin)
	if !ok {
		t.Fatalf("%s has no line %q", docFile, strings.TrimSpace(docBegin))
	}
	var b bytes.Buffer
	root := rootCommand()
	reference(&b, root)
	if *update {
		if err := os.WriteFile(docFile, []byte(head+docBegin+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != b.String() {
		t.Errorf("%s is not what --help says; go test ./cmd/carillon -run TestDocs -update writes it", docFile)
	}
}

// TestExitCodes holds the table of exit codes and the program together.
func TestExitCodes(t *testing.T) {
	page, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cli.ExitCodes {
		if line := fmt.Sprintf("| %d | %s |\n", c.Code, c.Meaning); !strings.Contains(string(page), line) {
			t.Errorf("%s has no line %s", docFile, line)
		}
	}
}

// TestHelp wants an example and a sentence of every command.
func TestHelp(t *testing.T) {
	each(rootCommand(), func(c *cobra.Command) {
		if c.HasParent() && c.Example == "" {
			t.Errorf("%s: --help shows no example", c.CommandPath())
		}
		if c.Short == "" {
			t.Errorf("%s: says nothing of itself", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s: says nothing of itself", c.CommandPath(), f.Name)
			}
		})
	})
}

func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.Name() != "help" {
			each(sub, f)
		}
	}
}

func reference(b *bytes.Buffer, root *cobra.Command) {
	each(root, func(c *cobra.Command) {
		if !c.HasParent() {
			return
		}
		fmt.Fprintf(b, "\n## %s\n\n%s.\n", c.CommandPath(), c.Short)
		if c.Long != "" {
			fmt.Fprintf(b, "\n%s\n", c.Long)
		}
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(b, "\n```sh\n%s\n```\n", unindent(c.Example))
		}
		flags := c.NonInheritedFlags()
		if !flags.HasFlags() {
			return
		}
		b.WriteString("\n| option | default | meaning |\n|---|---|---|\n")
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			name := "`--" + f.Name + "`"
			if f.Shorthand != "" {
				name = "`-" + f.Shorthand + "`, " + name
			}
			def := ""
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
				def = "`" + f.DefValue + "`"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", name, def, strings.ReplaceAll(homeless(f.Usage), "|", "\\|"))
		})
	})
}

// homeless takes out where state is kept, which differs by user.
func homeless(text string) string { return strings.ReplaceAll(text, stateDir(), "the state directory") }

func unindent(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimPrefix(strings.TrimRight(line, "\n"), "  "))
	}
	return strings.Join(out, "\n")
}
