package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A generator that finds nothing wrong proves nothing: here a relay does one thing wrong at a time, and sipgen must name
// it. With none of them, it must name nothing.
func TestSipgenNoticesFaults(t *testing.T) {
	dir := t.TempDir()
	sources, err := filepath.Glob("sipgen/*.c")
	if err != nil {
		t.Fatal(err)
	}
	compile(t, dir, "sipgen", sources...)
	compile(t, dir, "broken", "relay/broken.c")
	for i, c := range []struct {
		fault string
		seen  func(result) bool
	}{
		{"none", func(r result) bool { return r.wrong() == "" && r.Completed == 200 }},
		{"reorder", func(r result) bool { return r.Kinds["order_up"] > 0 && r.Kinds["order_down"] > 0 && r.Lost == 0 }},
		{"spray", func(r result) bool { return r.Kinds["affinity"] > 0 && r.Kinds["wrong_server"] > 0 }},
		{"misroute", func(r result) bool { return r.Kinds["wrong_socket"] > 0 }},
		{"swallow", func(r result) bool { return r.Lost > 0 && r.Timeouts > 0 && r.Errors == 0 }},
		{"repeat", func(r result) bool { return r.Duplicates > 0 && r.Errors == 0 }},
		{"body", func(r result) bool { return r.Kinds["touched"] > 0 && r.Errors == r.Kinds["touched"] }},
		{"branch", func(r result) bool { return r.Kinds["via_caller"] > 0 && r.Errors == r.Kinds["via_caller"] }},
	} {
		t.Run(c.fault, func(t *testing.T) {
			r := through(t, dir, fmt.Sprintf("127.%d.%d.%d", os.Getpid()>>8&127|1, os.Getpid()&255, i+1), c.fault)
			if !c.seen(r) {
				t.Errorf("%d calls, wrong: %q", r.Completed, r.wrong())
			}
		})
	}
}

// compile builds a C program, or skips where there is no compiler (in CI that is a failure).
func compile(t *testing.T, dir, name string, sources ...string) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no C compiler: apt-get install gcc libc6-dev")
	}
	if out, err := exec.Command("cc", append([]string{"-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", filepath.Join(dir, name)}, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// through makes 200 calls, one at a time, through a relay with a fault. All is on an address of 127.0.0.0/8 of its own.
func through(t *testing.T, dir, host, fault string) result {
	t.Helper()
	relay := exec.Command(filepath.Join(dir, "broken"), host+":5060", "17000", "4", fault)
	relay.Stdout, relay.Stderr = os.Stdout, os.Stderr
	relay.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		relay.Process.Kill()
		relay.Wait()
	}()
	for range 50 { // until the relay listens, calls time out
		r := sipgen(t, dir, host, "--calls=1", "--timeout-ms=20")
		if r.Completed+r.Errors > 0 {
			break
		}
	}
	patience := 5000 // a busy machine must not look like a loss
	if fault == "swallow" {
		patience = 20
	}
	return sipgen(t, dir, host, "--calls=200", fmt.Sprintf("--timeout-ms=%d", patience))
}

func sipgen(t *testing.T, dir, host string, more ...string) result {
	t.Helper()
	args := append([]string{"--proxy=" + host + ":5060", "--servers=" + host + ":17000", "--nservers=4", "--callers=" + host + ":16000",
		"--ncallers=4", "--vias=1", "--to-source=1", "--window=1"}, more...)
	out, err := exec.Command(filepath.Join(dir, "sipgen"), args...).Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: something was wrong on the wire
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

func TestMedianAndThousands(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.v); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.v, got, c.want)
		}
	}
	for f, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568"} {
		if got := thousands(f); got != want {
			t.Errorf("thousands(%v) = %s, want %s", f, got, want)
		}
	}
}
