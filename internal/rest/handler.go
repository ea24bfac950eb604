package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/patch"
)

// request is one request on its way to an answer.
type request struct {
	*http.Request
	s       *Server
	w       http.ResponseWriter
	who     controller.Who // valid iff somebody is logged in
	session *controller.Session
	view    *catalog.View
	all     bool   // X-Avi-Tenant: *
	told    *state // what the engines tell; nil until somebody asks
}

// answer is what a handler returns. A nil Body is none.
type answer struct {
	Status int // 0: 200
	Body   any // json.RawMessage goes out as it is
	Raw    []byte
	Type   string // of Raw
	sent   bool   // it has been written already
}

// handle is one entry of the API.
type handle func(*request) (answer, error)

// httpError is a refusal of this face.
type httpError struct {
	status int
	msg    string
}

func (e *httpError) Error() string { return e.msg }

func refuse(status int, format string, args ...any) error {
	return &httpError{status, fmt.Sprintf(format, args...)}
}

var statuses = map[controller.Code]int{
	controller.Invalid: 400, controller.Unauthorized: 401, controller.Forbidden: 403, controller.NotFound: 404, controller.NameTaken: 409,
	controller.InUse: 400, // honest to Terraform, which takes a 403 for done
	controller.Stale: 412, controller.TooLarge: 413, controller.TooMany: 429, controller.Unavailable: 503,
}

// statusOf is the number of an error.
func statusOf(err error) int {
	var h *httpError
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &h):
		return h.status
	case errors.As(err, &big):
		return http.StatusRequestEntityTooLarge
	case statuses[controller.CodeOf(err)] != 0:
		return statuses[controller.CodeOf(err)]
	}
	return http.StatusInternalServerError
}

// handler is the whole API. Paths are tidied, not redirected: a redirect would turn a POST to //api/pool into a GET.
func (s *Server) handler() http.Handler {
	mux := s.routes()
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		w := &counted{ResponseWriter: plain}
		defer func(began time.Time) { s.counts.count(r.Method, w.code(), time.Since(began)) }(time.Now())
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Avi_api_version", AviVersion)
		if s.shows != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if err := cross.Check(r); err != nil {
			fail(w, http.StatusForbidden, "a cross-site request is refused")
			return
		}
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil { // a filter that is passed over would find everything
			fail(w, http.StatusBadRequest, fmt.Sprintf("the query could not be read: %v; a %% in it is written %%25, a ; %%3B", err))
			return
		}
		r.URL.Path = tidy(r.URL.Path)
		r.URL.RawPath = ""
		if path.Clean(r.URL.Path) != r.URL.Path { // the mux would redirect
			fail(w, http.StatusNotFound, r.URL.Path+" is not there; /api/openapi.json lists what is")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status int // 0: none was written yet
}

func (w *counted) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *counted) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Unwrap is for http.ResponseController.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// tidy makes one slash of many and takes the last away.
func tidy(path string) string {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	return "/" + strings.Join(parts, "/")
}

// open serves somebody who need not be logged in. Those have a room of their own: who does not read what he asked for is
// in nobody's way who is logged in. It is entered with the body at hand: who sends one an octet at a time waits outside,
// where each address has few places.
func (s *Server) open(h handle) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, s: s, w: w, view: s.c.View()}
		if err := q.receive(); err != nil {
			s.finish(q, answer{}, err)
			return
		}
		within(s.lobby, q, func() { s.serve(q, h) })
	}
}

// receive reads the body of who is not logged in.
func (q *request) receive() error {
	if q.Method == http.MethodGet || q.Method == http.MethodHead {
		q.Body = http.NoBody // none of these has one
		return nil
	}
	if !q.s.outside.enter(q.address()) {
		return refuse(http.StatusServiceUnavailable, "%d requests of this address, which nobody is logged in for, are on their way already", maxOutsideEach)
	}
	defer q.s.outside.leave(q.address())
	q.hurry()
	body, err := q.body(maxLogin)
	q.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// crowd counts requests by whose they are, so that nobody takes all places.
type crowd struct {
	most, each int

	mu  sync.Mutex
	by  map[string]int
	all int
}

func newCrowd(most, each int) *crowd { return &crowd{most: most, each: each, by: map[string]int{}} }

func (c *crowd) enter(who string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == c.most || c.by[who] == c.each {
		return false
	}
	c.all++
	c.by[who]++
	return true
}

func (c *crowd) leave(who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.by[who]--; c.by[who] == 0 {
		delete(c.by, who)
	}
}

// within does something with a place in a room, or answers that there is none.
func within(room chan struct{}, q *request, do func()) {
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
		do()
	default:
		q.s.finish(q, answer{}, refuse(http.StatusServiceUnavailable, "%d requests are under way already", cap(room)))
	}
}

// hurry bounds the time that the body may take to come.
func (q *request) hurry() {
	_ = http.NewResponseController(q.w).SetReadDeadline(time.Now().Add(openTime)) // HTTP/1 and 2 have it
}

// closed serves who is logged in.
func (s *Server) closed(h handle) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, s: s, w: w, view: s.c.View()}
		if err := q.admit(); err != nil {
			s.finish(q, answer{}, err)
			return
		}
		if !s.users.enter(q.who.User) {
			s.finish(q, answer{}, refuse(http.StatusServiceUnavailable, "%d requests of user %s are under way already", maxRequestsEach, q.who.User))
			return
		}
		defer s.users.leave(q.who.User)
		within(s.room, q, func() { s.serve(q, h) })
	}
}

func (s *Server) serve(q *request, h handle) {
	a, err := h(q)
	s.finish(q, a, err)
}

// finish writes the answer. Who does not read it within writeTime loses the connection.
func (s *Server) finish(q *request, a answer, err error) {
	_ = http.NewResponseController(q.w).SetWriteDeadline(time.Now().Add(writeTime)) // HTTP/1 and 2 have it
	if err != nil {
		status := statusOf(err)
		if status == http.StatusInternalServerError {
			s.log.Error("a request could not be answered", "method", q.Method, "path", q.URL.Path, "error", err)
		}
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			q.w.Header().Set("Retry-After", "1")
		}
		fail(q.w, status, words(err))
		return
	}
	if a.sent {
		return
	}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	body, kind := a.Raw, a.Type
	if a.Body != nil {
		if body, err = marshal(a.Body); err != nil {
			s.log.Error("an answer is no JSON", "path", q.URL.Path, "error", err)
			fail(q.w, http.StatusInternalServerError, "the answer could not be written")
			return
		}
		kind = "application/json"
	}
	if len(body) > 0 {
		q.w.Header().Set("Content-Type", kind)
		q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	q.w.WriteHeader(a.Status)
	_, _ = q.w.Write(body) // a client that has gone
}

func words(err error) string {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		if big.Limit < 1<<20 {
			return fmt.Sprintf("the body is larger than %d KB", big.Limit>>10)
		}
		return fmt.Sprintf("the body is larger than %d MB", big.Limit>>20)
	}
	return err.Error()
}

// fail answers with an error.
func fail(w http.ResponseWriter, status int, msg string) {
	body, err := marshal(map[string]string{"error": msg})
	if err != nil {
		body = []byte(`{"error":"unknown"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone
}

// marshal writes JSON as people read it: & < > as they are. No answer is HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// mustJSON is JSON of a value that always has one: our own types.
func mustJSON(v any) []byte {
	b, err := marshal(v)
	if err != nil {
		panic("rest: an answer is no JSON: " + err.Error())
	}
	return b
}

// body reads the request's body up to a limit.
func (q *request) body(limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(q.w, q.Body, limit))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			_, _ = io.CopyN(io.Discard, q.Body, maxDrain) // most clients read no answer before they have sent everything
			return nil, err
		}
		return nil, refuse(http.StatusBadRequest, "the body could not be read: %v", err)
	}
	return b, nil
}

// json reads a body of JSON up to a limit. A member that stands twice in it is refused: readers keep one of the two, and
// which one is meant nobody can tell.
func (q *request) json(limit int64) ([]byte, error) {
	if coding := q.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Encoding: %s is not taken; send the body as it is", coding)
	}
	b, err := q.body(limit)
	if err != nil {
		return nil, err
	}
	return b, q.once(b)
}

// into reads a body of JSON that only we know, so that a member which is none of it is a mistake.
func into(body []byte, in any, expected string) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(in)
	if err == nil && dec.More() {
		err = errors.New("something stands behind it")
	}
	return shape(err, expected)
}

// shape says what is wrong with JSON, and what would be right; nil: nothing.
func shape(err error, expected string) error {
	if err == nil {
		return nil
	}
	words := strings.TrimPrefix(err.Error(), "json: ")
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		words = "the body is empty"
	case errors.As(err, &wrong) && wrong.Field != "":
		words = wrong.Field + " cannot be " + article(wrong.Value)
	case errors.As(err, &wrong):
		words = "got " + article(wrong.Value)
	}
	return refuse(http.StatusBadRequest, "expected %s: %s", expected, words)
}

func article(noun string) string {
	if strings.IndexByte("aeiou", noun[0]) >= 0 {
		return "an " + noun
	}
	return "a " + noun
}

func (q *request) once(body []byte) error {
	where, found := patch.Twice(body)
	if !found {
		return nil
	}
	var named struct{ Name string }
	_ = json.Unmarshal(body, &named) // what is no object has no name
	if k, ok := object.FindKind(q.PathValue("type")); ok {
		where = k.Name + "/" + named.Name + ": " + where
	}
	return refuse(http.StatusBadRequest, "%s: given twice", where)
}

// address is where the client is, without its port.
func (q *request) address() string {
	host, _, err := net.SplitHostPort(q.RemoteAddr)
	if err != nil {
		return q.RemoteAddr
	}
	return host
}
