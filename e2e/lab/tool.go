//go:build linux

package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Tool is a command of Carillon that calls the API of a balancer. Its standard output goes to a file.
type Tool struct {
	t    testing.TB
	cmd  *exec.Cmd
	file string
	done chan error

	mu     sync.Mutex
	errors bytes.Buffer
}

func (x *Tool) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.errors.Write(p)
}

// Errors is what it wrote to standard error so far.
func (x *Tool) Errors() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.errors.String()
}

// Tool starts a command that calls the balancer's API.
func (b *Balancer) Tool(args ...string) *Tool {
	b.t.Helper()
	x := &Tool{t: b.t, file: filepath.Join(b.t.TempDir(), "out"), done: make(chan error, 1)}
	out, err := os.Create(x.file)
	if err != nil {
		b.t.Fatal(err)
	}
	x.cmd = exec.Command(Carillon(b.t), args...)
	x.cmd.Stdout, x.cmd.Stderr = out, x
	x.cmd.Env = append(os.Environ(), "CARILLON_SERVER=https://"+b.API.Addr, "CARILLON_INSECURE=1", "CARILLON_PASSWORD="+AdminPassword,
		"CARILLON_CONFIG="+filepath.Join(b.t.TempDir(), "config.yaml"))
	if err := x.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		err := x.cmd.Wait()
		_ = out.Close() // the command had its own
		x.done <- err
	}()
	b.t.Cleanup(func() { _ = x.cmd.Process.Kill() }) // mostly it has ended
	return x
}

// Output is what it wrote to standard output so far.
func (x *Tool) Output() string {
	x.t.Helper()
	out, err := os.ReadFile(x.file)
	if err != nil {
		x.t.Fatal(err)
	}
	return string(out)
}

// Signal sends it a signal.
func (x *Tool) Signal(sig syscall.Signal) {
	x.t.Helper()
	if err := x.cmd.Process.Signal(sig); err != nil {
		x.t.Fatal(err)
	}
}

// AwaitErrors waits until standard error holds what the pattern says.
func (x *Tool) AwaitErrors(pattern string) {
	x.t.Helper()
	re := regexp.MustCompile(pattern)
	Until(x.t, pattern+" is told", func() bool { return re.MatchString(x.Errors()) })
}

// Interrupt ends it as Ctrl-C does, and returns its standard output.
func (x *Tool) Interrupt() string {
	x.t.Helper()
	x.Signal(syscall.SIGINT)
	out, _ := x.Finish(Patience)
	return out
}

// Finish waits until it ends, and returns standard output and status.
func (x *Tool) Finish(limit time.Duration) (string, int) {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(limit):
		x.t.Fatalf("%v has not ended\n%s", x.cmd.Args, x.Errors())
	}
	return x.Output(), x.cmd.ProcessState.ExitCode()
}
