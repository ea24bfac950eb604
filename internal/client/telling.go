package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// patience is how long a request may take that tells of itself meanwhile.
const patience = 15 * time.Minute

// Telling is told how far a request is.
type Telling struct {
	Sent     func(done, of int64)             // octets of the body that have left
	Progress func(phase string, done, of int) // of the controller, as it says
	Received func(done, of int64)             // octets of the answer; of is -1 when that is not known
}

// DoTelling sends a request like Do, and tells how far it is. A controller that does not know ?progress=true tells nothing.
func (c *Client) DoTelling(ctx context.Context, method, path string, body []byte, t Telling) ([]byte, error) {
	var content any
	if body != nil {
		content = body
	}
	req, err := c.request(ctx, method, path, content)
	if err != nil {
		return nil, err
	}
	if t.Sent != nil && len(body) > 0 {
		req.Body = io.NopCloser(&counting{bytes.NewReader(body), int64(len(body)), 0, t.Sent})
	}
	h := *c.http
	h.Timeout = patience
	resp, err := h.Do(req)
	if err != nil {
		c.trace(req, 0, nil)
		return nil, c.explain(err)
	}
	defer resp.Body.Close()
	from := io.Reader(io.LimitReader(resp.Body, maxAnswer))
	if t.Received != nil {
		from = &counting{from, resp.ContentLength, 0, t.Received}
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-ndjson") {
		return c.told(req, from, t)
	}
	data, err := io.ReadAll(from)
	if err != nil {
		return nil, &UnreachableError{c.base.Host, fmt.Errorf("the answer broke off: %w", err)}
	}
	c.trace(req, resp.StatusCode, data)
	if resp.StatusCode >= 300 {
		return nil, refusal(resp, data)
	}
	return data, nil
}

// told reads lines of progress, and the answer at their end.
func (c *Client) told(req *http.Request, from io.Reader, t Telling) ([]byte, error) {
	r := bufio.NewReaderSize(from, 64<<10)
	for {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return nil, &UnreachableError{c.base.Host, fmt.Errorf("the answer broke off: %w", err)}
		}
		var line struct {
			Progress *struct {
				Phase    string
				Done, Of int
			}
			Status int
			Body   json.RawMessage
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("the answer of %s: %w", c.base.Host, err)
		}
		switch {
		case line.Progress != nil && t.Progress != nil:
			t.Progress(line.Progress.Phase, line.Progress.Done, line.Progress.Of)
		case line.Status >= 300:
			c.trace(req, line.Status, line.Body)
			return nil, refusal(&http.Response{Status: http.StatusText(line.Status), StatusCode: line.Status}, line.Body)
		case line.Status != 0:
			c.trace(req, line.Status, line.Body)
			return line.Body, nil
		}
	}
}

// counting tells how much of a stream has passed.
type counting struct {
	from     io.Reader
	of, done int64
	tell     func(done, of int64)
}

func (r *counting) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	r.done += int64(n)
	if n > 0 {
		r.tell(r.done, r.of)
	}
	return n, err
}
