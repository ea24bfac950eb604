package shell

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Any words, quoted, are read back as they were.
func TestWordsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[^\n\r]{0,12}`), 1, 6).Draw(t, "words")
		text := ""
		for _, w := range words {
			text += " " + quoteWord(w)
		}
		l, err := parseLine(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if l.help || l.heredoc != "" || len(l.filters) > 0 || l.detail {
			t.Skip("a word that has a meaning")
		}
		if !slices.Equal(l.words, words) {
			t.Fatalf("%q: %q, want %q", text, l.words, words)
		}
	})
}

func TestParseLine(t *testing.T) {
	for _, s := range []struct {
		text    string
		words   []string
		filters int
		heredoc string
		help    bool
		fault   bool
	}{
		{text: `show pool p1 | grep -i "a b" | count`, words: []string{"show", "pool", "p1"}, filters: 2},
		{text: `configure pool p1 << END`, words: []string{"configure", "pool", "p1"}, heredoc: "END"},
		{text: `configure pool p1 <<END`, words: []string{"configure", "pool", "p1"}, heredoc: "END"},
		{text: `sip_response "SIP/2.0" # why`, words: []string{"sip_response", "SIP/2.0"}},
		{text: `lb_algorithm ?`, words: []string{"lb_algorithm"}, help: true},
		{text: `lb_algo?`, help: true},
		{text: `description "what?"`, words: []string{"description", "what?"}},
		{text: `name a\ b`, words: []string{"name", "a b"}},
		{text: `name "a`, fault: true},
		{text: `name a\`, fault: true},
		{text: `show pool |`, fault: true},
		{text: `configure pool p <<`, fault: true},
		{text: ``},
	} {
		l, err := parseLine(s.text)
		if (err != nil) != s.fault || err == nil && (!slices.Equal(l.words, s.words) || len(l.filters) != s.filters || l.heredoc != s.heredoc || l.help != s.help) {
			t.Errorf("%q: %+v, %v", s.text, l, err)
		}
	}
}

// What sets a secret is not kept in the history.
func TestTellsSecret(t *testing.T) {
	for text, want := range map[string]bool{
		"password hunter2": true, "key file:/etc/key.pem": true, "configure user u --password=x": true,
		"servers ip 10.0.0.1": false, "show user": false,
	} {
		if got := tellsSecret(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
