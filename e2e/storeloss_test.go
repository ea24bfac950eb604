package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// The store is lost as a whole. Engines go on with what they have, one that is started meanwhile begins with what it
// had last, changes are refused with 503 and words, reads are answered; and when the store is back nobody has to do
// anything.
func TestStoreLost(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no store")
	}
	lab.Require(t, "sipp")
	c := startCluster(t)
	pool := c.apis[0].Named("pool", "servers")["uuid"].(string)
	describe := func(text string) (int, map[string]any, error) {
		return c.apis[0].Try("PATCH", "/api/pool/"+pool, map[string]any{"replace": map[string]any{"description": text}})
	}
	if status, said, err := describe("before"); err != nil || status != 200 {
		t.Fatalf("a change before: %d %v %v", status, said, err)
	}
	c.apis[0].Do("GET", "/api/live?wait=20s", nil)
	lab.Until(t, "the last good configuration is on disk", func() bool { return c.onDisk(t) })
	for _, m := range c.etcd.Members {
		m.Kill()
	}
	lab.Until(t, "a change is refused with 503", func() bool {
		status, said, err := describe("meanwhile")
		return err == nil && status == 503 && strings.Contains(fmt.Sprint(said["error"]), "the store cannot be reached")
	})
	if said := c.apis[0].Named("pool", "servers"); said["description"] != "before" {
		t.Errorf("while the store is away the description reads %v", said["description"])
	}
	c.calls(t, "without the store", 0, 1)
	c.processes[2].Kill()
	c.restart(2)
	c.calls(t, "at an engine that started without the store", 2)

	for i := range c.etcd.Members {
		c.etcd.Revive(i)
	}
	lab.Until(t, "a change is taken again", func() bool {
		status, _, err := describe("after")
		return err == nil && status == 200
	})
	lab.Until(t, "every engine runs it", func() bool {
		said := c.apis[1].Do("GET", "/api/live?wait=5s", nil)
		return said["live"] == true && len(said["engines"].([]any)) == len(c.engines)
	})
	lab.Until(t, "another controller reads it", func() bool { // it may wait some seconds before it looks for the store again
		return c.apis[2].Named("pool", "servers")["description"] == "after"
	})
	c.calls(t, "with the store back", 0, 1, 2)
}

// calls places some calls at engines, each of which must succeed.
func (c *cluster) calls(t *testing.T, when string, engines ...int) {
	t.Helper()
	l := load{calls: 300, rate: 150, hold: 100 * time.Millisecond}
	var callers []*lab.SIPp
	for _, i := range engines {
		c.round++
		callers = append(callers, c.call(fmt.Sprintf("caller-%d", c.round), l, c.engines[i]))
	}
	for n, caller := range callers {
		if tally := caller.Finish(loadLimit); tally.Succeeded != l.calls || tally.Failed != 0 {
			t.Errorf("%s, engine %d: %d of %d calls succeeded\n%s", when, engines[n]+1, tally.Succeeded, l.calls, caller.Errors())
		}
	}
}
