package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxLine is the longest line of a stream, in octets.
const maxLine = 4 << 20

// Stream reads an answer line by line for as long as it lasts, and hands each line on; it is valid until each returns. An
// error of each ends it. It ends without an error when the context does.
func (c *Client) Stream(ctx context.Context, path string, each func(line []byte) error) error {
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	h := *c.http
	h.Timeout = 0 // somebody watches
	resp, err := h.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		c.trace(req, 0, nil)
		return c.explain(err)
	}
	defer resp.Body.Close()
	c.trace(req, resp.StatusCode, nil)
	if resp.StatusCode >= 300 {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxLine))
		if err != nil {
			return &UnreachableError{c.base.Host, fmt.Errorf("the answer broke off: %w", err)}
		}
		return refusal(resp, data)
	}
	scan := bufio.NewScanner(resp.Body)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	for scan.Scan() {
		if err := each(scan.Bytes()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := scan.Err(); err != nil && strings.Contains(err.Error(), "GOAWAY") { // HTTP/2's word for a server that ends
		return &UnreachableError{c.base.Host, errors.New("it has ended, and what was asked for with it")}
	} else if err != nil {
		return &UnreachableError{c.base.Host, fmt.Errorf("the stream broke off: %w", err)}
	}
	return &UnreachableError{c.base.Host, io.ErrUnexpectedEOF}
}
