package rest

import (
	stdflag "flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/report"
)

var update = stdflag.Bool("update", false, "write the table of metrics anew")

var fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestDocumentedCommands runs every block of docs/api.md as it stands, in one shell, and looks for what it says it prints.
func TestDocumentedCommands(t *testing.T) {
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.startEngine("se-1")
	script := "set -euo pipefail\n"
	blocks := fence.FindAllStringSubmatch(string(page), -1)
	// addresses of the page may be taken on this machine
	at := strings.NewReplacer("https://127.0.0.1:9443", w.api.URL(), "127.0.0.10", fmt.Sprintf("127.%d.%d.10", 1+os.Getpid()>>8&127, os.Getpid()&255))
	for i, b := range blocks {
		script += fmt.Sprintf("echo '=== %d'\n%s\necho\n", i, at.Replace(b[1]))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CARILLON_ADMIN_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	parts := strings.Split(string(out), "=== ")
	if len(parts) != len(blocks)+1 {
		t.Fatalf("%d blocks, %d were run:\n%s", len(blocks), len(parts)-1, out)
	}
	for i, b := range blocks {
		for line := range strings.SplitSeq(b[1], "\n") {
			if want, ok := strings.CutPrefix(line, "# prints: "); ok && !strings.Contains(parts[i+1], want) {
				t.Errorf("docs/api.md: %q is not printed by\n%s\nbut\n%s", want, b[1], parts[i+1])
			}
		}
	}
}

// TestMetricsTable holds that docs/metrics.md has every figure with a history, as the code has it.
func TestMetricsTable(t *testing.T) {
	table := "| metric | unit | of | what |\n|---|---|---|---|\n"
	for _, m := range report.MetricIDs {
		of := m.Of
		if m.Server {
			of += ", server"
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.ID, m.Unit, of, m.Doc)
	}
	name := filepath.Join("..", "..", "docs", "metrics.md")
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- metrics -->\n", "<!-- end of metrics -->"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/metrics.md has no place for the table")
	}
	if want := before + begin + table + end + after; want != string(page) {
		if !*update {
			t.Fatal("docs/metrics.md: the table is not that of the code: go test ./internal/rest -run MetricsTable -update")
		}
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
