//go:build linux

package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Supervisor is what systemd is to a program that replaces itself: it hears which process serves.
type Supervisor struct {
	t       testing.TB
	Program string // a copy of the program, which a test may replace
	log     string // where the program writes: it outlives the pipe of the process that was started
	notify  *net.UnixConn
	pids    chan int
	PID     int // of the process that said last that it serves
}

// NewSupervisor is for a Setup.
func NewSupervisor(t testing.TB) *Supervisor {
	t.Helper()
	dir := t.TempDir()
	s := &Supervisor{t: t, Program: filepath.Join(dir, "carillon"), log: filepath.Join(dir, "log"), pids: make(chan int, 100)}
	s.Install(Carillon(t))
	var err error
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.socket(), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.notify.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := s.notify.Read(buf)
			if err != nil {
				return
			}
			state, pid := strings.Split(string(buf[:n]), "\n"), 0
			for _, line := range state {
				if text, ok := strings.CutPrefix(line, "MAINPID="); ok {
					pid, _ = strconv.Atoi(text)
				}
			}
			if state[0] == "READY=1" {
				s.pids <- pid
			}
		}
	}()
	return s
}

func (s *Supervisor) socket() string { return filepath.Join(filepath.Dir(s.Program), "notify") }

// Install puts a program in the place of the one that is there.
func (s *Supervisor) Install(path string) {
	s.t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(s.Program+".new", data, 0o755)
	}
	if err == nil {
		err = os.Rename(s.Program+".new", s.Program)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// command is one as the supervisor starts it. All processes that come of it are of one group, which is killed in the end.
func (s *Supervisor) command(c Command) Command {
	c.Args = append([]string{"-c", `exec "$@" 2>>"$0"`, s.log, s.Program}, c.Args...)
	c.Path, c.Group, c.Env = "/bin/sh", true, append(c.Env, "NOTIFY_SOCKET="+s.socket())
	return c
}

// AwaitReady waits until a process says that it serves.
func (s *Supervisor) AwaitReady() {
	s.t.Helper()
	select {
	case s.PID = <-s.pids:
	case <-time.After(Patience):
		s.t.Fatalf("nobody says that it serves:\n%s", s.Log())
	}
}

// Restart has the process that serves replaced, and waits until another does.
func (s *Supervisor) Restart() {
	s.t.Helper()
	before := s.PID
	s.Signal(syscall.SIGUSR2)
	if s.AwaitReady(); s.PID == before {
		s.t.Fatalf("process %d serves as before:\n%s", before, s.Log())
	}
}

// TakeOver starts the balancer once more, as somebody else would who has it take over from the one that serves.
func (s *Supervisor) TakeOver(b *Balancer) {
	s.t.Helper()
	before, c := s.PID, b.command
	c.Args = append(slices.Clone(c.Args), "--take-over")
	Start(s.t, c)
	if s.AwaitReady(); s.PID == before {
		s.t.Fatalf("process %d serves as before:\n%s", before, s.Log())
	}
}

// Signal sends a signal to the process that serves.
func (s *Supervisor) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.PID, sig); err != nil {
		s.t.Fatalf("process %d: %v", s.PID, err)
	}
}

// Log is what all of the processes have written.
func (s *Supervisor) Log() string {
	data, err := os.ReadFile(s.log)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(data)
}
