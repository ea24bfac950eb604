package demo

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOptionsAreChecked(t *testing.T) {
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{}, ""},
		{Options{Listen: "[::1]:5070", Rate: 200, Kill: []string{"2@10s"}, Revive: []string{"2@1m30s"}}, ""},
		{Options{Listen: "localhost"}, `listen "localhost": want address:port, say 127.0.0.1:5060`},
		{Options{Rate: -1}, "rate -1: want more than 0 and at most 1000 calls a second"},
		{Options{Servers: 10}, "servers 10: want 1 to 9"},
		{Options{Callers: 501}, "callers 501: want 1 to 500"},
		{Options{Workers: -1}, "workers -1: want 0 to 1024"},
		{Options{Workers: 5000}, "workers 5000: want 0 to 1024"},
		{Options{Duration: -1}, "a time is negative"},
		{Options{Kill: []string{"2"}}, `kill "2": want server@time, say 2@10s`},
		{Options{Drain: []string{"4@1s"}}, `drain "4@1s": server "4" is none of 1 to 3`},
		{Options{Servers: 1, Revive: []string{"1@soon"}}, `revive "1@soon": time "soon": want a duration, say 10s or 1m30s`},
		{Options{Undrain: []string{"x@1s"}, Callers: -1}, "callers -1: want 1 to 500\nundrain \"x@1s\": server \"x\" is none of 1 to 3"},
	} {
		got := ""
		if err := test.options.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v:\n got %q\nwant %q", test.options, got, test.want)
		}
	}
}

func TestScriptIsInOrder(t *testing.T) {
	script, err := parseScript(Options{Kill: []string{"2@10s", "1@30s"}, Revive: []string{"2@20s"}, Drain: []string{"3@10s"}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []action{{kill, 1, 10 * time.Second}, {drain, 2, 10 * time.Second}, {revive, 1, 20 * time.Second}, {kill, 0, 30 * time.Second}}
	if diff := cmp.Diff(want, script, cmp.AllowUnexported(action{})); diff != "" {
		t.Error(diff)
	}
}

// TestKeys presses keys and looks at what they did.
func TestKeys(t *testing.T) {
	var did []string
	note := func(what string, server int) { did = append(did, what+string(rune('1'+server))) }
	var m tea.Model = model{look: newLook(environment()), controls: controls{
		do:          func(d deed, server int) { note(d.String(), server) },
		toggleDrain: func(server int) { note("drain", server) },
		faster:      func(by int) { did = append(did, map[int]string{1: "faster", -1: "slower"}[by]) },
		pause:       func() { did = append(did, "pause") },
	}}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m, _ = m.Update(frameMsg(story().frame(begin.Add(time.Minute))))
	press := func(keys ...rune) {
		for _, k := range keys {
			var cmd tea.Cmd
			if m, cmd = m.Update(tea.KeyPressMsg{Code: k, Text: string(k)}); cmd != nil {
				if _, quit := cmd().(tea.QuitMsg); quit {
					did = append(did, "quit")
				}
			}
		}
	}
	press('2', 'k', '3', 'd', '9', 'd', '1', 'r', '+', '-', 'p')
	m, _ = m.Update(tea.KeyPressMsg{Code: tea.KeyDown})
	press('k', '?', 'k', 'k', 'q') // the first k only closes the help
	want := []string{"kill2", "drain3", "drain3", "revive1", "faster", "slower", "pause", "kill2", "kill2", "quit"}
	if diff := cmp.Diff(want, did); diff != "" {
		t.Error(diff)
	}
	if v := m.View(); !v.AltScreen || v.Content == "" {
		t.Error("no view")
	}
}

func TestRateSteps(t *testing.T) {
	for _, test := range []struct {
		from float64
		by   int
		want float64
	}{{20, 1, 30}, {20, -1, 10}, {17, 1, 20}, {17, -1, 10}, {1000, 1, 1000}, {1, -1, 1}} {
		if got := stepped(test.from, test.by); got != test.want {
			t.Errorf("from %v by %d: %v, want %v", test.from, test.by, got, test.want)
		}
	}
}
