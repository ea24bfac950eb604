//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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

// The same over TCP: a relay that passes the octets of each caller's connection to one server, and does one thing wrong.
func TestSipgenNoticesFaultsOfStreams(t *testing.T) {
	dir := t.TempDir()
	sources, err := filepath.Glob("sipgen/*.c")
	if err != nil {
		t.Fatal(err)
	}
	compile(t, dir, "sipgen", sources...)
	for i, c := range []struct {
		fault string
		seen  func(result) bool
	}{
		{"none", func(r result) bool { return r.wrong() == "" && r.Completed == 200 }},
		{"body", func(r result) bool { return r.Kinds["touched"] > 0 && r.Errors == r.Kinds["touched"] }},
		{"spray", func(r result) bool { return r.Kinds["affinity"] > 0 }},
		{"cut", func(r result) bool { return r.Kinds["connection"] > 0 && r.Lost > 0 }},
		{"misroute", func(r result) bool { return r.Kinds["wrong_socket"] > 0 }},
	} {
		t.Run(c.fault, func(t *testing.T) {
			host := fmt.Sprintf("127.%d.%d.%d", os.Getpid()>>8&127|1, os.Getpid()&255, i+31)
			startStreamRelay(t, host, c.fault)
			patience := 5000 // a busy machine must not look like a loss
			if c.fault == "cut" {
				patience = 20
			}
			r := sipgen(t, dir, host, "--streams=1", "--transport=tcp", "--calls=200", fmt.Sprintf("--timeout-ms=%d", patience))
			if !c.seen(r) {
				t.Errorf("%d calls, wrong: %q", r.Completed, r.wrong())
			}
		})
	}
}

// startStreamRelay takes connections at host:5060 and leads the n-th to server n of four. It reads messages, which sipgen writes
// with their length as the last field but one of the header section.
func startStreamRelay(t *testing.T, host, fault string) {
	t.Helper()
	l, err := net.Listen("tcp", host+":5060")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		var callers []net.Conn
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			callers = append(callers, c)
			var servers []net.Conn
			for i := range 4 {
				s, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(17000+(n+i)%4)))
				if err != nil {
					c.Close()
					return
				}
				servers = append(servers, s)
				back := c
				if fault == "misroute" {
					back = callers[0]
				}
				go pass(s, "", 0, back)
			}
			if fault != "spray" {
				servers = servers[:1]
			}
			go pass(c, fault, 100, servers...)
		}
	}()
}

// pass copies messages from a connection to others in turn. The fault is done to the message of that number.
func pass(from net.Conn, fault string, at int, to ...net.Conn) {
	defer from.Close()
	r := bufio.NewReader(from)
	for n := 0; ; n++ {
		var msg []byte
		length := 0
		for !bytes.HasSuffix(msg, []byte("\r\n\r\n")) {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			fmt.Sscanf(string(line), "Content-Length: %d", &length)
			msg = append(msg, line...)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch {
		case fault == "cut" && n == at:
			return
		case fault == "body" && length > 0:
			body[length-3] ^= 1
		}
		if _, err := to[n%len(to)].Write(append(msg, body...)); err != nil {
			return
		}
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
	if out, err := exec.Command("cc", append([]string{"-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", filepath.Join(dir, name)}, append(sources, "-lssl", "-lcrypto")...)...).CombinedOutput(); err != nil {
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
