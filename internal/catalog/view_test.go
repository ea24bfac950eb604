package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/object"
)

// record makes one of an object in JSON.
func record(t rapid.TB, kind, tenant, text string) *Record {
	t.Helper()
	o, err := object.Decode(kind, []byte(text))
	if err != nil {
		t.Fatal(kind, text, err)
	}
	return NewRecord(o, tenant, 1, 1)
}

// drawRecord draws an object with few names, few uuids and few things to refer to, so that they meet.
func drawRecord(t *rapid.T) *Record {
	few := rapid.IntRange(0, 3)
	kind := rapid.SampledFrom([]string{"Pool", "Pool", "Pool", "HealthMonitor", "VirtualService", "VirtualService", "VsVip", "PoolGroup", "Tenant"}).Draw(t, "kind")
	name, uuid := few.Draw(t, "name"), few.Draw(t, "uuid")
	tenant := rapid.SampledFrom([]string{AdminTenant, "tenant-0"}).Draw(t, "tenant")
	n, m := few.Draw(t, "n"), few.Draw(t, "m")
	id := fmt.Sprintf(`"name":"n%d","uuid":"%s-%d"`, name, strings.ToLower(kind), uuid)
	switch kind {
	case "Pool":
		algorithm := rapid.SampledFrom([]string{"LB_ALGORITHM_ROUND_ROBIN", "LB_ALGORITHM_CORE_AFFINITY"}).Draw(t, "algorithm")
		return record(t, kind, tenant, fmt.Sprintf(`{%s,"lb_algorithm":"%s","servers":["10.0.0.%d:%d"],"health_monitor_refs":["healthmonitor-%d"]}`, id, algorithm, n, 5060+m, m))
	case "HealthMonitor":
		monitor := rapid.SampledFrom([]string{"sip", "ping", "HEALTH_MONITOR_DNS"}).Draw(t, "type")
		return record(t, kind, tenant, fmt.Sprintf(`{%s,"type":"%s"}`, id, monitor))
	case "VirtualService":
		to := fmt.Sprintf(`"pool_ref":"pool-%d"`, m)
		if rapid.Bool().Draw(t, "group") {
			to = fmt.Sprintf(`"pool_group_ref":"poolgroup-%d"`, m)
		}
		return record(t, kind, tenant, fmt.Sprintf(`{%s,"services":[%d],"vsvip_ref":"vsvip-%d",%s,"description":"%d"}`, id, 5060+n, n, to, m))
	case "VsVip":
		return record(t, kind, tenant, fmt.Sprintf(`{%s,"vip":["10.0.0.%d"]}`, id, n))
	case "PoolGroup":
		return record(t, kind, tenant, fmt.Sprintf(`{%s,"members":[{"pool_ref":"pool-%d"},{"pool_ref":"pool-%d"}]}`, id, n, (n+1+m)%5))
	}
	return record(t, kind, AdminTenant, fmt.Sprintf(`{%s}`, id))
}

// TestViewsAreWhatTheyWouldBeFromNothing changes a view again and again. Whatever was shared on the way, each view is what
// it would be if it were made at once, and what is called harmless is.
func TestViewsAreWhatTheyWouldBeFromNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Empty()
		harmless := 0
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			var changes []Change
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				r := drawRecord(t)
				if rapid.IntRange(0, 5).Draw(t, "gone") == 0 {
					changes = append(changes, Change{Gone: r.UUID()})
				} else {
					changes = append(changes, Change{Put: r})
				}
			}
			before := v
			v = v.With(changes...)
			if rapid.Bool().Draw(t, "asked") {
				v.Set()
			}
			compare(t, v)
			if v.Harmless(before) {
				harmless++
				noMore(t, before, v)
			}
		}
	})
}

// compare compares a view with one made at once of its records.
func compare(t *rapid.T, v *View) {
	var all []Change
	v.All(func(r *Record) bool {
		all = append(all, Change{Put: r})
		return true
	})
	whole := Empty().With(rapid.Permutation(all).Draw(t, "order")...)
	// asked as others would ask: it may be made from one before, and this is another view
	same := v.same()
	if got, want := string(same.Set().JSON(object.Full)), string(whole.Set().JSON(object.Full)); got != want {
		t.Fatalf("the set is\n%s\nand not\n%s", got, want)
	}
	if v.Len() != len(all) || v.Len() != whole.Len() {
		t.Fatalf("%d objects, listed %d", v.Len(), len(all))
	}
	for _, c := range all {
		r := c.Put
		if v.Get(r.Kind(), r.UUID()) != r {
			t.Fatalf("%s is not found", r.Key())
		}
		if n := v.Named(r.Kind(), r.Tenant, r.Name()); n == nil || n.Name() != r.Name() || n.Tenant != r.Tenant {
			t.Fatalf("%s is not found by its name", r.Key())
		}
		for _, uuid := range append([]string{r.UUID()}, refsOf(r)...) {
			if got, want := v.Referrers(uuid), whole.Referrers(uuid); !slices.Equal(got, want) || len(got) != countReferrers(v, uuid) {
				t.Fatalf("%s is referred to by %d, %d", uuid, len(got), len(want))
			}
		}
	}
}

func refsOf(r *Record) (out []string) {
	for _, ref := range r.Refs() {
		out = append(out, ref.Value)
	}
	return out
}

func countReferrers(v *View, uuid string) (n int) {
	v.All(func(r *Record) bool {
		if slices.Contains(refsOf(r), uuid) {
			n++
		}
		return true
	})
	return n
}

// noMore holds that a view has no fault that the one before has not.
func noMore(t *rapid.T, before, v *View) {
	faults := func(v *View) (out []string) {
		if err := v.same().Set().ValidateTogether(); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				line, _, _ = strings.Cut(line, "; there ")
				out = append(out, line)
			}
		}
		return out
	}
	known := faults(before)
	for _, f := range faults(v) {
		if !slices.Contains(known, f) {
			t.Fatalf("called harmless, and brings: %s", f)
		}
	}
}
