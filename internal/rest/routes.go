package rest

import (
	"net/http"
	"strings"

	"github.com/carillon-sip/carillon/internal/controller"
	"github.com/carillon-sip/carillon/internal/report"
)

// route is one entry of the API: how it is reached, what serves it, and what /api/openapi.json says of it.
type route struct {
	pattern string // method and path; paths have been tidied
	h       handle
	sum     string // what it does
	in      any    // a value of the type of the body, or a schema; nil: none
	out     any    // of the answer's, likewise; nil: no body
	query   string // parameters, by name in parameters, with spaces between
	status  int    // of success; 0: 200
}

// anyObject stands for an object of the kind that {type} in the path names, anyList for a page of them.
type (
	anyObject struct{}
	anyPatch  struct{}
	anyList   struct{}
)

const (
	lists   = "name name.contains name.icontains name.in uuid.in exclude search isearch refers_to referred_by sort page page_size limit_by cloud_ref.name cloud_uuid label_key label_value "
	forms   = "fields include_name skip_default join_subresources export_key "
	history = "metric_id step limit start stop obj_id pool_uuid pad_missing_data "
)

// openRoutes are for everybody.
var openRoutes = []route{
	{pattern: "POST /login", h: (*request).login, sum: "Log in, by JSON or a form; the answer sets the cookies", in: loginBody, out: loose, query: ""},
	{pattern: "GET /api/initial-data", h: (*request).initialData, sum: "Which version this is", out: loose},
	{pattern: "GET /api/cluster/status", h: (*request).clusterStatus, sum: "Whether the controller is up", out: loose},
	{pattern: "GET /api/cluster/version", h: (*request).clusterVersion, sum: "Which version this is", out: loose},
	{pattern: "GET /api/openapi.json", h: (*request).openAPI, sum: "This document", out: loose},
	{pattern: "GET /api/carillon/liveness", h: (*request).liveness, sum: "Whether the process answers", out: map[string]bool{}},
	{pattern: "GET /api/carillon/readiness", h: (*request).readiness, sum: "Whether changes can be made", out: ready{}},
}

// closedRoutes are for who is logged in.
var closedRoutes = []route{
	{pattern: "POST /logout", h: (*request).logout, sum: "End the session", out: map[string]string{}},
	{pattern: "GET /logout", h: (*request).logoutByLink, sum: "End the session; not from another site", out: map[string]string{}},

	{pattern: "GET /api/cluster", h: (*request).cluster, sum: "The cluster of controllers", out: loose},
	{pattern: "GET /api/cluster/runtime", h: (*request).clusterRuntime, sum: "How the controllers and the store are", out: loose},

	{pattern: "POST /api/macro", h: (*request).macroPut, sum: "Create an object with those it refers to nested in it, all or nothing", in: macro{}, out: loose, query: "wait " + forms, status: 201},
	{pattern: "PUT /api/macro", h: (*request).macroPut, sum: "Create or update likewise, by name", in: macro{}, out: loose, query: "wait " + forms},
	{pattern: "DELETE /api/macro", h: (*request).macroDelete, sum: "Remove an object and those that it alone refers to", in: macro{}, status: 204},

	{pattern: "POST /api/preview", h: (*request).preview, sum: "What changes would do, without doing them", in: previewBody{}, out: controller.Preview{}},
	{pattern: "POST /api/explain", h: (*request).explain, sum: "Which way a message would go, and why", in: explainRequest{}, out: report.Explanation{}},
	{pattern: "GET /api/trace", h: (*request).trace, sum: "Messages as engines see them, and what becomes of them, line by line until the reader goes; for an admin or an operator", out: lineByLine{report.TraceLine{}}, query: "call_id from to user method code server source virtualservice only before secrets"},
	{pattern: "GET /api/calls", h: (*request).calls, sum: "Call-IDs that are known, and calls that are up", out: report.Calls{}, query: "pool server virtualservice up limit after"},
	{pattern: "GET /api/report", h: (*request).report, sum: "What all engines tell of virtual services, pools and servers, as one", out: report.Engine{}},
	{pattern: "GET /api/audit", h: (*request).audit, sum: "Who changed what, the newest first", out: auditPage{}, query: "page_size from"},
	{pattern: "GET /api/export", h: (*request).export, sum: "All objects", out: loose, query: "secrets"},
	{pattern: "POST /api/import", h: (*request).importAll, sum: "Bring in what an export wrote; with apply a file of objects of one tenant, by name", in: loose, out: loose, query: "wait apply prune dry_run delete progress"},
	{pattern: "GET /api/live", h: (*request).live, sum: "Which engines run a revision", out: controller.Live{}, query: "revision wait"},
	{pattern: "GET /api/whoami", h: (*request).whoami, sum: "Who is logged in", out: map[string]string{}},

	{pattern: "GET /api/useraccount", h: (*request).whoami, sum: "The same, where Avi has it", out: map[string]string{}},
	{pattern: "PUT /api/useraccount", h: (*request).changePassword, sum: "Change the own password", in: userAccount{}, out: map[string]string{}},

	{pattern: "GET /api/{type}", h: (*request).list, sum: "List objects", out: anyList{}, query: lists + forms},
	{pattern: "POST /api/{type}", h: (*request).create, sum: "Create an object", in: anyObject{}, out: anyObject{}, query: "wait " + forms, status: 201},
	{pattern: "GET /api/{type}/{uuid}", h: (*request).get, sum: "Read an object", out: anyObject{}, query: forms},
	{pattern: "PUT /api/{type}/{uuid}", h: (*request).put, sum: "Replace an object; what is left out falls to its default", in: anyObject{}, out: anyObject{}, query: "wait " + forms},
	{pattern: "PATCH /api/{type}/{uuid}", h: (*request).patch, sum: "Change parts of an object", in: anyPatch{}, out: anyObject{}, query: "wait " + forms},
	{pattern: "DELETE /api/{type}/{uuid}", h: (*request).remove, sum: "Remove an object", status: 204, query: "wait"},

	{pattern: "GET /api/virtualservice/{uuid}/runtime", h: (*request).serviceRuntime, sum: "How a virtual service is doing", out: []serviceRuntime{}},
	{pattern: "GET /api/virtualservice/{uuid}/runtime/detail", h: (*request).serviceDetail, sum: "The same on each engine", out: []serviceDetail{}},
	{pattern: "GET /api/virtualservice/{uuid}/runtime/internal", h: (*request).serviceInternal, sum: "All that each engine tells of it", out: []report.Service{}},
	{pattern: "GET /api/virtualservice/{uuid}/udpstat", h: (*request).udpStat, sum: "Datagrams and octets, by engine", out: []udpStat{}},
	{pattern: "GET /api/virtualservice/{uuid}/tcpstat", h: (*request).tcpStat, sum: "Connections and messages of TCP and TLS, by engine and listener", out: []tcpStat{}},
	{pattern: "GET /api/virtualservice/{uuid}/connections", h: (*request).connections, sum: "Open transactions and known calls, by engine", out: []connections{}},
	{pattern: "GET /api/virtualservice/{uuid}/client", h: (*request).client, sum: "What clients sent and got, by engine", out: []clientStat{}},
	{pattern: "GET /api/virtualservice/{uuid}/clientsummary", h: (*request).clientSummary, sum: "The same in sums", out: []clientSummary{}},
	{pattern: "GET /api/virtualservice/{uuid}/networksecuritypolicystats", h: (*request).nothingOfService, sum: "Nothing: there are no policies on virtual services yet", out: []loose0{}},
	{pattern: "GET /api/virtualservice/{uuid}/networksecuritypolicy/detail", h: (*request).nothingOfService, sum: "Nothing, likewise", out: []loose0{}},
	{pattern: "GET /api/virtualservice/{uuid}/vslogstats", h: (*request).nothingOfService, sum: "Nothing: there are no logs of calls yet", out: []loose0{}},
	{pattern: "GET /api/virtualservice/{uuid}/scaleoutstatus", h: (*request).scaleoutStatus, sum: "Which engines run it", out: []vipSummary{}},
	{pattern: "GET /api/virtualservice/{uuid}/placement", h: (*request).scaleoutStatus, sum: "Which engines run it", out: []vipSummary{}},

	{pattern: "POST /api/virtualservice/{uuid}/scaleout", h: notHere("VirtualService", noScaleout), sum: "Refused: " + noScaleout, in: loose, out: loose},
	{pattern: "POST /api/virtualservice/{uuid}/scalein", h: notHere("VirtualService", noScalein), sum: "Refused: " + noScalein, in: loose, out: loose},
	{pattern: "POST /api/virtualservice/{uuid}/migrate", h: notHere("VirtualService", noMigrate), sum: "Refused: " + noMigrate, in: loose, out: loose},
	{pattern: "POST /api/virtualservice/{uuid}/switchover", h: notHere("VirtualService", noSwitchover), sum: "Refused: " + noSwitchover, in: loose, out: loose},
	{pattern: "POST /api/virtualservice/{uuid}/resync", h: done("VirtualService", "engines follow the store by themselves"), sum: "Nothing to do: engines follow the store", out: map[string]string{}},
	{pattern: "POST /api/virtualservice/{uuid}/retryplacement", h: done("VirtualService", "engines try again by themselves what they could not open"), sum: "Nothing to do: engines try by themselves", out: map[string]string{}},

	{pattern: "GET /api/pool/{uuid}/runtime", h: (*request).poolRuntime, sum: "How a pool is doing", out: poolRuntime{}},
	{pattern: "GET /api/pool/{uuid}/runtime/detail", h: (*request).poolDetail, sum: "The same on each engine", out: []poolDetail{}},
	{pattern: "GET /api/pool/{uuid}/runtime/server", h: (*request).poolServers, sum: "How its servers are doing", out: []serverRuntime{}, query: "server"},
	{pattern: "GET /api/pool/{uuid}/runtime/server/detail", h: (*request).poolServerDetail, sum: "The same with counters", out: []serverDetail{}, query: "server"},
	{pattern: "GET /api/pool/{uuid}/runtime/server/hmonstat", h: (*request).poolMonitors, sum: "What health monitors know of its servers", out: []serverMonitors{}, query: "server"},
	{pattern: "GET /api/pool/{uuid}/hmon", h: (*request).poolHmon, sum: "Its health monitors, in sums", out: []monitorStat{}},
	{pattern: "GET /api/pool/{uuid}/algo", h: (*request).poolAlgo, sum: "How it places calls", out: []algoStat{}},
	{pattern: "GET /api/pool/{uuid}/persistence", h: (*request).poolPersistence, sum: "Known calls by server", out: []persistenceStat{}, query: "server"},
	{pattern: "GET /api/pool/{uuid}/connpool", h: (*request).poolConnections, sum: "Open transactions by server", out: []connpool{}, query: "server"},
	{pattern: "GET /api/pool/{uuid}/vs", h: (*request).poolServices, sum: "Virtual services that use it", out: []usedBy{}},

	{pattern: "GET /api/pool/{uuid}/drain", h: (*request).drainProgress, sum: "How far servers are with ending their calls: those that are not enabled, or the one that is named", out: []drainStatus{}, query: "server"},
	{pattern: "POST /api/pool/{uuid}/drain", h: (*request).drain, sum: "Give a server no new calls; those that it has may go on until the deadline", in: drainBody{}, out: []drainStatus{}, query: "wait"},
	{pattern: "POST /api/pool/{uuid}/undrain", h: (*request).undrain, sum: "Give a server new calls again", in: drainBody{}, out: []drainStatus{}, query: "wait"},
	{pattern: "POST /api/pool/{uuid}/scaleout", h: notHere("Pool", noScaling), sum: "Refused: " + noScaling, in: loose, out: loose},
	{pattern: "POST /api/pool/{uuid}/scalein", h: notHere("Pool", noScaling), sum: "Refused: " + noScaling, in: loose, out: loose},
	{pattern: "POST /api/pool/{uuid}/runtime/stats/clear", h: notHere("Pool", noClear), sum: "Refused: " + noClear, in: loose, out: loose},
	{pattern: "POST /api/pool/{uuid}/clear", h: notHere("Pool", noClear), sum: "Refused: " + noClear, in: loose, out: loose},
	{pattern: "POST /api/poolgroup/{uuid}/enable_primary_pool/clear", h: notHere("PoolGroup", noPrimary), sum: "Refused: " + noPrimary, in: loose, out: loose},

	{pattern: "GET /api/serviceengine/{uuid}/runtime", h: (*request).engineRuntime, sum: "How an engine is doing", out: engineRuntime{}},

	{pattern: "GET /api/analytics/metrics/{type}/{uuid}", h: (*request).metrics, sum: "The history of figures of a virtual service or a pool; uuid may be *", out: metricAnswer{}, query: history},
	{pattern: "POST /api/analytics/metrics/collection", h: (*request).metricsCollection, sum: "The history of figures of many", in: collectionBody{}, out: collectionAnswer{}},
	{pattern: "GET /api/analytics/healthscore/{type}/{uuid}", h: (*request).healthScore, sum: "The health score of a virtual service or a pool", out: healthAnswer{}},

	{pattern: "GET /api/virtualservice-inventory", h: inventory("VirtualService"), sum: "Virtual services with all that is known of them", out: inventoryPage{}, query: "include " + lists + forms + history},
	{pattern: "GET /api/virtualservice-inventory/{uuid}", h: inventoryOne("VirtualService"), sum: "One of them", out: inventoryItem{}, query: "include " + forms + history},
	{pattern: "GET /api/pool-inventory", h: inventory("Pool"), sum: "Pools with all that is known of them", out: inventoryPage{}, query: "include " + lists + forms + history},
	{pattern: "GET /api/pool-inventory/{uuid}", h: inventoryOne("Pool"), sum: "One of them", out: inventoryItem{}, query: "include " + forms + history},
	{pattern: "GET /api/pool-inventory/{uuid}/server", h: (*request).serverInventory, sum: "The servers of a pool with all that is known of them", out: serverPage{}, query: "page page_size"},
	{pattern: "GET /api/pool-inventory/{uuid}/server/{key}", h: (*request).serverInventoryOne, sum: "One of them, by address and port", out: serverItem{}, query: history},
	{pattern: "GET /api/poolgroup-inventory", h: inventory("PoolGroup"), sum: "Pool groups with all that is known of them", out: inventoryPage{}, query: "include " + lists + forms},
	{pattern: "GET /api/poolgroup-inventory/{uuid}", h: inventoryOne("PoolGroup"), sum: "One of them", out: inventoryItem{}, query: "include " + forms},
	{pattern: "GET /api/vsvip-inventory", h: inventory("VsVip"), sum: "VIPs with all that is known of them", out: inventoryPage{}, query: "include " + lists + forms},
	{pattern: "GET /api/vsvip-inventory/{uuid}", h: inventoryOne("VsVip"), sum: "One of them", out: inventoryItem{}, query: "include " + forms},
	{pattern: "GET /api/serviceengine-inventory", h: (*request).engineInventory, sum: "Engines with all that is known of them", out: enginePage{}, query: "name page page_size"},
	{pattern: "GET /api/serviceengine-inventory/{uuid}", h: (*request).engineInventoryOne, sum: "One of them", out: engineItem{}},
}

// routes is every path of the API.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for i := range openRoutes {
		mux.HandleFunc(openRoutes[i].pattern, s.open(openRoutes[i].h))
	}
	for i := range closedRoutes {
		mux.HandleFunc(closedRoutes[i].pattern, s.closed(closedRoutes[i].h))
	}
	mux.HandleFunc("/", s.closed(func(q *request) (answer, error) { return q.nowhere(mux) }))
	return mux
}

// pathMethods are those that a path may have. GET brings HEAD.
var pathMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// nowhere answers what no other path does, and tells which methods a path has.
func (q *request) nowhere(mux *http.ServeMux) (answer, error) {
	var allow []string
	for _, method := range pathMethods {
		if _, pattern := mux.Handler(&http.Request{Method: method, Host: q.Host, URL: q.URL}); pattern != "/" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		return answer{}, refuse(http.StatusNotFound, "%s is not there; /api/openapi.json lists what is", q.URL.Path)
	}
	q.w.Header().Set("Allow", strings.Join(append(allow, http.MethodOptions), ", "))
	if q.Method == http.MethodOptions {
		return answer{Status: http.StatusNoContent}, nil
	}
	return answer{}, refuse(http.StatusMethodNotAllowed, "%s %s is not there; %s takes %s", q.Method, q.URL.Path, q.URL.Path, strings.Join(allow, ", "))
}
