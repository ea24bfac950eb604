package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestExamples takes every example of --help and every command of the documents apart as the program would: commands and
// options are there, and the number of arguments is right. What examples do is in testdata/script.
func TestExamples(t *testing.T) {
	lines := map[string]string{} // by line: where it stands
	each(rootCommand(), func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			lines[strings.TrimSpace(line)] = c.CommandPath()
		}
	})
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(data), "```") {
			if text, sh := strings.CutPrefix(block, "sh\n"); sh && i%2 == 1 {
				for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
					lines[strings.TrimSpace(line)] = file
				}
			}
		}
	}
	tried := 0
	for line, where := range lines {
		for _, words := range commandsOf(line) {
			tried++
			root := rootCommand()
			c, rest, err := root.Find(words)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %s: %v", where, line, err)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d commands are in the documents", tried)
	}
}

// commandsOf are the calls of carillon in a line of a shell, as words.
func commandsOf(line string) (out [][]string) {
	var words []string
	end := func() {
		for len(words) > 0 && (words[0] == "sudo" || strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-")) {
			words = words[1:]
		}
		if len(words) > 1 && (words[0] == "carillon" || strings.HasSuffix(words[0], "/carillon")) && !strings.Contains(words[0], ":") {
			out = append(out, words[1:])
		}
		words = nil
	}
	var b strings.Builder
	quote, started := rune(0), false
	word := func() {
		if started {
			words = append(words, b.String())
		}
		b.Reset()
		started = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(r)
		case r == '\'' || r == '"':
			quote, started = r, true
		case r == ' ' || r == '\t':
			word()
		case strings.ContainsRune("|&;()<>", r):
			word()
			end()
		case r == '#' && !started:
			word()
			end()
			return out
		default:
			b.WriteRune(r)
			started = true
		}
	}
	word()
	end()
	return out
}
