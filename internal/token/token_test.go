package token

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/carillon-sip/carillon/internal/alloctest"
)

func TestBranchRoundTrip(t *testing.T) {
	s := New([]byte("secret"))
	r := rand.New(rand.NewPCG(1, 2))
	var scratch [16]byte
	for range 1000 {
		in := Branch{Attempt: uint8(r.UintN(16)), Listener: uint16(r.Uint32()), Salt: r.Uint32() & 0xffffff,
			Binding: Binding{Lo: r.Uint64(), Hi: uint16(r.Uint32())}}
		text := s.AppendBranch([]byte("z9hG4bK"), &in)
		if len(text) != 7+Len || !bytes.HasPrefix(text, []byte("z9hG4bK")) {
			t.Fatalf("branch %q", text)
		}
		out, ok := s.OpenBranch(text[7:], &scratch)
		if !ok || out != in {
			t.Fatalf("opened %+v, %v; sealed %+v", out, ok, in)
		}
	}
}

func TestRouteRoundTripAndBinding(t *testing.T) {
	s, other := New([]byte("secret")), New([]byte("another"))
	r := rand.New(rand.NewPCG(3, 4))
	var scratch [16]byte
	for range 1000 {
		in := Route{Server: r.Uint64() & ServerBits, Opener: r.Uint32() & 0xffffff, FromServer: r.IntN(2) == 0}
		call := r.Uint64()
		text := s.AppendRoute(nil, &in, call)
		if out, ok := s.OpenRoute(text, call, &scratch); !ok || out != in {
			t.Fatalf("opened %+v, %v; sealed %+v", out, ok, in)
		}
		if _, ok := s.OpenRoute(text, call^1, &scratch); ok {
			t.Fatal("a token opened under another Call-ID")
		}
		if _, ok := other.OpenRoute(text, call, &scratch); ok {
			t.Fatal("a token opened under another secret")
		}
		if _, ok := s.OpenBranch(text, &scratch); ok {
			t.Fatal("a route token opened as a branch")
		}
	}
}

func TestFlowRoundTrip(t *testing.T) {
	s := New([]byte("secret"))
	r := rand.New(rand.NewPCG(5, 6))
	var scratch [16]byte
	for range 1000 {
		route := Route{Server: r.Uint64() & ServerBits, Opener: r.Uint32() & 0xffffff, FromServer: r.IntN(2) == 0}
		in, call := Flow{r.Uint64() & FlowBits, uint16(r.Uint32())}, r.Uint64()
		text := s.AppendFlow(nil, &in, &route, call)
		out, mark, ok := s.OpenFlow(text, call, &scratch)
		if !ok || out != in || !route.Beside(mark) {
			t.Fatalf("opened %+v, %v; sealed %+v", out, ok, in)
		}
		if _, _, ok := s.OpenFlow(text, call^1, &scratch); ok {
			t.Fatal("a token opened under another Call-ID")
		}
		path := Path{in, r.IntN(2) == 0, r.IntN(2) == 0}
		sealed := s.AppendPath(nil, &path)
		if got, ok := s.OpenPath(sealed, &scratch); !ok || got != path {
			t.Fatalf("opened %+v, %v; sealed %+v", got, ok, path)
		}
		if _, ok := s.OpenPath(text, &scratch); ok {
			t.Fatal("a flow opened as a path")
		}
		if _, _, ok := s.OpenFlow(sealed, call, &scratch); ok {
			t.Fatal("a path opened as a flow")
		}
		branch := []byte("z9hG4bKsomething")
		via := s.AppendVia(nil, in.Number, branch)
		if n, ok := s.OpenVia(via, branch); !ok || n != in.Number {
			t.Fatalf("Via %q opens to %d, %v", via, n, ok)
		}
		via[r.IntN(len(via))] ^= 1
		if _, ok := s.OpenVia(via, branch); ok {
			t.Fatalf("forged Via %q opens", via)
		}
		if _, ok := s.OpenVia(s.AppendVia(nil, in.Number, branch), branch[1:]); ok {
			t.Fatal("a Via opens with another branch")
		}
	}
}

// Each single-character change of a token must be refused: as text, or because
// what it opens to no longer fits.
func TestForgedTokensAreRefused(t *testing.T) {
	s := New([]byte("secret"))
	var scratch [16]byte
	const call = 0x0123456789abcdef
	text := s.AppendRoute(nil, &Route{Server: 7, Opener: 9}, call)
	for i := range text {
		for c := range 256 {
			if byte(c) == text[i] {
				continue
			}
			forged := bytes.Clone(text)
			forged[i] = byte(c)
			if _, ok := s.OpenRoute(forged, call, &scratch); ok {
				t.Fatalf("character %d changed to %q still opens", i, rune(c))
			}
		}
	}
	for _, bad := range []string{"", "short", string(text) + "A", string(text[:21]) + "="} {
		if _, ok := s.OpenRoute([]byte(bad), call, &scratch); ok {
			t.Fatalf("%q opened", bad)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	s := New([]byte("secret"))
	dst, material := make([]byte, 0, 64), make([]byte, 60)
	scratch := new([16]byte)
	if n := alloctest.PerRun(100, func() {
		b := Branch{Binding: s.Bind(material)}
		out := s.AppendBranch(dst[:0], &b)
		s.OpenBranch(out, scratch)
		out = s.AppendRoute(dst[:0], &Route{Server: 5}, s.CallHash(material))
		s.OpenRoute(out, 1, scratch)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkAppendBranch(b *testing.B) {
	s := New([]byte("secret"))
	dst := make([]byte, 0, 64)
	br := Branch{Binding: Binding{Lo: 1}}
	for b.Loop() {
		s.AppendBranch(dst, &br)
	}
}

func BenchmarkOpenBranch(b *testing.B) {
	s := New([]byte("secret"))
	text := s.AppendBranch(nil, &Branch{})
	scratch := new([16]byte)
	for b.Loop() {
		s.OpenBranch(text, scratch)
	}
}

func BenchmarkBind60(b *testing.B) {
	s := New([]byte("secret"))
	m := make([]byte, 60)
	for b.Loop() {
		s.Bind(m)
	}
}

func BenchmarkCallHash40(b *testing.B) {
	s := New([]byte("secret"))
	m := make([]byte, 40)
	for b.Loop() {
		s.CallHash(m)
	}
}
