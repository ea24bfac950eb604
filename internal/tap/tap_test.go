package tap

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

var invite = []byte(strings.ReplaceAll("INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1;rport\nMax-Forwards: 70\n"+
	"From: <sip:alice@example.com>;tag=a\nTo: <sip:bob@example.com>\nCall-ID: 00000000-3848276298220188511@192.0.2.7\nCSeq: 1 INVITE\nContent-Length: 700\n\n", "\n", "\r\n") + strings.Repeat("x", 700))

// came is an INVITE that came and was dropped.
func came() (*Sighting, *sip.Msg) {
	m := new(sip.Msg)
	m.Parse(invite)
	return &Sighting{What: report.TraceMessageCame, Listener: &snapshot.Listener{Service: &snapshot.Service{Name: "edge", Pool: new(snapshot.Pool)}}, From: netip.MustParseAddrPort("192.0.2.7:5060"), Action: "drop"}, m
}

func TestPageIsBounded(t *testing.T) {
	var ts Taps
	noted := 0
	ts.Note = func(*report.TraceMessage) { noted++ }
	tr, err := ts.Open(report.TraceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	s, m := came()
	const n = 3 * pageMessages
	for range n {
		ts.Now().Show(s, m, invite, nil)
	}
	got, lost, err := tr.Read(t.Context())
	if err != nil || len(got) == 0 || len(got)+int(lost) != n || noted != len(got) {
		t.Errorf("%d messages, %d lost of %d, %d noted, %v", len(got), lost, n, noted, err)
	}
}

// What a message costs that a tap looks at: of all that are armed none wants it, or one copies it.
func BenchmarkShow(b *testing.B) {
	for _, tt := range []struct {
		name   string
		filter report.TraceFilter
	}{
		{"another Call-ID", report.TraceFilter{CallID: "another"}},
		{"another method", report.TraceFilter{Method: "REGISTER"}},
		{"another number", report.TraceFilter{User: "4711"}},
		{"copied", report.TraceFilter{}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var ts Taps
			tr, err := ts.Open(tt.filter)
			if err != nil {
				b.Fatal(err)
			}
			defer tr.Close()
			go func() {
				for {
					select {
					case <-tr.some:
						tr.mu.Lock()
						tr.page.reset()
						tr.mu.Unlock()
					case <-tr.closed:
						return
					}
				}
			}()
			s, m := came()
			b.ReportAllocs()
			for b.Loop() {
				ts.Now().Show(s, m, invite, nil)
			}
		})
	}
}
