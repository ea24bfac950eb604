package eyes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// TraceOptions are what of a trace is wanted, and how.
type TraceOptions struct {
	Filter report.TraceFilter
	Full   bool   // with the texts
	JSON   bool   // one JSON value a line
	Pcap   string // file to write as pcapng; - is standard output
	Count  int    // end after so many messages; 0: when told to
}

// settle is how long a message waits for older ones of other engines.
const settle = 150 * time.Millisecond

// errEnough ends a trace that has told what it was asked for.
var errEnough = errors.New("enough")

// Trace follows messages until the context ends.
func (e *Eyes) Trace(ctx context.Context, o TraceOptions) error {
	t := &tracer{e: e, o: o, engines: map[string]*report.TraceState{}, ladder: newLadder(e.Screen, o.Full)}
	if o.Pcap != "" {
		closeFile, err := t.openPcap()
		if err != nil {
			return err
		}
		defer closeFile()
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for wait(ctx, settle) {
			if err := t.flush(time.Now().Add(-settle)); err != nil {
				cancel()
				return
			}
		}
	})
	err := e.Client.Stream(ctx, "/api/trace?"+o.Filter.Values().Encode(), t.line)
	cancel()
	wg.Wait()
	if failed := t.flush(time.Now()); err == nil {
		err = failed
	}
	t.end()
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// tracer is a trace on its way to the reader.
type tracer struct {
	e       *Eyes
	o       TraceOptions
	ladder  *ladder
	pcap    *capture
	mu      sync.Mutex // guards what follows
	held    []held
	shown   int
	begun   bool
	failed  error
	engines map[string]*report.TraceState
}

// held is a message that waits for older ones.
type held struct {
	came time.Time
	line []byte
	m    *report.TraceMessage
}

func (t *tracer) openPcap() (closeFile func(), err error) {
	to, closeFile := t.e.Screen.Out, func() {}
	if t.o.Pcap != "-" {
		f, err := os.OpenFile(t.o.Pcap, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) // who calls whom
		if err != nil {
			return nil, err
		}
		to, closeFile = f, func() {
			if err := f.Close(); err != nil {
				t.e.Note("%s: %v", t.o.Pcap, err)
			}
		}
	}
	t.pcap, err = newCapture(to)
	return closeFile, err
}

// line takes in one line of the stream.
func (t *tracer) line(text []byte) error {
	var l report.TraceLine
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("the trace: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case l.Error != "":
		t.e.Note("%s", l.Error)
	case l.State != nil:
		if !t.begun {
			t.begun = true
			t.e.Note("Tracing. Ctrl-C ends it.")
		}
		t.engines[l.State.Engine] = l.State
		if t.o.JSON && t.failed == nil { // who reads by machine wants to know what is missing too
			_, t.failed = t.e.Screen.Out.Write(append(slices.Clone(text), '\n'))
		}
	case l.Message != nil:
		t.held = append(t.held, held{time.Now(), slices.Clone(text), l.Message})
	}
	return t.failed
}

// flush shows what came before a time, by the engines' clocks.
func (t *tracer) flush(until time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.held) && !t.held[n].came.After(until) {
		n++
	}
	ripe := slices.Clone(t.held[:n])
	t.held = slices.Delete(t.held, 0, n)
	slices.SortStableFunc(ripe, func(a, b held) int { return a.m.At.Compare(b.m.At) })
	for i := range ripe {
		if t.failed != nil {
			break
		}
		t.failed = t.show(&ripe[i])
	}
	return t.failed
}

func (t *tracer) show(h *held) error {
	if t.o.Count > 0 && t.shown >= t.o.Count {
		return errEnough
	}
	t.shown++
	if t.pcap != nil {
		if err := t.pcap.message(h.m); err != nil {
			return err
		}
	}
	switch {
	case t.o.Pcap == "-":
	case t.o.JSON:
		if _, err := t.e.Screen.Out.Write(append(h.line, '\n')); err != nil {
			return err
		}
	default:
		var b strings.Builder
		t.ladder.scr = t.e.Screen.To(&b)
		t.ladder.draw(h.m)
		if _, err := io.WriteString(t.e.Screen.Out, b.String()); err != nil {
			return err
		}
	}
	if t.o.Count > 0 && t.shown >= t.o.Count {
		return errEnough
	}
	return nil
}

// end says what was lost.
func (t *tracer) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, s := range t.engines {
		if s.Lost > 0 {
			t.e.Note("%d messages that fitted are missing: engine %s had no room for them. A narrower filter helps.", s.Lost, name)
		}
	}
	if t.pcap != nil && t.pcap.unfit > 0 {
		t.e.Note("%s left out of the file: no IP packet goes between their addresses, or holds them.", plural(t.pcap.unfit, "message"))
	}
	if t.o.Pcap != "" && t.o.Pcap != "-" {
		t.e.Note("%s holds %s.", t.o.Pcap, plural(t.shown, "message"))
	}
}
