package view

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The caret stands below the column, wherever in a line of whatever it is.
func TestPointAtProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zä\t :]{0,300}`).Draw(t, "text")
		at := rapid.IntRange(1, len([]rune(text))+1).Draw(t, "column")
		got := strings.Split(pointAt([]byte("first\n"+text), 2, at), "\n")
		if len(got) != 3 {
			t.Fatalf("%d lines", len(got))
		}
		shown, caret := []rune(got[1]), strings.IndexByte(got[2], '^')
		if len(shown) > pointedRoom+20 || strings.ContainsRune(got[1], '\t') {
			t.Fatalf("%q", got[1])
		}
		want := ' '
		if runes := []rune(text); at <= len(runes) && runes[at-1] != '\t' {
			want = runes[at-1]
		}
		if caret < len(shown) && shown[caret] != want || caret > len(shown) {
			t.Fatalf("below %q stands %q, want %q", got[1], got[2], want)
		}
	})
}
