package consistenthash

import (
	"math"
	"math/rand/v2"
	"testing"
)

// excess returns sum((got-want)^2/want): for n independent random shares it would be about n.
func excess(got []int, want []float64) (sum, worst float64) {
	for i := range got {
		if want[i] > 0 {
			z := (float64(got[i]) - want[i]) / math.Sqrt(want[i])
			sum += z * z
			worst = max(worst, math.Abs(z))
		}
	}
	return sum, worst
}

func wanted(members []Member, slots float64) []float64 {
	total := 0.0
	for _, m := range members {
		total += float64(m.Weight)
	}
	want := make([]float64, len(members))
	for i, m := range members {
		want[i] = slots * float64(m.Weight) / total
	}
	return want
}

// TestSharesAreInProportion: every member throws its darts at fixed times, so shares differ from what the weights say
// only half as much, as variances go, as if every slot drew its owner: see ADR 0003.
func TestSharesAreInProportion(t *testing.T) {
	for _, s := range []struct {
		n         int
		maxWeight uint32
	}{{2, 20}, {3, 1000}, {20, 1}, {20, 20}, {100, 1}, {100, 20}, {1000, 1}, {1000, 20}, {10000, 1}} {
		members := draw(s.n, s.maxWeight, 12)
		sum, worst := excess(Build(secret, members).Shares(), wanted(members, Slots))
		if worst > 4 {
			t.Errorf("%v: a share is %.1f standard deviations of a random one off", s, worst)
		}
		if sum/float64(s.n) > 0.5+4*0.5*math.Sqrt(2/float64(s.n)) {
			t.Errorf("%v: shares vary %.3f times as much as random ones", s, sum/float64(s.n))
		}
	}
}

// TestDeadMembersKeysSpread: over all others, in proportion to their weights.
func TestDeadMembersKeysSpread(t *testing.T) {
	for _, maxWeight := range []uint32{1, 20} {
		const n, dead = 100, 17
		members := draw(n, maxWeight, 13)
		full := Build(secret, members)
		less := full.WithWeight(dead, 0)
		before, after := full.Shares(), less.Shares()
		lost := float64(before[dead])
		members[dead].Weight = 0
		want := wanted(members, lost)
		gained := make([]int, n)
		for i := range gained {
			gained[i] = after[i] - before[i]
		}
		gained[dead] = 0
		sum, worst := excess(gained, want)
		if worst > 4.5 || sum > n+5*math.Sqrt(2*n) {
			t.Errorf("weights to %d: spread of %.0f slots: chi-square %.1f of %d, worst %.1f", maxWeight, lost, sum, n-1, worst)
		}
	}
}

// TestPeakShare is the promise that no server of 100 gets more than 1.05 times the mean of 10^6 keys. For every secret
// the probability is computed that keys drawn at random break it, and one draw is made.
func TestPeakShare(t *testing.T) {
	const n, keys, bound, secrets = 100, 1_000_000, 1.05, 10
	members := draw(n, 1, 14)
	r := rand.New(rand.NewPCG(14, 14))
	mean := 0.0
	for k := range secrets {
		table := Build(Key{r.Uint64(), r.Uint64()}, members)
		risk := 0.0
		for _, slots := range table.Shares() {
			risk += tail(keys*float64(slots)/Slots, bound*keys/n)
		}
		mean += risk / secrets
		counts := make([]int, n)
		for range keys {
			counts[table.Lookup(r.Uint64())]++
		}
		peak := 0
		for _, c := range counts {
			peak = max(peak, c)
		}
		if float64(peak)*n/keys > bound {
			t.Errorf("secret %d: peak/mean is %.4f", k, float64(peak)*n/keys)
		}
		t.Logf("secret %d: peak/mean %.4f, probability of more than %v: %.1e", k, float64(peak)*n/keys, bound, risk)
	}
	if mean > 1e-3 {
		t.Errorf("the promise breaks with a probability of %.1e, want at most 1e-3", mean)
	}
}

// tail returns the probability that a Poisson variable of this mean (large) is above the bound.
func tail(mean, bound float64) float64 {
	// Peizer and Pratt's normal approximation, good to a few per cent of the tail.
	x := math.Floor(bound)
	d := x + 2./3 - mean + 0.02/(x+1)
	q := (x + 0.5) / mean
	g := 0.0
	if math.Abs(1-q) > 1e-9 {
		g = (1 - q*q + 2*q*math.Log(q)) / ((1 - q) * (1 - q))
	}
	z := d / math.Sqrt(mean) * math.Sqrt(1+g)
	return 0.5 * math.Erfc(z/math.Sqrt2)
}

// TestMembersAreIndependent: who comes second where somebody is first says nothing about the first.
func TestMembersAreIndependent(t *testing.T) {
	const n = 30
	members := draw(n, 1, 15)
	table := Build(secret, members)
	pairs := make([]int, n*n)
	want := make([]float64, n*n)
	for slot := range uint32(1 << 17) {
		first := table.owner(slot)
		second := table.first(slot, []int32{first})
		pairs[int(first)*n+int(second)]++
	}
	for i := range want {
		if i/n != i%n {
			want[i] = float64(1<<17) / (n * (n - 1))
		}
	}
	sum, worst := excess(pairs, want)
	if df := float64(n*(n-1) - 1); worst > 5 || sum > df+5*math.Sqrt(2*df) {
		t.Errorf("pairs of first and second: chi-square %.0f of %.0f, worst %.1f", sum, df, worst)
	}
}
