package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/tap"
)

// Times of a trace.
const (
	// beatEvery is how often a trace tells its state, so that both ends know that the other is there.
	beatEvery = 5 * time.Second
	// lineTime is how long the reader of a trace may take for what is sent at a time, before it counts as gone.
	lineTime = 15 * time.Second
)

// trace tells of messages as they come, one JSON value a line, until who asked has gone.
func (s *server) trace(w http.ResponseWriter, r *http.Request) {
	if !s.known(r) {
		write(w, http.StatusUnauthorized, map[string]string{"error": errUnknown})
		return
	}
	f, err := report.ParseTraceFilter(r.URL.Query())
	if err != nil {
		write(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	tap, err := s.a.eng.Tap(f)
	if err != nil {
		write(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
		return
	}
	defer tap.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{s: s, to: http.NewResponseController(w), enc: json.NewEncoder(w), tap: tap}
	l.enc.SetEscapeHTML(false)
	_ = l.to.SetReadDeadline(time.Time{}) // the request has been read, and who asked may stay for long
	if l.state() != nil {
		return
	}
	err = l.follow(r.Context()) // always one: who asked has gone, or the tap is closed
	s.a.log.Debug("a trace has ended", "why", err)
}

// lines is a trace on its way out.
type lines struct {
	s    *server
	to   *http.ResponseController
	enc  *json.Encoder
	tap  *tap.Tap
	told uint64
	lost uint64 // that were told of
}

func (l *lines) follow(ctx context.Context) error {
	next := time.Now().Add(beatEvery)
	for {
		wait, cancel := context.WithDeadline(ctx, next)
		messages, lost, err := l.tap.Read(wait)
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
		if err := l.to.SetWriteDeadline(time.Now().Add(lineTime)); err != nil {
			return err
		}
		for i := range messages {
			messages[i].Engine = l.s.a.cfg.Name
			if err := l.enc.Encode(report.TraceLine{Message: &messages[i]}); err != nil {
				return err
			}
			l.told++
		}
		if now := time.Now(); !now.Before(next) || lost > l.lost {
			next = now.Add(beatEvery)
			err = l.state()
		} else {
			err = l.to.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// state tells how the trace is going, and lets it live on.
func (l *lines) state() error {
	l.tap.Renew()
	l.lost = l.tap.Lost()
	err := l.enc.Encode(report.TraceLine{State: &report.TraceState{Engine: l.s.a.cfg.Name, At: time.Now().UTC(), Told: l.told, Lost: l.lost}})
	if err != nil {
		return err
	}
	return l.to.Flush()
}

// calls lists calls that are up.
func (s *server) calls(r *http.Request) (any, error) {
	q, err := report.ParseCallsQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	out := s.a.eng.Calls(q)
	for i := range out.Results {
		out.Results[i].Engine = s.a.cfg.Name
	}
	return out, nil
}
