//go:build linux

package main

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
)

const (
	targetScaling = 1.8
	secondCallers = 16500 // ports of a generator with two threads, where there are cores for it
	secondServers = 17500
)

// workers compares two workers with one: with calls, which takes two cores for the workers and two for generators that can load
// them, and with a full socket.
func (b *bench) workers() error {
	if runtime.NumCPU() < 4 {
		b.note("workers: this machine has %d CPUs. Two workers and a generator that can load them need four, so what two deliver to callers and servers "+
			"(target: %.1f times one) cannot be measured here; a full socket emptied can.", runtime.NumCPU(), targetScaling)
		return b.drain()
	}
	if err := b.openFarm(); err != nil {
		return err
	}
	if err := b.scaling(); err != nil {
		return err
	}
	return b.drain()
}

// drainPackage has the benchmark of a socket that is full when the workers begin.
const drainPackage = "internal/engine"

var drainLine = regexp.MustCompile(`(?m)^BenchmarkDrain/(workers=\d+/sockets=\d+)\S*\s.*?([\d.]+) ns/message`)

// drain compares workers where nobody else needs a CPU: all messages lie in the socket before the first is decided about, and
// nobody takes them from the servers' sockets. So two CPUs do. What two sockets give, whose workers have nothing to do with each
// other, is what the machine allows.
func (b *bench) drain() error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	per := map[string][]float64{}
	var names []string
	for range b.microCount {
		out, err := b.goBench(drainPackage, []int{0, 1}, "-test.bench=^BenchmarkDrain$", "-test.benchtime=5x")
		if err != nil {
			return err
		}
		for _, m := range drainLine.FindAllStringSubmatch(out, -1) {
			ns, _ := strconv.ParseFloat(m[2], 64)
			if per[m[1]] == nil {
				names = append(names, m[1])
			}
			per[m[1]] = append(per[m[1]], ns)
		}
	}
	t := table{title: "A full socket emptied by workers on CPUs 0 and 1, single datagrams of many sizes", columns: []string{"", "messages/s", "times one worker", "quartiles"}}
	for _, name := range names {
		var v []float64
		for i, ns := range per[name] {
			v = append(v, per[names[0]][i]/ns)
		}
		t.rows = append(t.rows, []string{name, thousands(1e9 / median(per[name])), fmt.Sprintf("%.2f", median(v)), quartiles(v)})
	}
	b.tables = append(b.tables, t)
	return nil
}

// scaling measures what both deliver, each worker on a core of its own, with callers and servers on two others.
func (b *bench) scaling() error {
	last := runtime.NumCPU() - 1
	farm, err := startLoad(b.path("sipgen"), last, fmt.Sprintf("--farm-pin=%d", last-1), fmt.Sprintf("--servers=127.0.0.1:%d", secondServers),
		fmt.Sprintf("--nservers=%d", servers), fmt.Sprintf("--callers=127.0.0.1:%d", secondCallers), fmt.Sprintf("--ncallers=%d", callers))
	if err != nil {
		return err
	}
	defer farm.stop()
	var speed [2][]float64
	var peers [2]*peer
	for i := range peers {
		p, err := b.startCarillon(i+1, firstProxy+i, []int{0, 1}[:i+1], farmList(secondServers, servers))
		defer b.stop(p)
		if err == nil {
			err = b.ready(farm, p)
		}
		if err != nil {
			return err
		}
		peers[i] = p
	}
	idle := false
	for range b.rounds {
		for i, p := range peers {
			r, err := farm.run(p.words("window=256", fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3")...)
			if err != nil {
				return err
			}
			b.judge("workers", p, r)
			speed[i] = append(speed[i], r.MsgsPerS)
			idle = idle || r.ProxyCPU < 0.9*r.Secs*float64(i+1)
		}
	}
	if idle {
		b.note("workers: the workers' cores were not busy all the time, so the generator was the limit: the ratio may be better than shown.")
	}
	var v []float64
	for i := range speed[0] {
		v = append(v, speed[1][i]/speed[0][i])
	}
	t := table{title: "Two workers and one, on cores of their own", columns: targetColumns}
	t.rows = append(t.rows, []string{"messages/s, one worker", thousands(median(speed[0])), "", "", ""}, []string{"messages/s, two workers", thousands(median(speed[1])), "", "", ""})
	t.add("two over one", fmt.Sprintf("%.2f", median(v)), quartiles(v), fmt.Sprintf("at least %.1f", targetScaling), median(v) >= targetScaling)
	b.tables = append(b.tables, t)
	return nil
}
