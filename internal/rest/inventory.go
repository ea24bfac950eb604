package rest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/report"
)

// inventoryItem is an object with all that is known of it now.
type inventoryItem struct {
	UUID            string          `json:"uuid"`
	URL             string          `json:"url"`
	Config          json.RawMessage `json:"config,omitempty"`
	Runtime         json.RawMessage `json:"runtime,omitempty"`
	Health          *report.Score   `json:"health_score,omitempty"` // absent: it is neither up nor down
	Alert           *alerts         `json:"alert,omitempty"`
	Metrics         []series        `json:"metrics,omitempty"`
	AppProfileType  string          `json:"app_profile_type,omitempty"`
	Pools           []string        `json:"pools,omitempty"`      // references with #name
	PoolGroups      []string        `json:"poolgroups,omitempty"` // likewise
	VirtualServices []string        `json:"virtualservices,omitempty"`
}

// alerts counts them by level. There are none yet.
type alerts struct {
	Low    int `json:"low"`
	Medium int `json:"medium"`
	High   int `json:"high"`
}

// inventoryParts are what include= may name.
var inventoryParts = []string{"config", "runtime", "health_score", "alert", "metrics"}

// includes reads include=.
func (q *request) includes() (func(string) bool, error) {
	text := q.URL.Query().Get("include")
	if text == "" {
		return func(string) bool { return true }, nil
	}
	words := strings.Split(text, ",")
	for _, w := range words {
		if !slices.Contains(inventoryParts, w) && w != "faults" {
			return nil, refuse(http.StatusBadRequest, "include: there is no %q; expected some of %s", w, strings.Join(inventoryParts, ", "))
		}
	}
	return func(what string) bool { return slices.Contains(words, what) }, nil
}

// inventory makes the handler of a list of objects of a kind, with all that is known of them.
func inventory(kind string) handle {
	return func(q *request) (answer, error) {
		if !q.who.Reads(kind) {
			return answer{}, q.mayNotRead(kind)
		}
		found, err := q.find(kind)
		if err != nil {
			return answer{}, err
		}
		part, p, err := pageOf(q, found)
		if err != nil {
			return answer{}, err
		}
		items, err := q.items(kind, part)
		if err != nil {
			return answer{}, err
		}
		for i := range items {
			p.Results = append(p.Results, mustJSON(items[i]))
		}
		return answer{Body: p}, nil
	}
}

// inventoryOne is the same for one object.
func inventoryOne(kind string) handle {
	return func(q *request) (answer, error) {
		r, err := q.recordOf(kind)
		if err != nil {
			return answer{}, err
		}
		items, err := q.items(kind, []*catalog.Record{r})
		if err != nil {
			return answer{}, err
		}
		return answer{Body: items[0]}, nil
	}
}

// items makes the items of a page.
func (q *request) items(kind string, part []*catalog.Record) ([]inventoryItem, error) {
	f, err := q.form()
	if err != nil {
		return nil, err
	}
	includes, err := q.includes()
	if err != nil {
		return nil, err
	}
	var history map[string][]series
	if q.URL.Query().Get("metric_id") != "" && includes("metrics") {
		if history, err = q.itemMetrics(kind, part); err != nil {
			return nil, err
		}
	}
	f.runtime = false
	out := make([]inventoryItem, 0, len(part))
	for _, r := range part {
		out = append(out, q.item(r, f, includes, history))
	}
	return out, nil
}

func (q *request) item(r *catalog.Record, f form, includes func(string) bool, history map[string][]series) inventoryItem {
	out := inventoryItem{UUID: r.UUID(), URL: q.refURL(r.Kind(), r.UUID(), f.names), Metrics: history[r.UUID()]}
	if includes("config") {
		out.Config = q.write(r, f, nil)
	}
	if includes("runtime") {
		out.Runtime = q.runtimeOf(r)
	}
	if includes("health_score") {
		_, out.Health = q.scoreOf(r)
	}
	if includes("alert") {
		out.Alert = &alerts{}
	}
	s := q.state()
	switch r.Kind() {
	case "VirtualService":
		if p := q.view.Get("ApplicationProfile", r.Object.Text("application_profile_ref")); p != nil {
			out.AppProfileType = p.Object.Text("type")
		}
		out.Pools = q.refs(s.poolsOf(r))
	case "Pool":
		out.VirtualServices = q.refs(s.servicesOn(r.UUID()))
		for _, by := range s.usersOf(r.UUID()) {
			if by.Kind() == "PoolGroup" {
				out.PoolGroups = append(out.PoolGroups, q.refs([]*catalog.Record{by})...)
			}
		}
		if len(s.servicesOn(r.UUID())) > 0 {
			if p := q.view.Get("ApplicationProfile", s.servicesOn(r.UUID())[0].Object.Text("application_profile_ref")); p != nil {
				out.AppProfileType = p.Object.Text("type")
			}
		}
	case "PoolGroup":
		out.Pools, out.VirtualServices = q.refs(s.poolsOf(r)), q.refs(s.servicesOn(r.UUID()))
	case "VsVip":
		out.VirtualServices = q.refs(s.servicesOn(r.UUID()))
	}
	return out
}

// refs are references with names, which Avi's Python samples cut at the #.
func (q *request) refs(records []*catalog.Record) []string {
	var out []string
	for _, r := range records {
		if q.sees(r) {
			out = append(out, q.refURL(r.Kind(), r.UUID(), true))
		}
	}
	return out
}

// itemMetrics is the history of the objects of a page, by uuid.
func (q *request) itemMetrics(kind string, part []*catalog.Record) (map[string][]series, error) {
	m, err := q.metricQuery()
	if err != nil {
		return nil, err
	}
	list, _, err := q.historyOf(kind, part, m)
	if err != nil {
		return nil, err
	}
	out := map[string][]series{}
	for _, s := range list {
		out[s.Header.EntityUUID] = append(out[s.Header.EntityUUID], s)
	}
	for _, r := range part {
		if kind != "VirtualService" {
			break
		}
		for _, p := range q.state().poolsOf(r) {
			out[r.UUID()] = append(out[r.UUID()], out[p.UUID()]...)
		}
	}
	return out, nil
}

// serverItem is one server of a pool, with all that is known of it now.
type serverItem struct {
	UUID    string         `json:"uuid"` // of the pool, and the address of the server
	Config  serverConfig   `json:"config"`
	Runtime serverDetail   `json:"runtime"`
	Health  *report.Score  `json:"health_score,omitempty"`
	Alert   alerts         `json:"alert"`
	Hmon    serverMonitors `json:"hmonstat"`
	Metrics []series       `json:"metrics,omitempty"`
}

// serverConfig is what names a server.
type serverConfig struct {
	URL      string `json:"url"`
	Hostname string `json:"hostname"`
	IP       ipAddr `json:"ip"`
	Port     uint16 `json:"port"`
	Ratio    int    `json:"ratio"`
}

func (q *request) serverItem(r *catalog.Record, s *report.Server, pool *report.Pool) serverItem {
	key := s.Addr.String()
	out := serverItem{UUID: r.UUID() + "-" + key, Runtime: serverDetailOf(s, pool),
		Config: serverConfig{"https://" + q.Host + "/api/pool-inventory/" + r.UUID() + "/server/" + key, s.Name, ipOf(s.Addr.Addr()), s.Addr.Port(), s.Ratio},
		Hmon:   serverMonitors{key, ipOf(s.Addr.Addr()), s.Addr.Port(), s.Oper, append([]report.Monitor{}, s.Monitors...)}}
	out.Health, out.Runtime.Health = out.Runtime.Health, nil
	return out
}

// serverInventory lists the servers of a pool.
func (q *request) serverInventory() (answer, error) {
	r, err := q.recordOf("Pool")
	if err != nil {
		return answer{}, err
	}
	list, pool := q.serversOf(r)
	return paged(q, list, func(s report.Server) json.RawMessage { return mustJSON(q.serverItem(r, &s, pool)) })
}

// serverInventoryOne is one of them, by address and port.
func (q *request) serverInventoryOne() (answer, error) {
	r, err := q.recordOf("Pool")
	if err != nil {
		return answer{}, err
	}
	list, pool := q.serversOf(r)
	key := q.PathValue("key")
	i := slices.IndexFunc(list, func(s report.Server) bool { return isServer(&s, key) })
	if i < 0 {
		return answer{}, refuse(http.StatusNotFound, "Pool/%s has no server %s", r.Name(), key)
	}
	item := q.serverItem(r, &list[i], pool)
	if q.URL.Query().Get("metric_id") != "" {
		m, err := q.metricQuery()
		if err != nil {
			return answer{}, err
		}
		m.Entity, m.Server = r.UUID(), list[i].Addr.String()
		if item.Metrics, _, err = q.history("Pool", m); err != nil {
			return answer{}, err
		}
	}
	return answer{Body: item}, nil
}

// engineItem is one engine, with all that is known of it now.
type engineItem struct {
	UUID    string          `json:"uuid"`
	URL     string          `json:"url"`
	Config  json.RawMessage `json:"config"`
	Runtime engineRuntime   `json:"runtime"`
	Alert   alerts          `json:"alert"`
}

func (q *request) engineItem(e *report.Registration) engineItem {
	out := engineItem{UUID: e.UUID, URL: "https://" + q.Host + "/api/serviceengine/" + e.UUID, Runtime: q.engineRuntimeOf(e)}
	out.Config = mustJSON(map[string]string{"uuid": e.UUID, "name": e.Name, "url": out.URL, "enable_state": "SE_STATE_ENABLED"})
	for _, r := range q.view.List("ServiceEngine") {
		if f, err := q.form(); err == nil && r.Name() == e.Name && q.sees(r) {
			out.Config = q.write(r, f, nil)
		}
	}
	return out
}

// engineInventory lists the engines that are registered, and objects that stand for ones that are not.
func (q *request) engineInventory() (answer, error) {
	if !q.who.Reads("ServiceEngine") {
		return answer{}, q.mayNotRead("ServiceEngine")
	}
	all := slices.Clone(q.state().engines)
	for _, r := range q.view.List("ServiceEngine") {
		if q.sees(r) && !slices.ContainsFunc(all, func(e report.Registration) bool { return e.Name == r.Name() }) {
			all = append(all, *q.registered(r))
		}
	}
	if v := q.URL.Query(); v.Has("name") {
		all = slices.DeleteFunc(all, func(e report.Registration) bool { return e.Name != v.Get("name") })
	}
	return paged(q, all, func(e report.Registration) json.RawMessage { return mustJSON(q.engineItem(&e)) })
}

func (q *request) engineInventoryOne() (answer, error) {
	e, err := q.engineOf()
	if err != nil {
		return answer{}, err
	}
	return answer{Body: q.engineItem(e)}, nil
}
