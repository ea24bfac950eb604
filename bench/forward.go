//go:build linux

package main

import (
	"fmt"
)

const (
	targetCPU        = 1.25 // CPU per message over the relay's
	stretchCPU       = 1.0
	targetThroughput = 2.3 // messages a second over Kamailio's
)

func perS(r result) float64    { return r.MsgsPerS }
func cpu(r result) float64     { return r.micros() }
func callsOf(r result) float64 { return r.CallsPerS }

// forward measures full calls at a closed window on one core, all peers in turn within each round.
func (b *bench) forward() error {
	peers, err := b.startForwarders()
	defer func() {
		for _, p := range peers {
			b.stop(p)
		}
	}()
	if err != nil {
		return err
	}
	for _, p := range peers {
		if err := b.bestWindow(p); err != nil {
			return err
		}
	}
	closed := func(more ...string) func(*peer) []string {
		return func(p *peer) []string {
			return append([]string{fmt.Sprintf("window=%d", p.window), fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3"}, more...)
		}
	}
	if err := b.inTurn("forwarding", b.rounds, peers, closed()); err != nil {
		return err
	}
	relay, kamailio, us := peers[0], peers[2], peers[3]
	b.maximum = median(of(us.runs, callsOf))
	b.tables = append(b.tables, forwardTable("Forwarding on one core: full calls, closed window", peers))
	cpuRatios, speed := ratios(us.runs, relay.runs, cpu), ratios(us.runs, kamailio.runs, perS)
	t := table{title: "Forwarding: the targets", columns: targetColumns}
	t.add("CPU per message over relay single", fmt.Sprintf("%.2f", median(cpuRatios)), quartiles(cpuRatios), fmt.Sprintf("at most %.2f", targetCPU), median(cpuRatios) <= targetCPU)
	t.add("the same, stretch", fmt.Sprintf("%.2f", median(cpuRatios)), quartiles(cpuRatios), fmt.Sprintf("below %.1f", stretchCPU), median(cpuRatios) < stretchCPU)
	t.add("messages a second over Kamailio", fmt.Sprintf("%.2f", median(speed)), quartiles(speed), fmt.Sprintf("at least %.1f", targetThroughput), median(speed) >= targetThroughput)
	perCPU := ratios(kamailio.runs, us.runs, cpu) // the same on a core that is busy all the time and does nothing else
	t.rows = append(t.rows, []string{"messages for each second of CPU over Kamailio", fmt.Sprintf("%.2f", median(perCPU)), quartiles(perCPU), "", ""})
	b.tables = append(b.tables, t)
	for _, r := range us.runs {
		if r.RecordRouted == 0 {
			b.failed("forwarding: carillon put in no Record-Route: the figures are not those of the full path")
			break
		}
	}
	if err := b.inTurn("random sizes", (b.rounds+1)/2, peers, closed("jitter=300")); err != nil {
		return err
	}
	b.tables = append(b.tables, forwardTable("The same with every message of another size (up to 300 bytes more, so that no two join in a train)", peers))
	if err := b.inTurn("single datagrams", (b.rounds+2)/3, peers, closed("gso=0")); err != nil {
		return err
	}
	b.tables = append(b.tables, forwardTable("The same with equal sizes, but sent to the proxy one datagram at a time (nothing comes as a train)", peers))
	return nil
}

// startForwarders starts all peers, each on a port of its own: the two relays, Kamailio with its best number of
// children, and Carillon.
func (b *bench) startForwarders() ([]*peer, error) {
	if err := b.openFarm(); err != nil {
		return nil, err
	}
	var peers []*peer
	for i, mode := range []string{"single", "mmsg"} {
		p, err := b.startRelay(mode, firstProxy+i)
		if err != nil {
			return peers, err
		}
		peers = append(peers, p)
	}
	k, err := b.bestKamailio(firstProxy + 2)
	if err != nil {
		return peers, err
	}
	peers = append(peers, k)
	us, err := b.startCarillon(1, firstProxy+3, []int{proxyCPU}, farmList(serversPort, servers))
	if err != nil {
		return peers, err
	}
	return append(peers, us), b.ready(b.farm, us)
}

// bestKamailio tries numbers of children, all on the one core, and leaves the fastest running. Where other work takes
// part of that core, more children only take more of it back, so then the least CPU per message decides.
func (b *bench) bestKamailio(port int) (*peer, error) {
	var tried []result
	disturbed := false
	numbers := []int{1, 2, 4}
	for _, children := range numbers {
		p, err := b.startKamailio(children, port)
		if err != nil {
			return nil, err
		}
		r, err := b.once(p, []string{"window=64", fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3"})
		b.stop(p)
		if err != nil {
			return nil, err
		}
		tried = append(tried, r)
		disturbed = disturbed || r.disturbed()
	}
	best := 0
	for i, r := range tried {
		if disturbed && r.micros()*1.02 < tried[best].micros() || !disturbed && r.MsgsPerS > tried[best].MsgsPerS*1.02 {
			best = i
		}
	}
	p, err := b.startKamailio(numbers[best], port)
	if err == nil {
		p.name = fmt.Sprintf("kamailio, %s", plural(numbers[best], "child", "children"))
	}
	return p, err
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// forwardTable shows peers beside the first (the bare relay) and the third (Kamailio).
func forwardTable(title string, peers []*peer) table {
	t := table{title: title, columns: []string{"program", "window", "messages/s", "calls/s", "CPU µs/message", "CPU over relay", "messages/s over Kamailio", "INVITE to 200, p50 µs"}}
	for _, p := range peers {
		t.rows = append(t.rows, []string{p.name, fmt.Sprint(p.window), thousands(median(of(p.runs, perS))), thousands(median(of(p.runs, callsOf))),
			fmt.Sprintf("%.2f", median(of(p.runs, cpu))), fmt.Sprintf("%.2f", median(ratios(p.runs, peers[0].runs, cpu))),
			fmt.Sprintf("%.2f", median(ratios(p.runs, peers[2].runs, perS))), fmt.Sprintf("%.0f", median(of(p.runs, p50)))})
	}
	return t
}
