//go:build linux

package lab

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// keptLines bounds what is remembered of a program's output.
const keptLines = 5000

// Command is a program to start.
type Command struct {
	Name  string // what messages call it
	Path  string
	Args  []string
	Dir   string
	Env   []string // added to the environment
	Quiet bool     // throw its standard output away (SIPp draws screens)
	User  uint32   // user id to run as; 0: as the tests do
	// Group: the program forks; it gets SIGTERM when the tests die, and its whole process group is killed at the end.
	Group bool
}

// Process is a running program. It is killed at the end of the test at the latest.
type Process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	spec Command
	out  transcript
	done chan struct{}
	err  error // of Wait; valid once done is closed
}

// Start runs the command and fails the test if it can't.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(cmd.Environ(), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: c.Group}
	if c.User != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.User, Gid: c.User}
	}
	if c.Group {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	p := &Process{t: t, name: c.Name, cmd: cmd, spec: c, done: make(chan struct{})}
	p.out.grown = sync.NewCond(&p.out.mu)
	reader, writer := io.Pipe()
	cmd.Stderr = writer
	if !c.Quiet {
		cmd.Stdout = writer
	}
	// Wait must not hang on the output of a grandchild that outlives the program.
	cmd.WaitDelay = time.Second
	if err := fork(cmd); err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	copied := make(chan struct{})
	go func() {
		p.out.copy(reader)
		close(copied)
	}()
	go func() {
		p.err = cmd.Wait()
		writer.Close()
		<-copied // so that whoever sees the end sees the last line too
		close(p.done)
		p.out.grown.Broadcast()
	}()
	t.Cleanup(p.finish)
	return p
}

// forks hands commands to the one thread that starts them.
var forks = sync.OnceValue(func() chan<- forking {
	requests := make(chan forking)
	go func() {
		runtime.LockOSThread()
		for f := range requests {
			f.done <- f.cmd.Start()
		}
	}()
	return requests
})

type forking struct {
	cmd  *exec.Cmd
	done chan error
}

// fork starts the command on a thread that lives as long as the tests: to the kernel a child's parent, whose death ends
// the child, is the thread that forked it, and Go's threads come and go.
func fork(cmd *exec.Cmd) error {
	f := forking{cmd, make(chan error)}
	forks() <- f
	return <-f.done
}

func (p *Process) finish() {
	state := "was alive"
	if p.Exited() {
		state = p.cmd.ProcessState.String()
	}
	p.Kill()
	if p.t.Failed() {
		p.t.Logf("%s (%s), %s; last lines:\n%s", p.name, strings.Join(p.cmd.Args, " "), state, p.out.tail(40))
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the program has written so far.
func (p *Process) Output() string { return p.out.tail(keptLines) }

// Kill ends the program at once (SIGKILL) and waits until it is gone.
func (p *Process) Kill() {
	if p.spec.Group {
		syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the program to end (by the signal given) and waits for it.
func (p *Process) Stop(sig syscall.Signal) {
	p.t.Helper()
	p.Signal(sig)
	p.WaitExit(Patience)
}

// Signal sends a signal to the program alone.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("%s: %v: %v", p.name, sig, err)
	}
}

// Exited says whether the program has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// WaitExit waits for the program's own end and returns its exit status (-1 if a signal ended it). A program that does
// not end in time fails the test.
func (p *Process) WaitExit(limit time.Duration) int {
	p.t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		p.t.Fatalf("%s did not end in %v", p.name, limit)
	}
	if exit := (*exec.ExitError)(nil); errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return p.cmd.ProcessState.ExitCode()
}

// WaitLine returns the first line of the program's output, from its start on, that matches.
func (p *Process) WaitLine(pattern string) string {
	p.t.Helper()
	return p.WaitLines(pattern, 1)[0]
}

// WaitLines waits until n lines of the program's output match, and returns all that do.
func (p *Process) WaitLines(pattern string, n int) []string {
	p.t.Helper()
	lines := p.out.wait(0, regexp.MustCompile(pattern), n, Patience, p.Exited)
	if len(lines) < n {
		p.t.Fatalf("%s: %d lines like %q, want %d (program ended: %v)", p.name, len(lines), pattern, n, p.Exited())
	}
	return lines
}

// Mark is a place in the program's output: its end at this moment.
func (p *Process) Mark() int {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return p.out.forgotten + len(p.out.lines)
}

// WaitLineAfter returns the first line behind the mark that matches.
func (p *Process) WaitLineAfter(mark int, pattern string) string {
	p.t.Helper()
	lines := p.out.wait(mark, regexp.MustCompile(pattern), 1, Patience, p.Exited)
	if len(lines) == 0 {
		p.t.Fatalf("%s: no line like %q (program ended: %v)", p.name, pattern, p.Exited())
	}
	return lines[0]
}

// transcript keeps the lines a program writes.
type transcript struct {
	mu        sync.Mutex
	grown     *sync.Cond
	lines     []string
	forgotten int // lines before the first one kept
}

func (tr *transcript) copy(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			tr.mu.Lock()
			if len(tr.lines) >= keptLines {
				tr.lines = append(tr.lines[:0], tr.lines[keptLines/2:]...)
				tr.forgotten += keptLines / 2
			}
			tr.lines = append(tr.lines, strings.TrimRight(line, "\r\n"))
			tr.mu.Unlock()
			tr.grown.Broadcast()
		}
		if err != nil {
			return
		}
	}
}

// wait returns the matching lines behind the mark once there are n of them, or what there is when it is over or too late.
func (tr *transcript) wait(mark int, pattern *regexp.Regexp, n int, limit time.Duration, over func() bool) []string {
	late := time.AfterFunc(limit, tr.grown.Broadcast)
	defer late.Stop()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for end := time.Now().Add(limit); ; tr.grown.Wait() {
		ended := over() // before the look: what it wrote last is then there
		var found []string
		for _, line := range tr.lines[min(len(tr.lines), max(0, mark-tr.forgotten)):] {
			if pattern.MatchString(line) {
				found = append(found, line)
			}
		}
		if len(found) >= n || ended || time.Now().After(end) {
			return found
		}
	}
}

func (tr *transcript) tail(n int) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return strings.Join(tr.lines[max(0, len(tr.lines)-n):], "\n")
}

// Until polls a condition that has no signal of its own, and fails the test when it never comes true.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); !condition(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so in %v: %s", Patience, what)
		}
	}
}
