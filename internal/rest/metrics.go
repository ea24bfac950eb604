package rest

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/report"
)

// Limits of questions for metrics.
const (
	maxMetricRequests = 100 // of one collection
	maxPoints         = 10_000
	everything        = "*"
)

// metricRequest is a question for the history of figures. Names are Avi's.
type metricRequest struct {
	ID       string `json:"id,omitempty"` // of the question in a collection
	Entity   string `json:"entity_uuid"`  // or *
	MetricID string `json:"metric_id"`    // several with commas between
	Step     int    `json:"step,omitempty"`
	Limit    int    `json:"limit,omitempty"`
	Start    string `json:"start,omitempty"`
	Stop     string `json:"stop,omitempty"`
	Server   string `json:"obj_id,omitempty"` // ip:port, or * for each
	Pool     string `json:"pool_uuid,omitempty"`
	Pad      bool   `json:"pad_missing_data,omitempty"`
}

// series is the history of one figure.
type series struct {
	Header seriesHeader `json:"header"`
	Data   []sample     `json:"data"`
}

type seriesHeader struct {
	Name       string     `json:"name"`
	Units      string     `json:"units"`
	Statistics statistics `json:"statistics"`
	EntityUUID string     `json:"entity_uuid"`
	Server     string     `json:"obj_id,omitempty"`
}

type statistics struct {
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Mean    float64 `json:"mean"`
	Sum     float64 `json:"sum"`
	Samples int     `json:"num_samples"`
}

// sample is one value of a series.
type sample struct {
	Time  string  `json:"timestamp"` // end of the step
	Value float64 `json:"value"`
	Null  bool    `json:"is_null,omitempty"` // nothing is known of the step, and the value stands for that
}

// metricAnswer is the answer for one entity.
type metricAnswer struct {
	MetricID string   `json:"metric_id"`
	Entity   string   `json:"entity_uuid"`
	Step     int      `json:"step"`
	Series   []series `json:"series"`
	Errors   []string `json:"errors,omitempty"` // of engines that did not answer
}

// collectionAnswer is the answer of a collection: series by id of the question and by entity.
type collectionAnswer struct {
	Series map[string]map[string][]series `json:"series"`
	Errors []string                       `json:"errors,omitempty"`
}

// metrics answers with the history of one entity.
func (q *request) metrics() (answer, error) {
	m, err := q.metricQuery()
	if err != nil {
		return answer{}, err
	}
	kind, err := metricKind(q.PathValue("type"))
	if err != nil {
		return answer{}, err
	}
	list, errs, err := q.history(kind, m)
	if err != nil {
		return answer{}, err
	}
	return answer{Body: metricAnswer{m.MetricID, m.Entity, m.Step, list, errs}}, nil
}

// metricQuery reads the question of a query.
func (q *request) metricQuery() (metricRequest, error) {
	v := q.URL.Query()
	m := metricRequest{Entity: q.PathValue("uuid"), MetricID: v.Get("metric_id"), Start: v.Get("start"), Stop: v.Get("stop"), Server: v.Get("obj_id"),
		Pool: v.Get("pool_uuid"), Pad: flag(v, "pad_missing_data")}
	var err error
	if m.Step, err = q.number("step", report.CoarseStep, 1, 86400); err != nil {
		return m, err
	}
	m.Limit, err = q.number("limit", 0, 0, maxPoints)
	return m, err
}

// metricsCollection answers many questions at a time.
func (q *request) metricsCollection() (answer, error) {
	body, err := q.json(MaxBody)
	if err != nil {
		return answer{}, err
	}
	var in struct {
		Requests []metricRequest `json:"metric_requests"`
	}
	if err := shape(json.Unmarshal(body, &in), `{"metric_requests": [{"id": ..., "entity_uuid": ..., "metric_id": ..., "step": 5, "limit": 12}]}`); err != nil {
		return answer{}, err
	}
	if len(in.Requests) > maxMetricRequests {
		return answer{}, refuse(http.StatusBadRequest, "metric_requests: %d of them, must be at most %d", len(in.Requests), maxMetricRequests)
	}
	out := collectionAnswer{Series: map[string]map[string][]series{}}
	for i, m := range in.Requests {
		if m.Step == 0 {
			m.Step = report.CoarseStep
		}
		if m.ID == "" {
			m.ID = strconv.Itoa(i)
		}
		if m.Limit < 0 || m.Limit > maxPoints {
			return answer{}, refuse(http.StatusBadRequest, "metric_requests[%d]: limit: %d must be 0 to %d", i, m.Limit, maxPoints)
		}
		list, errs, err := q.history(q.guessKind(&m), m)
		if err != nil {
			return answer{}, refuse(statusOf(err), "metric_requests[%d]: %v", i, err)
		}
		by := map[string][]series{}
		for _, s := range list {
			by[s.Header.EntityUUID] = append(by[s.Header.EntityUUID], s)
		}
		out.Series[m.ID] = by
		out.Errors = append(out.Errors, errs...)
	}
	slices.Sort(out.Errors)
	out.Errors = slices.Compact(out.Errors)
	return answer{Body: out}, nil
}

// metricKind reads the type of an entity in a path.
func metricKind(text string) (string, error) {
	switch text {
	case report.OfService:
		return "VirtualService", nil
	case report.OfPool:
		return "Pool", nil
	}
	return "", refuse(http.StatusNotFound, "%s: there are metrics of %s and %s only", text, report.OfService, report.OfPool)
}

// guessKind is the kind of an entity that a collection names by uuid only.
func (q *request) guessKind(m *metricRequest) string {
	if r := q.view.Get("", m.Entity); r != nil {
		return r.Kind()
	}
	if id, _ := report.FindMetric(strings.Split(m.MetricID, ",")[0]); id.Of == report.OfPool {
		return "Pool"
	}
	return "VirtualService"
}

// history asks the engines for what a question names.
func (q *request) history(kind string, m metricRequest) (out []series, errs []string, err error) {
	entities, err := q.entities(kind, m.Entity)
	if err != nil {
		return nil, nil, err
	}
	return q.historyOf(kind, entities, m)
}

func (q *request) historyOf(kind string, entities []*catalog.Record, m metricRequest) (out []series, errs []string, err error) {
	ids, err := metricIDs(m.MetricID, kind)
	if err != nil {
		return nil, nil, err
	}
	if m.Step != report.FineStep && m.Step != report.CoarseStep {
		return nil, nil, refuse(http.StatusBadRequest, "step: %d must be %d, of the last hour, or %d, of the last day", m.Step, report.FineStep, report.CoarseStep)
	}
	from, to, err := span(m.Start, m.Stop)
	if err != nil {
		return nil, nil, err
	}
	out = []series{}
	for _, of := range []string{report.OfService, report.OfPool} {
		var mine []report.MetricID
		for _, id := range ids {
			if id.Of == of {
				mine = append(mine, id)
			}
		}
		if len(mine) == 0 {
			continue
		}
		about := entities
		if kind == "VirtualService" && of == report.OfPool {
			if about, err = q.poolsFor(entities, m.Pool); err != nil {
				return nil, nil, err
			}
		}
		list, problems, err := q.ask(of, about, mine, &m, from, to)
		if err != nil {
			return nil, nil, err
		}
		out, errs = append(out, list...), append(errs, problems...)
	}
	return out, errs, nil
}

// metricIDs reads ids with commas between.
func metricIDs(text, kind string) ([]report.MetricID, error) {
	if text == "" {
		return nil, refuse(http.StatusBadRequest, "metric_id: missing; expected one such as l4_client.avg_rx_pkts, or several with commas between")
	}
	var out []report.MetricID
	for id := range strings.SplitSeq(text, ",") {
		m, ok := report.FindMetric(strings.TrimSpace(id))
		switch {
		case !ok:
			return nil, unknownMetric(id)
		case kind == "Pool" && m.Of == report.OfService:
			return nil, refuse(http.StatusBadRequest, "metric_id: %s is of a virtualservice, not of a pool", id)
		}
		out = append(out, m)
	}
	return out, nil
}

func unknownMetric(id string) error {
	var known []string
	for _, m := range report.MetricIDs {
		known = append(known, m.ID)
	}
	near := object.Nearest(id, known)
	if near != "" {
		return refuse(http.StatusBadRequest, "metric_id: there is no %q; did you mean %s?", id, near)
	}
	return refuse(http.StatusBadRequest, "metric_id: there is no %q; the groups are l4_client, l4_server, sip_client and sip_server", id)
}

// span reads start and stop; 0: open.
func span(start, stop string) (from, to int64, err error) {
	if from, err = moment("start", start); err != nil {
		return 0, 0, err
	}
	to, err = moment("stop", stop)
	return from, to, err
}

func moment(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, strings.Replace(text, " 00:00", "+00:00", 1)); err == nil { // + is a space in a query
			return t.Unix(), nil
		}
	}
	return 0, refuse(http.StatusBadRequest, "%s: %q is no time: expected one such as 2026-01-31T12:00:00Z", name, text)
}

// entities are the objects that a question is about.
func (q *request) entities(kind, uuid string) ([]*catalog.Record, error) {
	if !q.who.Reads(kind) {
		return nil, q.mayNotRead(kind)
	}
	if uuid == everything {
		var out []*catalog.Record
		for _, r := range q.view.List(kind) {
			if q.sees(r) {
				out = append(out, r)
			}
		}
		return out, nil
	}
	r := q.view.Get(kind, uuid)
	if r == nil || !q.sees(r) {
		return nil, refuse(http.StatusNotFound, "%s object not found!", kind)
	}
	return []*catalog.Record{r}, nil
}

// poolsFor are the pools of virtual services, one only if pool_uuid says so.
func (q *request) poolsFor(services []*catalog.Record, uuid string) ([]*catalog.Record, error) {
	var out []*catalog.Record
	for _, vs := range services {
		for _, p := range q.state().poolsOf(vs) {
			if !slices.Contains(out, p) && (uuid == "" || p.UUID() == uuid) && q.sees(p) {
				out = append(out, p)
			}
		}
	}
	if uuid != "" && len(out) == 0 {
		return nil, refuse(http.StatusNotFound, "pool_uuid: %s is no pool of the virtual service", uuid)
	}
	return out, nil
}

// ask gets series of one kind of entity. Of an entity of which engines tell nothing there are series without data.
func (q *request) ask(of string, about []*catalog.Record, ids []report.MetricID, m *metricRequest, from, to int64) (out []series, errs []string, err error) {
	server := ""
	if m.Server != "" && of == report.OfPool {
		server = m.Server
		if addr, err := netip.ParseAddrPort(m.Server); err == nil {
			server = addr.String()
		} else if m.Server != everything {
			return nil, nil, refuse(http.StatusBadRequest, "obj_id: %q must be ip:port of a server, or *", m.Server)
		}
	}
	var names []string
	for _, id := range ids {
		if server != "" && !id.Server {
			return nil, nil, refuse(http.StatusBadRequest, "metric_id: %s is of a pool, not of its servers", id.ID)
		}
		names = append(names, id.ID)
	}
	query := url.Values{"metric_id": {strings.Join(names, ",")}, "step": {strconv.Itoa(m.Step)}}
	for name, n := range map[string]int64{"start": from, "stop": to, "limit": int64(m.Limit)} {
		if n != 0 && (name != "limit" || from == 0 && to == 0) {
			query.Set(name, strconv.FormatInt(n, 10))
		}
	}
	if server != "" {
		query.Set("obj_id", server)
	}
	switch len(about) {
	case 0:
		return nil, nil, nil
	case 1:
		query.Set("entity", about[0].UUID())
	}
	got, err := q.s.c.Series(q.Context(), query)
	if err != nil {
		errs = strings.Split(err.Error(), "\n")
	}
	by := map[string][]*report.Series{}
	for i := range got {
		by[got[i].ID+" "+got[i].Entity] = append(by[got[i].ID+" "+got[i].Entity], &got[i])
	}
	for _, r := range about {
		for _, id := range ids {
			found := by[id.ID+" "+q.view.EngineName(r)]
			if len(found) == 0 && server != everything {
				found = []*report.Series{{Server: server}}
			}
			for _, s := range found {
				out = append(out, makeSeries(r.UUID(), id, s, m, from, to))
			}
		}
	}
	return out, errs, nil
}

func makeSeries(uuid string, id report.MetricID, s *report.Series, m *metricRequest, from, to int64) series {
	out := series{Header: seriesHeader{Name: id.ID, Units: id.Unit, EntityUUID: uuid, Server: s.Server}, Data: []sample{}}
	var points []report.Point
	for _, p := range s.Points {
		if p.At >= from && (to == 0 || p.At <= to) {
			points = append(points, p)
		}
	}
	if m.Limit > 0 && len(points) > m.Limit {
		points = points[len(points)-m.Limit:]
	}
	st := &out.Header.Statistics
	last := int64(0)
	for i, p := range points {
		for at := last + int64(m.Step); m.Pad && i > 0 && at < p.At && len(out.Data) < maxPoints; at += int64(m.Step) {
			out.Data = append(out.Data, sample{isoTime(at), 0, true})
		}
		last = p.At
		out.Data = append(out.Data, sample{isoTime(p.At), p.Value, false})
		if st.Samples == 0 {
			st.Min, st.Max = math.Inf(1), math.Inf(-1)
		}
		st.Min, st.Max, st.Sum, st.Samples = min(st.Min, p.Value), max(st.Max, p.Value), st.Sum+p.Value, st.Samples+1
	}
	if st.Samples > 0 {
		st.Mean = st.Sum / float64(st.Samples)
	}
	return out
}

// isoTime writes a time as Avi does.
func isoTime(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02T15:04:05+00:00") }

// healthAnswer is the health score of an object, as it is now.
type healthAnswer struct {
	Entity string        `json:"entity_uuid"`
	Oper   report.Oper   `json:"oper_status"`
	Score  *report.Score `json:"health_score"` // null: it is neither up nor down
	Series []series      `json:"series"`
}

// healthScore answers with the score, also as a series with the value of now.
func (q *request) healthScore() (answer, error) {
	kind, err := metricKind(q.PathValue("type"))
	if err != nil {
		return answer{}, err
	}
	r, err := q.recordOf(kind)
	if err != nil {
		return answer{}, err
	}
	out := healthAnswer{Entity: r.UUID(), Series: []series{}}
	out.Oper, out.Score = q.scoreOf(r)
	if out.Score != nil {
		value := float64(out.Score.Value)
		now := report.Series{Points: []report.Point{{At: time.Now().Unix(), Value: value}}}
		out.Series = append(out.Series, makeSeries(r.UUID(), report.MetricID{ID: "healthscore.health_score_value", Unit: report.MetricNo}, &now, &metricRequest{}, 0, 0))
	}
	return answer{Body: out}, nil
}

// scoreOf is the state and the score of a virtual service, a pool, or what is as well as the best of its parts.
func (q *request) scoreOf(r *catalog.Record) (report.Oper, *report.Score) {
	s := q.state()
	switch r.Kind() {
	case "VirtualService":
		known := s.service(r)
		oper := s.serviceOper(r, known)
		if known == nil || oper.State != known.Oper.State {
			return oper, report.ScoreOf(&report.ScoreInput{State: oper.State, Reason: oper.Reason})
		}
		var pool *report.Pool
		if pools := s.poolsOf(r); len(pools) == 1 {
			pool = s.pool(pools[0])
		}
		return oper, known.Score(pool)
	case "Pool":
		known := s.pool(r)
		oper := s.poolOper(r, known)
		if known == nil || oper.State != known.Oper.State {
			return oper, report.ScoreOf(&report.ScoreInput{State: oper.State, Reason: oper.Reason})
		}
		return oper, known.Score()
	}
	parts := s.servicesOn(r.UUID())
	if r.Kind() == "PoolGroup" {
		parts = s.poolsOf(r)
	}
	var best *report.Score
	for _, p := range parts {
		if _, score := q.scoreOf(p); score != nil && (best == nil || cmp.Less(best.Value, score.Value)) {
			best = score
		}
	}
	return q.groupOper(r), best
}
