//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
)

// proxyCPU is where what is measured runs; generatorCPU is the last one, so that they share as little as can be.
const proxyCPU = 0

func generatorCPU() int { return runtime.NumCPU() - 1 }

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// of takes one figure of every run.
func of(runs []result, f func(result) float64) []float64 {
	v := make([]float64, len(runs))
	for i, r := range runs {
		v[i] = f(r)
	}
	return v
}

// ratios divides a figure of a by that of b, round by round: what the machine did in a round happened to both.
func ratios(a, b []result, f func(result) float64) []float64 {
	var v []float64
	for i := range min(len(a), len(b)) {
		if f(b[i]) > 0 {
			v = append(v, f(a[i])/f(b[i]))
		}
	}
	return v
}

// quartiles are shown beside a median, so that the reader sees how far the rounds agree.
func quartiles(v []float64) string {
	if len(v) < 4 {
		return ""
	}
	s := slices.Sorted(slices.Values(v))
	at := func(part float64) float64 { return s[int(math.Round(part*float64(len(s)-1)))] }
	if s[0] >= 100 {
		return fmt.Sprintf("%.0f to %.0f", at(0.25), at(0.75))
	}
	return fmt.Sprintf("%.2f to %.2f", at(0.25), at(0.75))
}

// once makes one run through a peer, and another when other work disturbed it.
func (b *bench) once(p *peer, words []string) (result, error) {
	var best result
	tries := 2
	if b.quick {
		tries = 1
	}
	for try := range tries {
		r, err := b.farm.run(p.words(words...)...)
		if err != nil {
			return r, fmt.Errorf("%s: %w", p.name, err)
		}
		if try == 0 || r.OthersPercent < best.OthersPercent {
			best = r
		}
		if !best.disturbed() {
			break
		}
	}
	return best, nil
}

// inTurn measures the peers round by round, each round in another order, and keeps the results in p.runs.
func (b *bench) inTurn(what string, rounds int, peers []*peer, words func(*peer) []string) error {
	disturbed, total := 0, 0
	for _, p := range peers {
		p.runs = make([]result, rounds)
	}
	for round := range rounds {
		for i := range peers {
			p := peers[(i+round)%len(peers)]
			r, err := b.once(p, words(p))
			if err != nil {
				return err
			}
			p.runs[round] = r
			total++
			if r.disturbed() {
				disturbed++
			}
		}
		fmt.Fprintf(os.Stderr, "\rbench: %s, round %d of %d  ", what, round+1, rounds)
	}
	fmt.Fprintln(os.Stderr)
	for _, p := range peers {
		b.judge(what, p, p.runs...)
	}
	if disturbed > 0 {
		b.note("%s: other work took part of the CPUs in %d of %d measurements; ratios say more than single figures here.", what, disturbed, total)
	}
	return nil
}

// judge remarks on what was wrong in runs. Only Carillon's faults, and those of the bare relay, which has none of its
// own, spoil the benchmark: what Kamailio does with messages is shown, and is Kamailio's.
func (b *bench) judge(what string, p *peer, runs ...result) {
	sum := result{Kinds: map[string]int{}}
	for _, r := range runs {
		for kind, n := range r.Kinds {
			sum.Kinds[kind] += n
		}
		sum.Lost += r.Lost
		sum.Timeouts += r.Timeouts
		sum.Refused += r.Refused
		sum.Duplicates += r.Duplicates
		sum.Skipped += r.Skipped
	}
	w := sum.wrong()
	switch {
	case w == "":
	case p.foreign:
		b.note("%s, %s: %s", what, p.name, w)
	default:
		b.failed("%s, %s: %s", what, p.name, w)
	}
}

// bestWindow finds the closed window with the most messages a second and none lost; 64 unless another is clearly better.
func (b *bench) bestWindow(p *peer) error {
	if w, ok := b.windows[p.name]; ok {
		p.window = w
		return nil
	}
	best := 0.0
	for _, w := range []int{64, 16, 256} {
		r, err := b.once(p, []string{fmt.Sprintf("window=%d", w), fmt.Sprintf("secs=%.1f", b.secs/2), "warmup=0.2"})
		if err != nil {
			return err
		}
		if r.wrong() == "" && r.MsgsPerS > best*1.03 {
			best, p.window = r.MsgsPerS, w
		}
	}
	if p.window == 0 {
		p.window = 16
	}
	b.windows[p.name] = p.window
	return nil
}
