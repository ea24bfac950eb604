package main

import (
	"strings"
	"testing"
)

// What the demonstration cannot do is refused before anything starts, as it is by run.
func TestDemoRefuses(t *testing.T) {
	for _, args := range []string{"--workers -1", "--workers 5000", "--servers 0", "--servers 10", "--callers 0", "--rate 0", "--rate -1"} {
		if status := execute(strings.Fields("demo --plain --duration 1ms --listen 127.0.0.1:0 " + args)); status != 2 {
			t.Errorf("demo %s: exit status %d, want 2", args, status)
		}
	}
}
