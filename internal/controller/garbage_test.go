package controller

import (
	"fmt"
	"testing"

	"github.com/carillon-sip/carillon/internal/alloctest"
	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/object"
)

// TestGarbageOfAChange holds that of a change little is thrown away, however much there is: 160 KB of one of 500 pools with 20
// servers, with what etcd makes of it. Collecting it is what the message path waits for.
func TestGarbageOfAChange(t *testing.T) {
	const pools, bound = 500, 300 << 10
	c := start(t)
	var ops []Op
	for i := range pools {
		list := ""
		for j := range 20 {
			list += fmt.Sprintf(`,"10.%d.%d.%d:5060"`, i/250, i%250, j+1)
		}
		ops = append(ops, create("Pool", `{"name":"p%d","servers":[%s]}`, i, list[1:]))
	}
	do(t, c, ops...)
	uuid := c.View().Named("Pool", catalog.AdminTenant, "p77").UUID()
	n := 0
	change := func() {
		verb := []string{"add", "delete"}[n%2]
		do(t, c, Op{Verb: Patch, Kind: "Pool", UUID: uuid, Body: fmt.Appendf(nil, `{%q: {"servers": ["127.99.0.1:5060"]}}`, verb)})
		n++
	}
	if got := alloctest.BytesPerRun(40, change); got > bound {
		t.Errorf("a change of a pool allocates %.0f octets, at most %d are right", got, bound)
	}
	o := object.JSONOptions{MapRef: func(r object.Ref) string { return "https://host/api/x/" + r.Value }}
	r := c.View().Get("Pool", uuid)
	if got := alloctest.BytesPerRun(100, func() { r.Object.JSON(o) }); got > 16<<10 {
		t.Errorf("writing a pool allocates %.0f octets", got)
	}
}
