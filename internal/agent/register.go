package agent

import (
	"context"
	"encoding/json"
	"time"

	"github.com/carillon-sip/carillon/internal/report"
)

// tell changes what is registered, and brings in what the engine says of itself.
func (a *Agent) tell(change func(*report.Registration)) {
	faults := a.eng.Faults()
	a.mu.Lock()
	before, err := json.Marshal(a.reg)
	if change != nil {
		change(&a.reg)
	}
	config, wrong := a.reg.Errors["configuration"]
	a.reg.Errors = map[string]string{}
	if wrong {
		a.reg.Errors["configuration"] = config
	}
	for name, text := range a.faults {
		a.reg.Errors[name] = text
	}
	for name, text := range faults {
		a.reg.Errors["VirtualService/"+name] = text
	}
	after, err2 := json.Marshal(a.reg)
	a.mu.Unlock()
	if err == nil && err2 == nil && string(before) == string(after) {
		return
	}
	select {
	case a.told <- struct{}{}:
	default: // register has not taken the last one yet, and will see this too
	}
}

// register keeps the registration in the store.
func (a *Agent) register(ctx context.Context) {
	for ctx.Err() == nil {
		if a.free(ctx) {
			lease, err := a.cfg.Store.Lease(ctx, report.RegistrationPrefix+a.cfg.Name, leaseTTL, a.value())
			if err == nil {
				a.renew(ctx, lease.Put)
				lease.Close()
				return
			}
			a.log.Debug("not registered yet", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// renew writes every change of the registration.
func (a *Agent) renew(ctx context.Context, put func(context.Context, []byte) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.told:
			if err := put(ctx, a.value()); err != nil && ctx.Err() == nil {
				a.log.Debug("the registration is written later", "error", err)
			}
		}
	}
}

// free reports whether no other engine has the name.
func (a *Agent) free(ctx context.Context) bool {
	kv, found, _, err := a.cfg.Store.Get(ctx, report.RegistrationPrefix+a.cfg.Name)
	if err != nil || !found {
		return err == nil
	}
	var other report.Registration
	mine := a.Registration()
	if json.Unmarshal(kv.Value, &other) != nil || other.UUID == mine.UUID {
		return true
	}
	a.log.Error("another engine has this name: give one of its own with --name", "name", a.cfg.Name, "host", other.Host, "pid", other.PID)
	return false
}

func (a *Agent) value() []byte {
	r := a.Registration()
	b, err := json.Marshal(r)
	if err != nil {
		panic("agent: a registration is no JSON: " + err.Error())
	}
	return b
}
