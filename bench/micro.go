//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const targetStepNs = 400

// microPackages hold the benchmarks of the message path without sockets.
var microPackages = []string{"internal/proxy", "internal/sip"}

// steps are the benchmarks with a target; the others of microPackages are shown without.
var steps = []struct{ benchmark, what string }{
	{"BenchmarkInviteStep", "INVITE of 1 KB: parse, decide, edit"},
	{"BenchmarkResponseStep", "its 200: parse, decide, edit"},
}

var benchLine = regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op.*?(\d+) allocs/op`)

// figures are what one benchmark gave in each of its runs.
type figures struct{ ns, allocs []float64 }

// micro runs Go's own benchmarks on the proxy's core.
func (b *bench) micro() error {
	found := map[string]*figures{}
	var names []string
	for _, pkg := range microPackages {
		out, err := b.goBench(pkg, []int{proxyCPU}, "-test.bench=^Benchmark(InviteStep|InviteStepCached|InviteAgainStep|ResponseStep|DecideInvite|ParseINVITE|Parse200|EditINVITE|Edit200)$", "-test.benchmem",
			"-test.benchtime="+b.plan.micro.String(), fmt.Sprintf("-test.count=%d", b.microCount))
		if err != nil {
			return err
		}
		for _, m := range benchLine.FindAllStringSubmatch(out, -1) {
			f := found[m[1]]
			if f == nil {
				f = &figures{}
				found[m[1]] = f
				names = append(names, m[1])
			}
			ns, _ := strconv.ParseFloat(m[2], 64)
			allocs, _ := strconv.ParseFloat(m[3], 64)
			f.ns, f.allocs = append(f.ns, ns), append(f.allocs, allocs)
		}
	}
	b.tables = append(b.tables, b.microTable(found, names))
	return nil
}

// goBench runs benchmarks of a package on these CPUs and gives what they print.
func (b *bench) goBench(pkg string, cpus []int, args ...string) (string, error) {
	binary, err := filepath.Abs(testBinary(b.path(""), pkg))
	if err != nil {
		return "", err
	}
	cmd := exec.Command(binary, append([]string{"-test.run=^$"}, args...)...)
	cmd.Dir = pkg
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err = startOn(cmd, cpus); err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", pkg, err, out.String())
	}
	return out.String(), nil
}

func testBinary(dir, pkg string) string { return filepath.Join(dir, filepath.Base(pkg)+".test") }

func (b *bench) microTable(found map[string]*figures, names []string) table {
	t := table{title: "A message without sockets", columns: targetColumns}
	for _, s := range steps {
		f := found[s.benchmark]
		if f == nil {
			b.failed("micro: there is no %s", s.benchmark)
			continue
		}
		t.add(s.what+", ns", fmt.Sprintf("%.0f", median(f.ns)), quartiles(f.ns), fmt.Sprintf("at most %d", targetStepNs), median(f.ns) <= targetStepNs)
		t.add(s.what+", allocations", fmt.Sprintf("%.0f", median(f.allocs)), "", "0", median(f.allocs) == 0)
		delete(found, s.benchmark)
	}
	for _, name := range names {
		if f := found[name]; f != nil {
			t.rows = append(t.rows, []string{strings.TrimPrefix(name, "Benchmark") + ", ns", fmt.Sprintf("%.0f", median(f.ns)), quartiles(f.ns), "", ""})
		}
	}
	return t
}
