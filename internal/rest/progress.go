package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/carillon-sip/carillon/internal/controller"
)

// progressLine is one line of an answer with ?progress=true: how far the change is; the last is what would have been the
// answer, with its status.
type progressLine struct {
	Progress *progress       `json:"progress,omitempty"`
	Status   int             `json:"status,omitempty"`
	Body     json.RawMessage `json:"body,omitempty"`
}

// progress is how far a change of many objects is.
type progress struct {
	Phase controller.Phase `json:"phase"`
	Done  int              `json:"done"`
	Of    int              `json:"of"`
}

// telling does f. With ?progress=true the answer is line by line, and tells how far f is meanwhile.
func (q *request) telling(f func(ctx context.Context) (answer, error)) (answer, error) {
	if !flag(q.URL.Query(), "progress") {
		return f(q.Context())
	}
	w := http.NewResponseController(q.w)
	_ = w.SetReadDeadline(time.Time{}) // the request has been read
	q.w.Header().Set("Content-Type", "application/x-ndjson")
	line := func(l progressLine) {
		_ = w.SetWriteDeadline(time.Now().Add(traceWrite)) // where that cannot be, TCP notices in the end
		_, _ = q.w.Write(append(mustJSON(l), '\n'))        // the change goes on without its reader
		_ = w.Flush()
	}
	a, err := f(controller.WithProgress(q.Context(), func(phase controller.Phase, done, of int) {
		line(progressLine{Progress: &progress{phase, done, of}})
	}))
	last := progressLine{Status: http.StatusOK}
	switch {
	case err != nil:
		last.Status, last.Body = statusOf(err), mustJSON(map[string]string{"error": words(err)})
	case a.Body != nil:
		last.Body = mustJSON(a.Body)
	}
	line(last)
	return answer{sent: true}, nil
}
