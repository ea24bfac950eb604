package alloctest

import "testing"

var kept []byte

func TestOwnIsCounted(t *testing.T) {
	if n := PerRun(10, func() { kept = make([]byte, 100) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

// What others allocate for a while is not counted.
func TestOthersAreNotCounted(t *testing.T) {
	runs := 0
	n := PerRun(10, func() {
		if runs++; runs < 25 {
			kept = make([]byte, 100)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestBytesAreCounted(t *testing.T) {
	if n := BytesPerRun(10, func() { kept = make([]byte, 100_000) }); n < 100_000 || n > 200_000 {
		t.Errorf("%v octets, want about 100,000", n)
	}
}
