package eyes

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
)

// controller looks at the controller that is asked: whether changes can be made, and how long its certificate is good.
func (d *doctor) controller(ctx context.Context) error {
	var r struct {
		Until string `json:"certificate_until"`
	}
	err := d.e.ask(ctx, "GET", "/api/carillon/readiness", nil, &r)
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable:
		d.note("bad", "controller", mendStore(refused.Msg), "%s", refused.Msg)
		return nil
	case err != nil:
		return err
	}
	d.ok("controller", "takes changes")
	if until, err := time.Parse(time.RFC3339, r.Until); err == nil {
		d.judgeAPI(until, time.Now())
	}
	return nil
}

func mendStore(said string) string {
	if strings.Contains(said, "delete objects") || strings.Contains(said, "defrag") {
		return "'carillon store status' tells how much room there is, and docs/store.md how to make some."
	}
	return "See that the store runs and can be reached."
}

// judgeAPI looks at the end of the certificate of the API.
func (d *doctor) judgeAPI(until, now time.Time) {
	const name, mend = "certificate of the API", "Put another one into the files of --api-cert and --api-key: it is taken without a restart."
	says, left := "is good until "+until.UTC().Format(time.DateTime), until.Sub(now)
	switch {
	case left < 0:
		d.note("bad", name, mend, "%s: it ended %d days ago", says, int(-left/(24*time.Hour)))
	case left < soon/2: // one that was made here is made anew before
		d.note("warn", name, mend, "%s: %d days are left", says, int(left/(24*time.Hour)))
	default:
		d.ok(name, "%s: %d days are left", says, int(left/(24*time.Hour)))
	}
}
