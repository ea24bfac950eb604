package engine

import (
	"time"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// suspect has the monitors look at a server at once. Never blocks.
func (e *Engine) suspect(sv *snapshot.Server) {
	if sv.Index >= 0 {
		e.health.Kick(sv.Pool.ID, sv.Addr)
	}
}

// askBackoff asks the control loop to leave a server alone. Never blocks: one
// request too many is forgotten, the next 503 brings another.
func (e *Engine) askBackoff(v *proxy.Verdict) {
	select {
	case e.backoff <- backoff{v.Server, time.Now().Add(time.Duration(v.BackoffS) * time.Second)}:
	default:
	}
}
