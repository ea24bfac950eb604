package demo

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// until is an output that ends the demonstration once everything waited for has been written.
type until struct {
	mu     sync.Mutex
	text   bytes.Buffer
	wanted []*regexp.Regexp
	done   func()
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.text.Write(p)
	for _, w := range u.wanted {
		if !w.Match(u.text.Bytes()) {
			return len(p), nil
		}
	}
	u.done()
	return len(p), nil
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

// play runs a demonstration until all that is wanted was written, and returns what was.
func play(t *testing.T, o Options, wanted ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &until{done: cancel}
	for _, w := range wanted {
		out.wanted = append(out.wanted, regexp.MustCompile(w))
	}
	o.Out = out
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	t.Logf("seed %d", o.Seed)
	if err := Run(ctx, o); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, w := range out.wanted {
		if !w.MatchString(text) {
			t.Errorf("never came: %s", w)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	return text
}

// TestKillAndRevive has a server die in the middle and come back: no call fails, the calls it had are lost and no others,
// none leaves its server, its keys move and return.
func TestKillAndRevive(t *testing.T) {
	text := play(t, Options{
		Rate: 20, Talk: 500 * time.Millisecond, Seed: 11, Kill: []string{"2@2s"}, Revive: []string{"2@8s"}, // late enough to be found dead by a machine that stands still
	},
		`server-2 killed with \d+ calls? up`,
		`server-2 down \(.*\), \d+\.\d s after its death: its 33\.\d % of the keys moved, (server-\d )?\+16\.\d %`,
		`server-2 up again after \d+\.\d s: it has 33\.\d % of the keys, (server-\d )?-16\.\d %`,
	)
	sum := text[strings.LastIndex(text, "\n\n"):]
	if strings.Contains(sum, "failed") || !strings.Contains(sum, " 0 left their server") {
		t.Errorf("%s", text)
	}
}

func TestDrain(t *testing.T) {
	play(t, Options{Rate: 20, Talk: 500 * time.Millisecond, Seed: 12, Drain: []string{"3@1s"}},
		`server-3 is to drain: its \d+ calls? may go on`,
		`server-3 draining: its 33\.\d % of the keys moved, (server-\d )?\+16\.\d %`,
		`server-3 drained: no call left`,
	)
}

// TestOneServerIPv6 runs on ::1 with servers that accept each other's nonces.
func TestOneServerIPv6(t *testing.T) {
	conn, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback: %v; run where ::1 is configured", err)
	}
	conn.Close()
	play(t, Options{Listen: "[::1]:0", Servers: 1, Callers: 2, Rate: 30, Talk: 20 * time.Millisecond, SharedNonces: true, Seed: 13},
		`completed [1-9]`, `server-1 up 100\.0%`)
}

func TestAddressInUse(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	taken := conn.LocalAddr().String()
	if err := Run(t.Context(), Options{Listen: taken, Plain: true}); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("error %v, want one that names %s", err, taken)
	}
	addr := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	got, note, err := choosePort(addr, true)
	if err != nil || got == addr || !strings.Contains(note, taken+":") || !strings.Contains(note, got.String()) {
		t.Errorf("chose %v, %q, %v", got, note, err)
	}
}
