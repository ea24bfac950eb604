package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// Every command is this one program, so whatever a package makes of itself before main is paid by all of them: by an engine that
// needs no controller, and by each call of a command. What is large or slow waits until it is needed.
const (
	maxInitBytes    = 512 << 10 // of one package
	maxAllInitBytes = 4 << 20
)

var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes, \d+ allocs$`)

func TestStartIsLight(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	total := 0
	packages := initLine.FindAllSubmatch(out, -1)
	if len(packages) < 20 {
		t.Fatalf("only %d packages told of their start: %s", len(packages), out)
	}
	for _, m := range packages {
		n, _ := strconv.Atoi(string(m[2]))
		if total += n; n > maxInitBytes {
			t.Errorf("%s allocates %d octets before main, at most %d are allowed", m[1], n, maxInitBytes)
		}
	}
	if total > maxAllInitBytes {
		t.Errorf("all packages allocate %d octets before main, at most %d are allowed", total, maxAllInitBytes)
	}
}
