package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
)

// drainBody says which server is to be drained, and until when.
type drainBody struct {
	Server string `json:"server"` // address, address:port or hostname
	// Deadline is how long the calls that it has may go on, such as 30m; "never" lets them end by themselves. Left out: the
	// pool's graceful_disable_timeout stays as it is. It is that of the pool: other servers that are draining get it too.
	Deadline string `json:"deadline,omitempty"`
}

// drainStatus is how far a server is with ending its calls.
type drainStatus struct {
	Server   string         `json:"server"` // hostname, or address and port
	Addr     netip.AddrPort `json:"address"`
	Enabled  bool           `json:"enabled"`
	State    string         `json:"state"`      // up, down, draining, disabled, backoff; empty: no engine tells
	Calls    int64          `json:"calls"`      // Call-IDs that it still has: that are known or up
	Up       int64          `json:"calls_up"`   // calls that are up on it, as far as they are seen (Record-Route)
	Open     int64          `json:"open_conns"` // transactions
	Recent   int            `json:"recent"`     // of the calls, those with a request within the last minute
	PerMin   float64        `json:"per_minute"` // calls that have gone, a minute, over the last minutes
	Expected *int           `json:"expected_s"` // until the last one will have gone, as it goes now; null: it does not become less
	LastS    int            `json:"last_s"`     // until the last call is forgotten, if none is heard of again
	Until    *time.Time     `json:"until"`      // when it is disabled for good, whatever it has; null: never, or it is not draining
}

func (q *request) drain() (answer, error)   { return q.enable(false) }
func (q *request) undrain() (answer, error) { return q.enable(true) }

// enable enables or disables one server of a pool.
func (q *request) enable(on bool) (answer, error) {
	r, err := q.poolRecord()
	if err != nil {
		return answer{}, err
	}
	body, err := q.json(MaxBody)
	if err != nil {
		return answer{}, err
	}
	var in drainBody
	const expected = `{"server": "10.0.0.1:5060", "deadline": "30m"}`
	if err := into(body, &in, expected); err != nil {
		return answer{}, err
	}
	if in.Server == "" {
		return answer{}, refuse(http.StatusBadRequest, "expected %s: server is missing", expected)
	}
	patch := map[string]any{}
	if in.Deadline != "" {
		minutes, err := deadlineMinutes(in.Deadline)
		if err != nil {
			return answer{}, err
		}
		patch["graceful_disable_timeout"] = minutes
	}
	if patch["servers"], err = q.serverPatch(r, in.Server, on); err != nil {
		return answer{}, err
	}
	text, err := json.Marshal(map[string]any{"add": patch})
	if err != nil {
		return answer{}, err
	}
	res, err := q.do(controller.Op{Verb: controller.Patch, Kind: "Pool", UUID: r.UUID(), Body: text})
	if err != nil {
		return answer{}, err
	}
	if _, err := q.wait(res); err != nil {
		return answer{}, err
	}
	q.told = nil
	out, err := q.drains(q.view.Get("Pool", r.UUID()), in.Server)
	return answer{Body: out}, err
}

// deadlineMinutes reads a time as graceful_disable_timeout counts it.
func deadlineMinutes(text string) (int, error) {
	if text == "never" {
		return -1, nil
	}
	d, err := time.ParseDuration(text)
	if n, numErr := strconv.Atoi(text); numErr == nil {
		d, err = time.Duration(n)*time.Minute, nil
	}
	if err != nil || d < 0 || d > 7200*time.Minute {
		return 0, refuse(http.StatusBadRequest, "deadline: %q must be a time up to 120h, such as 30m, 0 for at once, or never", text)
	}
	return int(math.Ceil(d.Minutes())), nil
}

// serverPatch is the server as a patch of the pool adds it: items are known by address and port, so it takes its place.
func (q *request) serverPatch(r *catalog.Record, name string, on bool) ([]json.RawMessage, error) {
	p := r.Object.Value().(*object.Pool)
	found := serversNamed(p, name)
	if len(found) == 0 {
		return nil, noServer(r, name)
	}
	if len(found) > 1 {
		return nil, refuse(http.StatusBadRequest, "server: pool %s has %d servers %q: give the port too", r.Name(), len(found), name)
	}
	var whole struct {
		Servers []map[string]json.RawMessage `json:"servers"`
	}
	if err := json.Unmarshal(r.Object.JSON(object.JSONOptions{Form: object.SkipDefault, Secrets: true}), &whole); err != nil {
		return nil, err
	}
	s := whole.Servers[found[0]]
	s["enabled"] = mustJSON(on)
	return []json.RawMessage{mustJSON(s)}, nil
}

// serversNamed are the servers with that address, address and port, or hostname.
func serversNamed(p *object.Pool, name string) []int {
	var out []int
	for i := range p.Servers {
		s := &p.Servers[i]
		if name == s.Hostname || name == s.IP.String() || name == serverAddr(p, s).String() {
			out = append(out, i)
		}
	}
	return out
}

func serverAddr(p *object.Pool, s *object.Server) netip.AddrPort {
	port := s.Port
	if port == 0 {
		port = p.DefaultServerPort
	}
	return netip.AddrPortFrom(s.IP, port)
}

// drainProgress tells how far servers are with ending their calls: those that are not enabled, or the one that is named.
func (q *request) drainProgress() (answer, error) {
	r, err := q.poolRecord()
	if err != nil {
		return answer{}, err
	}
	out, err := q.drains(r, q.URL.Query().Get("server"))
	return answer{Body: out}, err
}

// noServer says which servers there are.
func noServer(r *catalog.Record, name string) error {
	const most = 12
	var names []string
	p := r.Object.Value().(*object.Pool)
	for i := range p.Servers {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(p.Servers)-most))
			break
		}
		names = append(names, cmp.Or(p.Servers[i].Hostname, serverAddr(p, &p.Servers[i]).String()))
	}
	if len(names) == 0 {
		return refuse(http.StatusNotFound, "server: pool %s has no servers at all, so no %q", r.Name(), name)
	}
	return refuse(http.StatusNotFound, "server: pool %s has no server %q; there are: %s", r.Name(), name, strings.Join(names, ", "))
}

func (q *request) drains(r *catalog.Record, only string) ([]drainStatus, error) {
	p := r.Object.Value().(*object.Pool)
	if only != "" && len(serversNamed(p, only)) == 0 {
		return nil, noServer(r, only)
	}
	known := q.state().pool(r)
	calls := q.s.c.Calls(q.Context(), &report.CallsQuery{Pool: q.view.EngineName(r)})
	going := q.going(r)
	out := []drainStatus{}
	for i := range p.Servers {
		s := &p.Servers[i]
		if only == "" && s.Enabled || only != "" && !slices.Contains(serversNamed(p, only), i) {
			continue
		}
		d := drainStatus{Server: s.Hostname, Addr: serverAddr(p, s), Enabled: s.Enabled && p.Enabled}
		if d.Server == "" {
			d.Server = d.Addr.String()
		}
		d.told(known, calls)
		if d.PerMin = going[d.Addr.String()]; d.PerMin > 0 && d.Calls > 0 {
			seconds := int(float64(d.Calls) / d.PerMin * 60)
			d.Expected = &seconds
		} else if d.Calls == 0 {
			d.Expected = new(int)
		}
		out = append(out, d)
	}
	return out, nil
}

// told puts in what engines tell.
func (d *drainStatus) told(known *report.Pool, calls *report.Calls) {
	if known != nil {
		for i := range known.Servers {
			if s := &known.Servers[i]; s.Addr == d.Addr {
				d.State, d.Calls, d.Up, d.Open = s.State, max(s.Calls, s.CallsUp), s.CallsUp, s.OpenTransactions
				if !s.DrainUntil.IsZero() {
					d.Until = &s.DrainUntil
				}
			}
		}
	}
	for _, c := range calls.Servers {
		if c.Addr == d.Addr {
			d.Recent += c.Recent
			d.LastS = max(d.LastS, c.LeftS)
		}
	}
}

// going is how many calls a minute have gone from each server of a pool, over the last three minutes.
func (q *request) going(r *catalog.Record) map[string]float64 {
	query := url.Values{"metric_id": {"sip_server.calls"}, "entity": {r.UUID()}, "obj_id": {everything}, "step": {"5"}, "limit": {"36"}}
	series, _ := q.s.c.Series(q.Context(), query) // of an engine that does not answer nothing is known
	out := map[string]float64{}
	for i := range series {
		if n := len(series[i].Points); n >= 2 {
			first, last := series[i].Points[0], series[i].Points[n-1]
			for _, p := range series[i].Points {
				if p.Value > first.Value {
					first = p // calls still came until then
				}
			}
			if minutes := float64(last.At-first.At) / 60; minutes > 0 {
				out[series[i].Server] = max(0, (first.Value-last.Value)/minutes)
			}
		}
	}
	return out
}
