//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// load is a running sipgen: callers and a farm of servers that stay up, and runs one after the other.
type load struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// timing is what sipgen saw of one kind of round trip, in µs.
type timing struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// result is one run as sipgen tells it; its README says what each field counts.
type result struct {
	Error          string            `json:"error"`
	Secs           float64           `json:"secs"`
	MsgsPerS       float64           `json:"msgs_per_s"`
	CallsPerS      float64           `json:"calls_per_s"`
	Started        int               `json:"started"`
	Completed      int               `json:"completed"`
	Timeouts       int               `json:"timeouts"`
	Refused        int               `json:"refused"`
	Skipped        int               `json:"skipped"`
	Lost           int               `json:"lost"`
	Duplicates     int               `json:"duplicates"`
	RecordRouted   int               `json:"record_routed"`
	Errors         int               `json:"errors"`
	Kinds          map[string]int    `json:"error_kinds"`
	ProxyMicros    float64           `json:"proxy_us_per_msg"`
	ProxyCPU       float64           `json:"proxy_cpu_s"`
	KsoftirqMicros float64           `json:"ksoftirqd_us_per_msg"`
	OthersPercent  float64           `json:"others_percent"`
	OwnCPUPercent  float64           `json:"own_cpu_percent"`
	OwnMicros      float64           `json:"own_us_per_msg"`
	RSSBefore      int               `json:"rss_before_kb"`
	RSSParked      int               `json:"rss_parked_kb"`
	Parked         int               `json:"parked_calls"`
	RSS            int               `json:"rss_kb"`
	RTT            map[string]timing `json:"rtt_us"`
}

// micros is the CPU a message cost the proxy, with what the kernel did for it in ksoftirqd.
func (r result) micros() float64 { return r.ProxyMicros + r.KsoftirqMicros }

// disturbed says that other work on the machine took part of the CPUs of this run.
func (r result) disturbed() bool { return r.OthersPercent > 12 || r.OwnCPUPercent < 88 }

// wrong describes what was not as it must be, or is empty.
func (r result) wrong() string {
	var s []string
	for kind, n := range r.Kinds {
		s = append(s, fmt.Sprintf("%s %d", kind, n))
	}
	sort.Strings(s)
	for _, c := range []struct {
		name string
		n    int
	}{{"lost", r.Lost}, {"calls timed out", r.Timeouts}, {"refused", r.Refused}, {"repeated", r.Duplicates}, {"skipped", r.Skipped}} {
		if c.n != 0 {
			s = append(s, fmt.Sprintf("%s %d", c.name, c.n))
		}
	}
	return strings.Join(s, ", ")
}

func startLoad(path string, cpu int, options ...string) (*load, error) {
	args := append([]string{"--control=1", fmt.Sprintf("--pin=%d", cpu)}, options...)
	l := &load{cmd: exec.Command(path, args...)}
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.out = bufio.NewScanner(out)
	l.cmd.Stderr = os.Stderr
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	if !l.out.Scan() {
		return nil, fmt.Errorf("sipgen did not start: %w", l.cmd.Wait())
	}
	return l, nil
}

func (l *load) begin(words ...string) error {
	_, err := fmt.Fprintln(l.in, strings.Join(words, " "))
	return err
}

func (l *load) end() (result, error) {
	var r result
	if !l.out.Scan() {
		return r, fmt.Errorf("sipgen ended: %w", l.cmd.Wait())
	}
	if err := json.Unmarshal(l.out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("sipgen's result: %w: %s", err, l.out.Bytes())
	}
	if r.Error != "" {
		return r, fmt.Errorf("sipgen: %s", r.Error)
	}
	return r, nil
}

// run makes one run and waits for it.
func (l *load) run(words ...string) (result, error) {
	if err := l.begin(words...); err != nil {
		return result{}, err
	}
	return l.end()
}

func (l *load) stop() {
	l.in.Close()
	l.cmd.Wait()
}

// startOn starts a command on the given CPUs only: it inherits what this thread is allowed (see init).
func startOn(cmd *exec.Cmd, cpus []int) error {
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for _, c := range cpus {
		some.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return fmt.Errorf("CPUs %v: %w", cpus, err)
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &all); err == nil {
		err = back
	}
	return err
}
