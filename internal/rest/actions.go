package rest

import (
	"net/http"

	"github.com/carillon-sip/carillon/internal/controller"
)

// Actions of Avi's that have nothing behind them here. A refusal is 400 and not 501: Avi's clients take a 5xx for a
// controller in trouble, log in again and repeat.

// act finds the object, if the caller may act on it.
func (q *request) act(kind string) error {
	r, err := q.recordOf(kind)
	if err != nil {
		return err
	}
	if q.who.Role != controller.RoleAdmin && q.who.Role != controller.RoleOperator {
		return refuse(http.StatusForbidden, "user %s may not act on %s/%s: its role is %q", q.who.User, kind, r.Name(), string(q.who.Role))
	}
	return nil
}

// done is an action that there is nothing to do for.
func done(kind, words string) handle {
	return func(q *request) (answer, error) {
		if err := q.act(kind); err != nil {
			return answer{}, err
		}
		return answer{Body: map[string]string{"detail": words}}, nil
	}
}

// notHere is an action that cannot be done.
func notHere(kind, words string) handle {
	return func(q *request) (answer, error) {
		if err := q.act(kind); err != nil {
			return answer{}, err
		}
		return answer{}, refuse(http.StatusBadRequest, "that cannot be done: %s", words)
	}
}

const (
	everywhere   = "every engine runs every virtual service"
	noScaleout   = everywhere + "; start another engine, with 'carillon engine --name NAME --store URLS', and lead packets to it"
	noScalein    = everywhere + "; lead packets away from an engine, then stop it: calls go on through the others, by what their messages carry"
	noMigrate    = everywhere + "; to have another one take the calls, move the address to its machine: engines try again by themselves what they could not open"
	noSwitchover = everywhere + ", and none of them is the primary: all take calls; whichever machine has the address gets them"
	noClear      = "counters count since the engine started, and are not cleared; 'clear' in carillon shell shows them from now on"
	noPrimary    = "PATCH the pool group with deactivate_primary_pool_on_down false, and the higher priority takes new calls again; then with true"
	noScaling    = "pools are not scaled by themselves; PATCH the pool with add or delete of servers"
)
