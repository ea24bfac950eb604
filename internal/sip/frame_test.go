package sip

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// frames lists what a stream holds when it comes in pieces of these lengths, then the rest.
func frames(stream []byte, cuts []int) (out []string) {
	var f Framer
	var have []byte
	feed := func(piece []byte) bool {
		have = append(have, piece...)
		for {
			fr := f.Next(have)
			switch fr.Kind {
			case FrameMore:
				return true
			case FrameLost:
				out = append(out, fmt.Sprintf("lost %s %q", fr.Fault, have[:fr.Len]))
				return false
			}
			out = append(out, fmt.Sprintf("%d %q", fr.Kind, have[:fr.Len]))
			have = have[fr.Len:]
		}
	}
	for _, n := range cuts {
		n = min(n, len(stream))
		if !feed(stream[:n]) {
			return out
		}
		stream = stream[n:]
	}
	feed(stream)
	return out
}

const streamed = "INVITE sip:a@b SIP/2.0\r\nl: 5\r\n\r\nhello\r\n\r\n\r\nSIP/2.0 200 OK\r\nSubject: l: 9\r\n Content-Length: 8\r\nContent-Length  :\r\n 0  \r\n\r\n"

func TestP5_P7_E16_Framer(t *testing.T) {
	for _, c := range []struct{ name, stream, want string }{
		{"two messages, a ping and an empty line", streamed,
			`1 "INVITE sip:a@b SIP/2.0\r\nl: 5\r\n\r\nhello"|2 "\r\n\r\n"|3 "\r\n"|1 "SIP/2.0 200 OK\r\nSubject: l: 9\r\n Content-Length: 8\r\nContent-Length  :\r\n 0  \r\n\r\n"`},
		{"no length", "BYE sip:a SIP/2.0\r\nTo: x\r\n\r\n", `lost Missing Content-Length "BYE sip:a SIP/2.0\r\nTo: x\r\n\r\n"`},
		{"negative", "BYE sip:a SIP/2.0\r\nl: -1\r\n\r\n", `lost Bad Content-Length "BYE sip:a SIP/2.0\r\nl: -1\r\n\r\n"`},
		{"twice", "BYE sip:a SIP/2.0\r\nl: 1\r\nl: 1\r\n\r\nx", `lost Duplicate Content-Length "BYE sip:a SIP/2.0\r\nl: 1\r\nl: 1\r\n\r\n"`},
		{"two numbers", "BYE sip:a SIP/2.0\r\nl: 1, 1\r\n\r\nx", `lost Bad Content-Length "BYE sip:a SIP/2.0\r\nl: 1, 1\r\n\r\n"`},
		{"2 GB", "BYE sip:a SIP/2.0\r\nl: 2147483648\r\n\r\nx", `lost Message Too Long "BYE sip:a SIP/2.0\r\nl: 2147483648\r\n\r\n"`},
		{"no end", "BYE sip:a SIP/2.0\r\nTo: " + strings.Repeat("x", MaxMessage), `lost Message Too Long ""`},
		{"bare line feeds", "BYE sip:a SIP/2.0\nl: 0\n\nBYE", `lost Bare CR Or LF In Header "BYE sip:a SIP/2.0\nl: 0\n\n"`},
		{"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n", `lost Bad Start Line ""`},
		{"TLS", "\x16\x03\x01\x02\x00", `lost Bad Start Line ""`},
		{"a CR alone", "\r\r\n", `lost Bare CR Or LF In Header ""`},
		{"three line ends", "\r\n\r", ``},
		{"nothing", "", ``},
	} {
		if got := strings.Join(frames([]byte(c.stream), nil), "|"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// A stream frames the same wherever it is cut.
func TestFramerCutAnywhere(t *testing.T) {
	for _, stream := range []string{streamed, streamed + "x\ny", "\r\n\r\n\r\nBYE sip:a SIP/2.0\r\nl:0\r\n\r\n\r\r", "GET / HTTP/1.1\r\n\r\n", "A\n\r\n", "A\n\n"} {
		want := fmt.Sprint(frames([]byte(stream), nil))
		for i := range stream {
			if got := fmt.Sprint(frames([]byte(stream), []int{i})); got != want {
				t.Errorf("%q cut at %d: %s, want %s", stream, i, got, want)
			}
		}
		ones := bytes.Repeat([]byte{1}, len(stream))
		var cuts []int
		for _, n := range ones {
			cuts = append(cuts, int(n))
		}
		if got := fmt.Sprint(frames([]byte(stream), cuts)); got != want {
			t.Errorf("%q octet by octet: %s, want %s", stream, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"\r\n", "\r", "\n", "l: 3", "Content-Length: 0", "abc", "INVITE sip:a SIP/2.0\r\n", "\r\n\r\n", " ", ":", "l:", "1"})
		stream := []byte(strings.Join(rapid.SliceOf(piece).Draw(t, "stream"), ""))
		cuts := rapid.SliceOf(rapid.IntRange(0, 9)).Draw(t, "cuts")
		if got, want := fmt.Sprint(frames(stream, cuts)), fmt.Sprint(frames(stream, nil)); got != want {
			t.Fatalf("%q cut at %v: %s, want %s", stream, cuts, got, want)
		}
	})
}

// FuzzFramer: cut anywhere, a stream frames the same; and what is framed as a message reads as one of that length.
func FuzzFramer(f *testing.F) {
	f.Add([]byte(streamed), uint16(7))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		if got, want := fmt.Sprint(frames(stream, []int{int(cut)})), fmt.Sprint(frames(stream, nil)); got != want {
			t.Fatalf("cut at %d: %s, want %s", cut, got, want)
		}
		var fr Framer
		for {
			n := fr.Next(stream)
			if n.Kind == FrameMessage {
				var m Msg
				m.Parse(stream[:n.Len])
				if m.Err == NoFault && len(m.Buf) != n.Len {
					t.Fatalf("a frame of %d octets reads as a message of %d", n.Len, len(m.Buf))
				}
			}
			if n.Kind == FrameMore || n.Kind == FrameLost {
				return
			}
			stream = stream[n.Len:]
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	var f Framer
	for b.Loop() {
		f.Next(inviteText)
	}
}
