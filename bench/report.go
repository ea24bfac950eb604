//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// table is a part of the report; every row has as many cells as there are columns.
type table struct {
	title   string
	columns []string
	rows    [][]string
}

var targetColumns = []string{"", "measured", "quartiles", "target", ""}

// add puts cells in a row; a bool becomes the verdict.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch v := c.(type) {
		case bool:
			row[i] = "miss"
			if v {
				row[i] = "pass"
			}
		default:
			row[i] = fmt.Sprint(v)
		}
	}
	t.rows = append(t.rows, row)
}

// thousands writes a figure in full, with separators.
func thousands(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// write prints a table as Markdown that is also aligned to read on a terminal.
func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.columns))
	all := append([][]string{t.columns}, t.rows...)
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c), 3)
		}
	}
	line := func(row []string) {
		for i, c := range row {
			fmt.Fprintf(w, "| %s%s ", c, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)))
		}
		fmt.Fprintln(w, "|")
	}
	line(t.columns)
	for _, n := range widths {
		fmt.Fprintf(w, "|%s", strings.Repeat("-", n+2))
	}
	fmt.Fprintln(w, "|")
	for _, row := range t.rows {
		line(row)
	}
}

// print writes the tables and the notes.
func (b *bench) print(w io.Writer) {
	for _, t := range b.tables {
		fmt.Fprintf(w, "\n## %s\n\n", t.title)
		t.write(w)
	}
	met, missed := b.verdicts()
	fmt.Fprintf(w, "\nTargets met: %d; missed: %d.\n", met, missed)
	if len(b.notes) > 0 {
		fmt.Fprintf(w, "\n## Remarks\n\n")
		for _, n := range b.notes {
			fmt.Fprintf(w, "- %s\n", n)
		}
	}
}

// verdicts counts the rows that end in one.
func (b *bench) verdicts() (met, missed int) {
	for _, t := range b.tables {
		for _, row := range t.rows {
			switch row[len(row)-1] {
			case "pass":
				met++
			case "miss":
				missed++
			}
		}
	}
	return met, missed
}

const preface = `# Benchmarks

Written by ` + "`make bench`" + `, which runs ` + "`bench/run`" + ` (` + "`bench/run --quick`" + ` takes a minute and writes nothing). Nothing here was edited
by hand.

Everything runs on loopback in a network namespace of its own: what is measured on CPU 0, the generator with callers and
servers (bench/sipgen) on the last CPU. A call is INVITE of about 970 bytes with SDP, 100, 180, 200 with SDP, ACK, BYE, 200:
seven messages to forward. Every message is checked end to end while it is measured, byte for byte apart from what a proxy
must change. Carillon runs with Record-Route and its sealed tokens, the pin and Call-ID tables, its health monitor and its
metrics on; the relays read and write datagrams and look at nothing (bench/relay); Kamailio forwards by its dispatcher
without state, with its fast allocator and the number of children that was best here (bench/kamailio).

Absolute figures move with what else the machine and its host do. So all programs run at once and are measured in turn
within each round, ratios are taken within a round, and what is shown is the median of the rounds, with the quartiles
beside it. CPU is user and system time of the process, as the scheduler counts it, for each message that arrived.

Over streams each of ten callers keeps one connection, and the proxy has its own to each of ten servers, over the same transport;
TLS is 1.3 with AES-128-GCM or as the two sides agree, and a certificate with a key on P-256. UDP beside them is what the same process
does for the same calls. Handshakes are counted for each second of CPU of the program that is connected to, whatever the client
takes; the client wants X25519, asks with CRLF whether the connection works, and closes it.

Messages of one size from one socket leave the generator as trains (UDP_SEGMENT), as they would come from a network card
that joins them, and a program that takes and makes trains gains by it. How much is shown by two more tables: with every
message of another size there are no trains at all, and with single datagrams there are none on the way in.
`

// writeDoc writes the report with the machine, the versions and the date.
func (b *bench) writeDoc(path string) error {
	var w bytes.Buffer
	w.WriteString(preface)
	t := table{title: "Machine", columns: []string{"", ""}}
	t.add("date", b.began.UTC().Format("2006-01-02 15:04 MST"))
	t.add("command", strings.Join(append([]string{"bench/run"}, withoutInside()...), " "))
	t.add("took", time.Since(b.began).Round(time.Second))
	for _, m := range machine() {
		t.add(m[0], m[1])
	}
	fmt.Fprintf(&w, "\n## %s\n\n", t.title)
	t.write(&w)
	b.print(&w)
	if err := os.WriteFile(path, w.Bytes(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: wrote %s\n", path)
	return nil
}

func withoutInside() []string {
	var args []string
	for _, a := range os.Args[1:] {
		if a != "--inside" {
			args = append(args, a)
		}
	}
	return args
}

// machine tells what the figures were made on.
func machine() [][2]string {
	return [][2]string{
		{"processor", fmt.Sprintf("%s, %s", field("/proc/cpuinfo", "model name"), plural(runtime.NumCPU(), "CPU", "CPUs"))},
		{"memory", field("/proc/meminfo", "MemTotal")},
		{"system", fmt.Sprintf("%s, Linux %s", strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`), firstLine("uname", "-r"))},
		{"carillon", firstLine("git", "describe", "--always", "--dirty")},
		{"Go", firstLine("go", "version")},
		{"C compiler", firstLine("cc", "--version")},
		{"Kamailio", kamailioVersion()},
	}
}

func kamailioVersion() string {
	path, err := lookup("kamailio")
	if err != nil {
		return "missing"
	}
	return firstLine(path, "-v")
}

// field is the value of the first line "name : value" or "name=value" of a file.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return "unknown"
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	if line == "" {
		return fmt.Sprintf("unknown (%v)", err)
	}
	return line
}
