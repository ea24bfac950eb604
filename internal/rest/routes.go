package rest

import "net/http"

// routes is every path of the API. Paths have been tidied.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handle{
		"POST /login":                 (*request).login,
		"GET /api/initial-data":       (*request).initialData,
		"GET /api/cluster/status":     (*request).clusterStatus,
		"GET /api/cluster/version":    (*request).clusterVersion,
		"GET /api/openapi.json":       (*request).openAPI,
		"GET /api/carillon/liveness":  (*request).liveness,
		"GET /api/carillon/readiness": (*request).readiness,
	} {
		mux.HandleFunc(pattern, s.open(h))
	}
	for pattern, h := range map[string]handle{
		"POST /logout": (*request).logout,
		"GET /logout":  (*request).logout,

		"GET /api/cluster":         (*request).cluster,
		"GET /api/cluster/runtime": (*request).clusterRuntime,

		"POST /api/macro":   (*request).macroPut,
		"PUT /api/macro":    (*request).macroPut,
		"DELETE /api/macro": (*request).macroDelete,

		"POST /api/preview": (*request).preview,
		"POST /api/explain": (*request).explain,
		"GET /api/audit":    (*request).audit,
		"GET /api/export":   (*request).export,
		"POST /api/import":  (*request).importAll,
		"GET /api/live":     (*request).live,
		"GET /api/whoami":   (*request).whoami,

		"GET /api/{type}":           (*request).list,
		"POST /api/{type}":          (*request).create,
		"GET /api/{type}/{uuid}":    (*request).get,
		"PUT /api/{type}/{uuid}":    (*request).put,
		"PATCH /api/{type}/{uuid}":  (*request).patch,
		"DELETE /api/{type}/{uuid}": (*request).remove,

		"GET /api/virtualservice/{uuid}/runtime":           (*request).serviceRuntime,
		"GET /api/virtualservice/{uuid}/runtime/{what...}": (*request).serviceRuntime,
		"GET /api/virtualservice/{uuid}/{what}":            (*request).serviceStats,
		"GET /api/pool/{uuid}/runtime":                     (*request).poolRuntime,
		"GET /api/pool/{uuid}/runtime/{what...}":           (*request).poolRuntime,
		"GET /api/serviceengine/{uuid}/runtime":            (*request).engineRuntime,
		"GET /api/analytics/metrics/{type}/{uuid}":         (*request).metrics,
		"POST /api/analytics/metrics/collection":           (*request).metricsCollection,
		"GET /api/analytics/healthscore/{type}/{uuid}":     (*request).healthScore,
		"GET /api/virtualservice-inventory":                (*request).inventory,
		"GET /api/virtualservice-inventory/{uuid}":         (*request).inventory,
		"GET /api/pool-inventory":                          (*request).inventory,
		"GET /api/pool-inventory/{uuid}":                   (*request).inventory,
		"GET /api/poolgroup-inventory":                     (*request).inventory,
		"GET /api/poolgroup-inventory/{uuid}":              (*request).inventory,
		"GET /api/vsvip-inventory":                         (*request).inventory,
		"GET /api/vsvip-inventory/{uuid}":                  (*request).inventory,
		"GET /api/serviceengine-inventory":                 (*request).inventory,
		"GET /api/serviceengine-inventory/{uuid}":          (*request).inventory,
	} {
		mux.HandleFunc(pattern, s.closed(h))
	}
	mux.HandleFunc("/", s.closed((*request).nowhere))
	return mux
}

// nowhere answers what no other path does.
func (q *request) nowhere() (answer, error) {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		return answer{}, refuse(http.StatusMethodNotAllowed, "%s %s is not there; /api/openapi.json lists what is", q.Method, q.URL.Path)
	}
	return answer{}, refuse(http.StatusNotFound, "%s is not there; /api/openapi.json lists what is", q.URL.Path)
}
