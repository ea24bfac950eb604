package consistenthash

import (
	"fmt"
	"testing"
)

func forSizes(b *testing.B, f func(b *testing.B, members []Member)) {
	for _, n := range []int{3, 4, 5, 10, 30, 100, 1000, 10000} {
		for _, w := range []uint32{1, 20} {
			b.Run(fmt.Sprintf("%d/weights-to-%d", n, w), func(b *testing.B) { f(b, draw(n, w, 1)) })
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	forSizes(b, func(b *testing.B, members []Member) {
		t := Build(secret, members)
		h, sum := uint64(1), int32(0)
		for b.Loop() {
			h = h*6364136223846793005 + 1442695040888963407 // random keys: all of the table is touched
			sum += t.Lookup(h)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	forSizes(b, func(b *testing.B, members []Member) {
		t := Build(secret, members)
		h := uint64(1)
		for b.Loop() {
			h = h*6364136223846793005 + 1442695040888963407
			t.Next(h, []int32{t.Lookup(h)})
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	forSizes(b, func(b *testing.B, members []Member) {
		for b.Loop() {
			Build(secret, members)
		}
	})
}

func BenchmarkDown(b *testing.B) {
	forSizes(b, func(b *testing.B, members []Member) {
		t := Build(secret, members)
		for i := 0; b.Loop(); i++ {
			t.WithWeight(i%len(members), 0)
		}
	})
}

func BenchmarkUp(b *testing.B) {
	forSizes(b, func(b *testing.B, members []Member) {
		t := Build(secret, members).WithWeight(1, 0)
		for b.Loop() {
			t.WithWeight(1, members[1].Weight)
		}
	})
}
