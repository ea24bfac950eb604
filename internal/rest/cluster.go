package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/controller"
)

func (q *request) initialData() (answer, error) {
	return answer{Body: map[string]any{"version": q.s.version(), "setup_failed": false, "user_initial_setup": false, "controller_time": time.Now().UTC().Format(time.RFC3339)}}, nil
}

func (q *request) clusterVersion() (answer, error) { return answer{Body: q.s.version()}, nil }

// clusterStatus is what Avi's clients ask after a failure, without logging in: any answer but 500, 502 and 503 means up.
// A store that is full is up: all can be read, and deleted.
func (q *request) clusterStatus() (answer, error) {
	if err := q.s.c.Trouble(); err != nil {
		return answer{}, refuse(http.StatusServiceUnavailable, "the store cannot be reached: %v", err)
	}
	return answer{Body: q.clusterState()}, nil
}

func (q *request) clusterState() map[string]any {
	out := map[string]any{"state": "CLUSTER_UP_NO_HA", "progress": 100, "up_since": q.s.started.UTC().Format("2006-01-02 15:04:05")}
	if err := q.s.c.Trouble(); err != nil {
		out["state"], out["reason"] = "CLUSTER_DOWN", "the store cannot be reached: "+err.Error()
	} else if err, deletes := q.s.c.Room(q.Context()); err != nil {
		out["reason"] = refused(deletes) + ": " + err.Error()
	}
	return out
}

func (q *request) cluster() (answer, error) {
	nodes := []any{map[string]any{"name": hostname(), "ip": map[string]string{"addr": q.s.host(), "type": "V4"}, "vm_hostname": hostname()}}
	return answer{Body: map[string]any{"uuid": "cluster-carillon", "name": "carillon", "nodes": nodes, "tenant_ref": q.refURL("Tenant", "admin", false),
		"url": "https://" + q.Host + "/api/cluster"}}, nil
}

func (q *request) clusterRuntime() (answer, error) {
	st := q.s.c.StoreStatus(q.Context())
	members := []any{}
	for _, m := range st.Members {
		role, state := "CLUSTER_FOLLOWER", "CLUSTER_ACTIVE"
		if m.Leader {
			role = "CLUSTER_LEADER"
		}
		if !m.Healthy {
			state = "CLUSTER_INACTIVE"
		}
		members = append(members, map[string]any{"name": m.Name, "role": role, "state": state, "up_since": q.s.started.UTC().Format("2006-01-02 15:04:05"), "error": m.Error})
	}
	if len(members) <= 1 {
		members = []any{map[string]any{"name": hostname(), "role": "CLUSTER_LEADER", "state": "CLUSTER_ACTIVE", "up_since": q.s.started.UTC().Format("2006-01-02 15:04:05")}}
	}
	state := q.clusterState()
	if len(st.Members) > 1 {
		state["state"] = "CLUSTER_UP_HA_ACTIVE"
	}
	return answer{Body: map[string]any{"cluster_state": state, "node_states": members, "node_info": map[string]any{"uuid": "cluster-carillon", "version": AviVersion},
		"store": map[string]any{"embedded": st.Embedded, "healthy": st.Healthy, "error": st.Error, "revision": st.Revision, "size_bytes": st.SizeBytes,
			"quota_bytes": st.Quota, "full": st.Full, "free_bytes": st.FreeBytes, "unreadable": q.unreadables(), "fsync_p99_ms": float64(st.Fsync.Microseconds()) / 1000}}}, nil
}

// unreadable is a record of the store that nobody can read.
type unreadable struct {
	Key  string `json:"key"`
	Kind string `json:"kind"`
	UUID string `json:"uuid"`
	Name string `json:"name,omitempty"` // of the object that it was before, which goes on; empty: there is none
	Says string `json:"says"`
	Mend string `json:"mend"` // what to do about it
}

// unreadables are told to who has all tenants. Why each is one stands in the log: the words may quote what is in it.
func (q *request) unreadables() []unreadable {
	out := []unreadable{}
	if !q.who.All() {
		return out
	}
	for _, f := range q.view.Faults {
		u := unreadable{Key: f.Key, Says: cannotRead}
		u.Kind, u.UUID = f.Names()
		path := strings.ToLower(u.Kind)
		u.Mend = "Its log has the reason. If a newer release wrote it, run that one here too. If it is damaged, "
		if r := q.view.Get("", u.UUID); r != nil {
			u.Name = r.Name()
			u.Says += "; what it was before goes on, until all controllers have started anew"
			u.Mend += fmt.Sprintf("any change of %s %q, such as by 'carillon edit %s %s', writes it anew.", u.Kind, u.Name, path, u.Name)
		} else {
			u.Says += "; the object is not there for who asks, and what refers to it cannot be run as it is written"
			u.Mend += fmt.Sprintf("'carillon import' of a backup brings it back, and 'carillon delete %s %s' clears it away.", path, u.UUID)
		}
		out = append(out, u)
	}
	return out
}

// cannotRead is what is said of a record that is a Fault of the view.
const cannotRead = "its record in the store cannot be read: a newer version wrote it, or it is damaged"

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "carillon"
	}
	return name
}

// liveness says that the process answers.
func (q *request) liveness() (answer, error) {
	return answer{Body: map[string]bool{"alive": true}}, nil
}

// readiness says whether changes can be made: it is that of this controller. Engines go on without it, and tell of
// themselves at /readyz of --metrics.
func (q *request) readiness() (answer, error) {
	r := ready{Ready: true, Reads: true, Writes: true, Deletes: true, Revision: q.view.Revision, Engines: len(q.s.c.Engines())}
	if c := q.s.shows; c != nil {
		r.Certificate = c.shown.Load().Leaf.NotAfter.UTC().Format(time.RFC3339)
	}
	if err := q.s.c.Trouble(); err != nil {
		r.lost(err)
	} else if err, deletes := q.s.c.Room(q.Context()); err != nil {
		r.full(err, deletes)
	}
	if r.Ready {
		return answer{Body: r}, nil
	}
	q.w.Header().Set("Retry-After", "1")
	return answer{Status: http.StatusServiceUnavailable, Body: r}, nil
}

// ready is what a controller can do.
type ready struct {
	Ready    bool   `json:"ready"` // everything
	Error    string `json:"error,omitempty"`
	Reads    bool   `json:"reads"`
	Writes   bool   `json:"writes"`
	Deletes  bool   `json:"deletes"`
	Revision int64  `json:"revision"`
	Engines  int    `json:"engines"` // registered

	Certificate string `json:"certificate_until,omitempty"` // when that of the API ends
}

func (r *ready) lost(err error) {
	r.Ready, r.Writes, r.Deletes = false, false, false
	r.Error = "the store cannot be reached; what is read is of the last revision known, and engines go on with it: " + err.Error()
}

func (r *ready) full(err error, deletes bool) {
	r.Ready, r.Writes, r.Deletes = false, false, deletes
	r.Error = refused(deletes) + "; engines go on: " + err.Error()
}

// refused says what a store that is full refuses.
func refused(deletes bool) string {
	if deletes {
		return "changes are refused, but for deletes"
	}
	return "changes are refused, deletes too"
}

func (q *request) whoami() (answer, error) {
	return answer{Body: map[string]any{"user": q.who.User, "role": q.who.Role, "tenant": q.view.TenantName(q.who.Tenant)}}, nil
}

// userAccount is a new password of who asks, and the proof that it is them.
type userAccount struct {
	OldPassword string `json:"old_password"`
	Password    string `json:"password"`
}

// changePassword changes the password of who is logged in, whatever their role. Their other sessions end.
func (q *request) changePassword() (answer, error) {
	body, err := q.json(maxLogin)
	if err != nil {
		return answer{}, err
	}
	var in userAccount
	if err := shape(json.Unmarshal(body, &in), `{"old_password": ..., "password": ...}`); err != nil {
		return answer{}, err
	}
	if err := q.s.c.ChangePassword(q.Context(), q.who, in.OldPassword, in.Password); err != nil {
		return answer{}, err
	}
	return q.whoami()
}

// audit lists changes, the newest first: those of the tenant, unless somebody has all of them.
func (q *request) audit() (answer, error) {
	if !q.who.LooksBack() {
		return answer{}, refuse(http.StatusForbidden, "user %s may not read the audit records", q.who.User)
	}
	size, err := q.number("page_size", defaultPage, 1, MaxPage)
	if err != nil {
		return answer{}, err
	}
	from, err := q.number("from", 0, 0, 1<<62)
	if err != nil {
		return answer{}, err
	}
	tenant, count := "", min(q.view.Changes, controller.AuditKept)
	if !q.who.Everywhere(q.view).LooksBack() {
		tenant = q.who.Tenant
	}
	entries, next, err := q.s.c.Audit(q.Context(), int64(from), size, tenant)
	if err != nil {
		return answer{}, err
	}
	if tenant != "" {
		count = int64(len(entries)) // how many there are of the tenant nobody has counted
	}
	out := auditPage{Count: count, Results: append([]controller.AuditEntry{}, entries...)}
	if next > 0 {
		out.Next = nextFrom(q, next)
	}
	return answer{Body: out}, nil
}

// nextFrom is the address of the next part of a list that goes on at a number.
func nextFrom(q *request, from int64) string {
	v := q.URL.Query()
	v.Set("from", strconv.FormatInt(from, 10))
	return "https://" + q.Host + q.URL.Path + "?" + v.Encode()
}
