package health

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/identity"
	"github.com/carillon-sip/carillon/internal/object"
)

// TestDocs: the examples of docs/health.md work, and it has a line on every field and every word.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(doc, -1)
	if len(examples) < 4 {
		t.Errorf("%d examples", len(examples))
	}
	for _, e := range examples {
		set, err := object.Load("health.md", []byte(e[1]))
		if err != nil {
			t.Errorf("%v in\n%s", err, e[1])
			continue
		}
		for i := range set.HealthMonitors {
			if _, err := MonitorFrom(set.HealthMonitors[i], identity.Any); err != nil {
				t.Error(err)
			}
		}
	}
	for _, v := range []any{object.HealthMonitor{}, object.SIPMonitor{}, object.UDPMonitor{}, object.TCPMonitor{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			name := strings.Split(typ.Field(i).Tag.Get("json"), ",")[0]
			if name != "-" && !strings.Contains(doc, "`"+name+"`") {
				t.Errorf("no line on %s", name)
			}
		}
	}
	for _, w := range append(append([]string{}, codeWords[:]...), typeWords[:]...) {
		if !strings.Contains(doc, "`"+w+"`") {
			t.Errorf("no line on %s", w)
		}
	}
}
