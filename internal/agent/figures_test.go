package agent

import (
	"testing"

	"github.com/carillon-sip/carillon/internal/report"
)

// The figures that there are are those that are described, of the kind that is said.
func TestFiguresAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for of, figures := range map[string][]figure{report.OfService: serviceFigures, report.OfPool: serverFigures} {
		for _, f := range figures {
			seen[f.id] = true
			m, ok := report.FindMetric(f.id)
			if perServer := of == report.OfPool && f.lines[len(f.lines)-1] < numServer; !ok || m.Of != of || m.Server != perServer {
				t.Errorf("%s: described as %+v", f.id, m)
			}
		}
	}
	for _, m := range report.MetricIDs {
		if !seen[m.ID] {
			t.Errorf("%s is described, and there is none", m.ID)
		}
	}
}
