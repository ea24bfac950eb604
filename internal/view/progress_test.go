package view

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// shared is a buffer of several goroutines.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(data)
}

func (s *shared) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.b.String()
	s.b.Reset()
	return text
}

// What is quick shows nothing; what takes long is one line, cut to the width, that goes away in the end.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &shared{}
		start := func() *Progress {
			p := &Progress{out: out, width: func() int { return 30 }, stop: make(chan struct{})}
			p.wg.Go(func() { p.run(time.Now()) })
			return p
		}
		quick := start()
		quick.Say("Reading", "1 file")
		time.Sleep(progressAfter - time.Millisecond)
		quick.End()
		if got := out.take(); got != "" {
			t.Errorf("something quick shows %q", got)
		}

		p := start()
		p.Phase("plan", 256, 4000)
		time.Sleep(progressAfter + progressEvery/2)
		if got := out.take(); got != "\r\x1b[KThe controller plans: 256 of~" {
			t.Errorf("%q", got)
		}
		p.Sent(1_500_000, 2_000_000)
		time.Sleep(progressEvery)
		if got := out.take(); got != "\r\x1b[KSending: 1.5 MB of 2.0 MB, 0~" {
			t.Errorf("%q", got)
		}
		p.Hide()
		if got := out.take(); got != "\r\x1b[K" {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Second)
		if got := out.take(); got != "" {
			t.Errorf("hidden, and shows %q", got)
		}
		p.Say("Waiting", "1 of 2")
		time.Sleep(2 * progressEvery)
		p.End()
		p.End()
		if got := out.take(); !strings.Contains(got, "Waiting: 1 of 2, 0.") || !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("%q", got)
		}
	})
	none := NewProgress(&bytes.Buffer{})
	none.Say("Reading", "1 file")
	none.End()
	if none.On() {
		t.Error("there is progress elsewhere than on a terminal")
	}
	if got := Thousands(1234567) + " " + Thousands(-1000) + " " + Count(1, "file") + " " + Count(1000, "file"); got != "1,234,567 -1,000 1 file 1,000 files" {
		t.Error(got)
	}
}
