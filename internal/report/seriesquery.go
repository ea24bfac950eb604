package report

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Steps of the history, in seconds, and how many of each are kept: an hour, and a day.
const (
	FineStep    = 5
	CoarseStep  = 300
	FineSteps   = 3600 / FineStep
	CoarseSteps = 24 * 3600 / CoarseStep
)

// AllServers as SeriesQuery.Server asks for each server of the pools.
const AllServers = "*"

// maxEntities bounds what one question may be about: a page of an inventory.
const maxEntities = 200

// SeriesQuery is what a controller asks an engine's history for.
type SeriesQuery struct {
	Kind     string   // OfService or OfPool
	Entities []string // names as the engine has them; none: all of the kind
	Server   string   // address of a server of the pools; AllServers: each; empty: the entities themselves
	IDs      []string // of MetricIDs
	Step     int      // s: FineStep or CoarseStep
	Limit    int      // points, the newest; 0: all that there are
}

// Values is the query as it goes over the wire.
func (q SeriesQuery) Values() url.Values {
	v := url.Values{"kind": {q.Kind}, "id": {strings.Join(q.IDs, ",")}, "step": {strconv.Itoa(q.Step)}, "limit": {strconv.Itoa(q.Limit)}}
	if len(q.Entities) > 0 {
		v["entity"] = q.Entities
	}
	if q.Server != "" {
		v.Set("server", q.Server)
	}
	return v
}

// ParseSeriesQuery reads what Values wrote, and refuses what is out of range.
func ParseSeriesQuery(v url.Values) (SeriesQuery, error) {
	q := SeriesQuery{Kind: v.Get("kind"), Entities: v["entity"], Server: v.Get("server"), Step: FineStep}
	if q.Kind != OfService && q.Kind != OfPool {
		return q, fmt.Errorf("kind: %q must be %s or %s", q.Kind, OfService, OfPool)
	}
	if len(q.Entities) > maxEntities {
		return q, fmt.Errorf("entity: %d of them, must be at most %d", len(q.Entities), maxEntities)
	}
	for id := range strings.SplitSeq(v.Get("id"), ",") {
		m, ok := FindMetric(id)
		if !ok || m.Of != q.Kind {
			return q, fmt.Errorf("id: a %s has no metric %q", q.Kind, id)
		}
		if q.Server == "" || m.Server {
			q.IDs = append(q.IDs, id)
		}
	}
	var err error
	if text := v.Get("step"); text != "" {
		if q.Step, err = strconv.Atoi(text); err != nil || !slices.Contains([]int{FineStep, CoarseStep}, q.Step) {
			return q, fmt.Errorf("step: %q must be %d or %d", text, FineStep, CoarseStep)
		}
	}
	if text := v.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 0 {
			return q, fmt.Errorf("limit: %q must be a number from 0 on", text)
		}
	}
	return q, nil
}
