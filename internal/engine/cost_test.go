package engine

import "testing"

// What looking at an engine with 1,000 services and 20,000 servers costs.
func BenchmarkLookAtMany(b *testing.B) {
	e, err := Start(Config{Set: farm(manyServices, manyServers, 20000), Revision: 1, Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Stop()
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			e.Status()
		}
	})
	b.Run("brief", func(b *testing.B) {
		for b.Loop() {
			e.Look(Ask{NoServers: true})
		}
	})
	b.Run("pool", func(b *testing.B) {
		for b.Loop() {
			e.Look(Ask{Pool: "service-0500"})
		}
	})
	b.Run("sample", func(b *testing.B) {
		for b.Loop() {
			e.Sample(nil)
		}
	})
}
