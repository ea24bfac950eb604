//go:build linux

package main

import "fmt"

const targetLatency = 1.15 // over the bare relay in the same round

func p50(r result) float64 { return r.RTT["invite_final"].P50 }
func p99(r result) float64 { return r.RTT["invite_final"].P99 }

// latency compares INVITE to 200 at two open rates with the bare relay, in turn. Times count from the planned moment of a
// call, so a stall shows in all the calls it delayed.
func (b *bench) latency() error {
	if err := b.openFarm(); err != nil {
		return err
	}
	relay, err := b.startRelay("single", firstProxy)
	defer b.stop(relay)
	if err != nil {
		return err
	}
	us, err := b.startCarillon(1, firstProxy+1, []int{proxyCPU}, farmList(serversPort, servers))
	defer b.stop(us)
	if err == nil {
		err = b.ready(b.farm, us)
	}
	if err != nil {
		return err
	}
	if b.maximum == 0 {
		r, err := b.once(us, []string{"window=64", fmt.Sprintf("secs=%.1f", b.secs), "warmup=0.3"})
		if err != nil {
			return err
		}
		b.maximum = r.CallsPerS
	}
	t := table{title: "Latency: INVITE to 200 through the proxy, beside the bare relay", columns: []string{"calls/s", "", "relay µs", "carillon µs", "ratio", "quartiles of the ratio", "target", ""}}
	peers := []*peer{relay, us}
	for _, load := range []struct {
		name string
		rate float64
	}{{"1,000", 1000}, {"a third of the maximum: " + thousands(b.maximum/3), b.maximum / 3}} {
		err := b.inTurn("latency at "+load.name, b.latencyRounds, peers, func(*peer) []string {
			return []string{fmt.Sprintf("rate=%.0f", load.rate), fmt.Sprintf("secs=%.1f", b.latencySecs), "warmup=0.3"}
		})
		if err != nil {
			return err
		}
		for _, q := range []struct {
			name string
			f    func(result) float64
		}{{"p50", p50}, {"p99", p99}} {
			v := ratios(us.runs, relay.runs, q.f)
			t.add(load.name, q.name, fmt.Sprintf("%.0f", median(of(relay.runs, q.f))), fmt.Sprintf("%.0f", median(of(us.runs, q.f))),
				fmt.Sprintf("%.2f", median(v)), quartiles(v), fmt.Sprintf("at most %.2f", targetLatency), median(v) <= targetLatency)
		}
		t.rows = append(t.rows, []string{load.name, "CPU/message", fmt.Sprintf("%.1f", median(of(relay.runs, cpu))), fmt.Sprintf("%.1f", median(of(us.runs, cpu))),
			fmt.Sprintf("%.2f", median(ratios(us.runs, relay.runs, cpu))), "", "", ""})
	}
	b.tables = append(b.tables, t)
	return nil
}
