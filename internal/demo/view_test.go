package demo

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/carillon-sip/carillon/internal/demo/ua"
)

var update = flag.Bool("update", false, "write the goldens anew; explain the difference in the commit")

// begin is when the demonstration of the tests began.
var begin = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// story is a watch that has seen a server die, its calls lost, and another one drained.
func story() *watch {
	w := &watch{
		started: begin, listen: netip.MustParseAddrPort("127.0.0.1:5060"), phones: 12, servers: make([]watched, 3),
		names: []string{"server-1", "server-2", "server-3"},
	}
	for _, text := range []string{"127.0.0.1:5071", "127.0.0.1:5072", "127.0.0.1:5073"} {
		w.addrs = append(w.addrs, netip.MustParseAddrPort(text))
	}
	for tick := range 4 * 60 {
		at := begin.Add(time.Duration(tick) * 250 * time.Millisecond)
		switch tick {
		case 4 * 40:
			w.died(1, at)
			w.note(at, bad, "server-2 killed with 33 calls up")
		case 4 * 55:
			w.note(at, warn, "server-3 is to drain: its 48 calls may go on, new ones go elsewhere")
		}
		w.add(chapter(at, tick))
	}
	return w
}

// chapter is the reading at a quarter second of the story.
func chapter(at time.Time, tick int) reading {
	n := uint64(tick)
	r := reading{at: at, rate: 20, servers: make([]ua.ServerStats, 3)}
	r.status = Status{
		Revision: 1, Transactions: 14, Calls: 320,
		Requests:  map[string]uint64{"INVITE": 5 * n},
		Responses: map[int]uint64{100: 5 * n, 180: 5 * n, 200: 10 * n, 401: 30, 486: n / 4, 487: n / 3},
		Routed: []ReasonCount{
			{"hash", 5 * n}, {"token", 11 * n}, {"Call-ID", n / 2}, {"transaction", n / 4}, {"from servers", n / 3}, {"failed over", 0},
		},
		Dropped: []ReasonCount{{"too_many_hops", 0}, {"junk", 0}},
	}
	for i := range r.servers {
		s := ServerStatus{Name: "server-" + string(rune('1'+i)), State: stateUp, Reason: "200 in 0.4 ms", HashShare: 1. / 3, Requests: 7 * n, Open: int64(i)}
		s.Latency[3], s.Latency[4] = 10*n, n
		r.servers[i] = ua.ServerStats{Alive: true, Calls: 30 + i, Invites: 2 * n}
		r.status.Servers = append(r.status.Servers, s)
	}
	t := &r.totals
	t.Placed, t.Up, t.Registered = 5*n+uint64(tick%7), 98, 12
	t.Outcomes[ua.Completed], t.Outcomes[ua.Busy] = 4*n, n/4
	t.Ringing = ua.Quantiles{P50: 610 * time.Microsecond, P99: 2210 * time.Microsecond}
	t.Setup = ua.Quantiles{P50: 680 * time.Microsecond, P99: 3140 * time.Microsecond}
	servers := r.status.Servers
	if tick >= 4*40 {
		r.servers[1] = ua.ServerStats{Invites: 2 * 4 * 40}
		r.status.Routed[5].Count = 4
	}
	if tick >= 4*42 {
		servers[1].State, servers[1].Reason, servers[1].HashShare = stateDown, "port unreachable", 0
		servers[0].HashShare, servers[2].HashShare = 0.5, 0.5
		servers[1].Requests = 7 * 4 * 42
		t.LostWith = map[int]uint64{481: min(n-4*42, 33)}
		t.Outcomes[ua.Lost] = t.LostWith[481]
	}
	if tick >= 4*55 {
		r.status.Revision = 2
		servers[2].State, servers[2].HashShare, servers[0].HashShare = stateDraining, 0, 1
	}
	return r
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (- golden, + now):\n%s", path, diff)
	}
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				return v
			}
		}
		return ""
	}
}

func TestViewGolden(t *testing.T) {
	utf8 := newLook(environment("LANG=en_US.UTF-8"))
	f := story().frame(begin.Add(60 * time.Second))
	for _, test := range []struct {
		name          string
		look          look
		width, height int
		help          bool
	}{
		{"80x24", utf8, 80, 24, false},
		{"80x24-help", utf8, 80, 24, true},
		{"80x24-ascii", newLook(environment("LANG=C")), 80, 24, false},
		{"130x40", utf8, 130, 40, false},
		{"60x16", utf8, 60, 16, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := render(f, test.look, test.width, test.height, 1, test.help)
			lines := strings.Split(got, "\n")
			if len(lines) != test.height {
				t.Errorf("%d lines, want %d", len(lines), test.height)
			}
			for i, line := range lines {
				if w := lipgloss.Width(line); w > test.width {
					t.Errorf("line %d has %d cells, want at most %d", i+1, w, test.width)
				}
			}
			golden(t, test.name+".txt", ansi.Strip(got)+"\n")
		})
	}
}

// TestViewFitsAnywhere draws every size, with nothing to show and with much: no panic, no line too many or too long.
func TestViewFitsAnywhere(t *testing.T) {
	l := newLook(environment("LANG=C.UTF-8"))
	empty := newWatch(begin, netip.MustParseAddrPort("[::1]:5060"), 1, nil).frame(begin)
	full := story().frame(begin.Add(time.Minute))
	for _, f := range []frame{empty, full} {
		for width := 1; width < 200; width += 7 {
			for height := 1; height < 60; height += 3 {
				lines := strings.Split(render(f, l, width, height, 2, height%2 == 0), "\n")
				if len(lines) > height {
					t.Fatalf("%dx%d: %d lines", width, height, len(lines))
				}
				for _, line := range lines {
					if lipgloss.Width(line) > width {
						t.Fatalf("%dx%d: a line of %d cells: %q", width, height, lipgloss.Width(line), line)
					}
				}
			}
		}
	}
}

func TestColours(t *testing.T) {
	f := story().frame(begin.Add(time.Minute))
	if s := render(f, newLook(environment("LANG=C.UTF-8")), 80, 24, 0, false); !strings.Contains(s, "\x1b[32m") {
		t.Error("nothing is green")
	}
	s := render(f, newLook(environment("LANG=C.UTF-8", "NO_COLOR=yes")), 80, 24, 0, false)
	for _, sequence := range strings.Split(s, "\x1b[")[1:] {
		codes, _, ok := strings.Cut(sequence, "m")
		if !ok {
			t.Fatalf("not a style: %q", sequence)
		}
		for _, code := range strings.Split(codes, ";") {
			if code != "" && code != "0" && code != "1" && code != "2" && code != "7" { // reset, bold, faint, reverse
				t.Fatalf("NO_COLOR, and there is %q", codes)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range [][2]string{
		{trim(20), "20"}, {trim(19.96), "20.0"}, {trim(123.4), "123"}, {rate(20), "20.0"}, {rate(250.2), "250"},
		{human(99_999), "99999"}, {human(123_456), "123k"}, {human(12_345_678), "12M"},
		{millis(0), "-"}, {millis(640 * time.Microsecond), "0.64"}, {millis(12345 * time.Microsecond), "12.3"},
		{millis(1234 * time.Millisecond), "1234"}, {percent(1), "100%"}, {percent(1. / 3), "33.3%"},
		{clock(3661 * time.Second), "01:01:01"},
	} {
		if test[0] != test[1] {
			t.Errorf("got %q, want %q", test[0], test[1])
		}
	}
}
