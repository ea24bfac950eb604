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
		return answer{}, refuse(http.StatusBadRequest, "not implemented: %s", words)
	}
}

const (
	everywhere = "every engine runs every virtual service; start or stop an engine instead"
	noClear    = "counters count since the engine started, and are not cleared"
	noScaling  = "pools are not scaled by themselves; PATCH the pool with add or delete of servers"
)
