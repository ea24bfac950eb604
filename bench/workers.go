package main

import (
	"fmt"
	"runtime"
)

const (
	targetScaling = 1.8
	secondCallers = 16500 // ports of a generator with two threads, where there are cores for it
	secondServers = 17500
)

// workers compares two workers with one. It takes two cores for the workers and two for generators that can load them.
func (b *bench) workers() error {
	if err := b.openFarm(); err != nil {
		return err
	}
	if runtime.NumCPU() >= 4 {
		return b.scaling()
	}
	return b.sharing()
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

// sharing is what two or three CPUs can say: what a message costs when two workers are busy, on one core and on two of
// which the generator needs one itself.
func (b *bench) sharing() error {
	var peers []*peer
	for i, c := range []struct {
		name    string
		workers int
		cpus    []int
	}{{"one worker, CPU 0", 1, []int{0}}, {"two workers, both on CPU 0", 2, []int{0}}, {"two workers, CPUs 0 and 1", 2, []int{0, generatorCPU()}}} {
		p, err := b.startCarillon(c.workers, firstProxy+i, c.cpus, farmList(serversPort, servers))
		defer b.stop(p)
		if err == nil {
			err = b.ready(b.farm, p)
		}
		if err != nil {
			return err
		}
		p.name = c.name
		peers = append(peers, p)
	}
	if err := b.inTurn("workers", (b.rounds+1)/2, peers, func(*peer) []string {
		return []string{"window=128", fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3"} // 64 for each worker
	}); err != nil {
		return err
	}
	t := table{title: "Two workers and one", columns: []string{"", "messages/s", "CPU µs/message", "CPU over one worker", "two cores at this cost would give"}}
	for i, p := range peers {
		bound := ""
		v := median(ratios(p.runs, peers[0].runs, cpu))
		if i > 0 {
			bound = fmt.Sprintf("%.2f times", 2/v)
		}
		t.rows = append(t.rows, []string{p.name, thousands(median(of(p.runs, perS))), fmt.Sprintf("%.2f", median(of(p.runs, cpu))), fmt.Sprintf("%.2f", v), bound})
	}
	t.rows = append(t.rows, []string{"target: 1.8 times one", "not measured", "", "", fmt.Sprintf("needs 4 CPUs, here are %d", runtime.NumCPU())})
	b.tables = append(b.tables, t)
	b.note("workers: this machine has %d CPUs. Two workers and a generator that can load them need four of them, so whether two give 1.8 times one cannot be measured here; "+
		"what is shown is the CPU a message costs with both busy, and what two cores would deliver at that cost. It is no measurement: on CPU 0 both workers share one core and its "+
		"caches, and on CPUs 0 and 1 the second shares its core with the generator, so batches are smaller than on cores of their own and a message costs more.", runtime.NumCPU())
	return nil
}
