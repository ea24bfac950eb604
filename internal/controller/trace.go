package controller

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// Limits of traces.
const (
	// traceQueue is how many lines of engines wait for the reader; an engine then waits, and counts what it has no room for.
	traceQueue = 64
	// traceLine is the longest line: a message as it came and as it left, escaped at the worst.
	traceLine = 2 << 20
	// traceLook is how often engines are looked for that have come meanwhile, or had broken off.
	traceLook = 2 * time.Second
)

// traced is what an engine tells: a line, or why it tells no more.
type traced struct {
	engine string
	line   []byte
	err    error
}

// Trace follows the messages that fit on all engines, until the context ends. tell gets one line of JSON after the other,
// without its end; when it fails the trace ends with that error.
func (c *Controller) Trace(ctx context.Context, f *report.TraceFilter, tell func(line []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	from := make(chan traced, traceQueue)
	following, silent := map[string]bool{}, map[string]bool{}
	begin := func() {
		for _, e := range c.Engines() {
			if !following[e.Name] {
				following[e.Name] = true
				wg.Go(func() { c.asker.trace(ctx, &e, f, from) })
			}
		}
	}
	if len(c.Engines()) == 0 {
		from <- traced{err: errors.New("no engine is registered; the trace waits for one")} // there is room
	}
	look := time.NewTicker(traceLook)
	defer look.Stop()
	for begin(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			begin()
		case t := <-from:
			line := t.line
			if t.err != nil {
				delete(following, t.engine)
				if silent[t.engine] {
					continue // it was told
				}
				var err error
				if line, err = json.Marshal(report.TraceLine{Error: t.err.Error()}); err != nil {
					return err
				}
			}
			silent[t.engine] = t.err != nil
			if err := tell(line); err != nil {
				return err
			}
		}
	}
}

// trace hands on the trace of one engine, and at the end why it ended.
func (a *asker) trace(ctx context.Context, e *report.Registration, f *report.TraceFilter, to chan<- traced) {
	hand := func(t traced) bool {
		t.engine = e.Name
		select {
		case to <- t:
			return true
		case <-ctx.Done():
			return false
		}
	}
	hand(traced{err: a.traceLines(ctx, e, f, func(line []byte) bool { return hand(traced{line: line}) })})
}

// traceLines hands on the lines of a trace until it ends, which it does with an error.
func (a *asker) traceLines(ctx context.Context, e *report.Registration, f *report.TraceFilter, hand func([]byte) bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+e.Control+"/trace?"+f.Values().Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	h := *a.client(e.Fingerprint)
	h.Timeout = 0 // it lasts until somebody ends it; the engine gives signs of life
	resp, err := h.Do(req)
	if err != nil {
		return fmt.Errorf("engine %s does not answer: %w", e.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error string }
		if json.NewDecoder(io.LimitReader(resp.Body, traceLine)).Decode(&said) != nil || said.Error == "" {
			said.Error = resp.Status
		}
		return fmt.Errorf("engine %s: %s", e.Name, said.Error)
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(make([]byte, 64<<10), traceLine)
	for scan.Scan() {
		if !hand(bytes.Clone(scan.Bytes())) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("engine %s: the trace has broken off: %w", e.Name, orEOF(scan.Err()))
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// Calls asks every engine for calls that are up, and makes one page of what they say.
func (c *Controller) Calls(ctx context.Context, q *report.CallsQuery) *report.Calls {
	engines := c.Engines()
	got := make([]*report.Calls, len(engines))
	fails := make([]error, len(engines))
	var wg sync.WaitGroup
	for i := range engines {
		wg.Go(func() {
			got[i] = &report.Calls{}
			fails[i] = c.asker.ask(ctx, &engines[i], http.MethodGet, "/calls?"+q.Values().Encode(), nil, got[i])
		})
	}
	wg.Wait()
	out := report.MergeCalls(got, q.Limit)
	for _, err := range fails {
		if err != nil {
			out.Errors = append(out.Errors, err.Error())
		}
	}
	return out
}
