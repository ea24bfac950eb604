package shell

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/client"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// within makes a shell that stands in a new object, with a controller that cannot be reached.
func within(t interface{ Fatal(...any) }, kind string) *Shell {
	c, err := client.New(client.Config{Server: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Client: c, Screen: &view.Screen{Out: io.Discard}, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := object.FindKind(kind)
	f := &frame{kind: k, label: k.Path, node: view.NewObject(), set: map[string]bool{}}
	f.info, _ = object.Describe(k.Name, "")
	f.node.Set("name", view.NewText("x"))
	s.frames = []*frame{f}
	return s
}

// TestModeProperty types anything into an object: nothing panics, what was entered stays an object as JSON, and a line
// that is refused changes nothing.
func TestModeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := within(t, rapid.SampledFrom([]string{"Pool", "VirtualService", "VsVip", "NetworkProfile", "HealthMonitor", "User"}).Draw(t, "kind"))
		for range rapid.IntRange(1, 12).Draw(t, "lines") {
			at := s.frames[len(s.frames)-1]
			vocabulary := slices.Concat(at.info.Members, []string{"save", "cancel", "where", "no", "no", "index", "1", "2", "0", "-1", "5060", "true", "false", "10.0.0.1", "::1",
				"10.0.0.1:5060", "{\"a\":1}", "[1]", "{", "lb_algorithm_random", "ip", "port", "?", "|", "count", "<<", "do", "file:/nowhere", "ö"})
			words := rapid.SliceOfN(rapid.SampledFrom(vocabulary), 1, 5).Draw(t, "words")
			text := strings.Join(words, " ")
			s.Complete(t.Context(), text)
			if strings.Contains(text, "<<") || len(s.frames) == 1 && (words[0] == "cancel" || words[0] == "exit") {
				continue
			}
			s.in = newScript(strings.NewReader(""))
			before, deep := bytes.Clone(s.frames[0].node.JSON()), len(s.frames)
			if err := s.Do(t.Context(), text); err != nil && deep == 1 && len(words) < 3 && !bytes.Equal(before, s.frames[0].node.JSON()) {
				t.Fatalf("%q was refused (%v) and made %s of %s", text, err, s.frames[0].node.JSON(), before)
			}
			if _, err := view.Parse(s.frames[0].node.JSON()); err != nil {
				t.Fatalf("%q made no JSON: %v", text, err)
			}
		}
	})
}

// A save that does not reach the controller keeps what was entered.
func TestSaveKeeps(t *testing.T) {
	s := within(t, "Pool")
	if err := s.Do(t.Context(), "default_server_port 5060"); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), "save"); err == nil || len(s.frames) != 1 || s.frames[0].node.Get("default_server_port").String() != "5060" {
		t.Errorf("%v; %d sub-modes", err, len(s.frames))
	}
}
