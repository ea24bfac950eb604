package eyes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// What is said of the store: that it serves, that it is nearly full, that a member is away, and each record that nobody can read.
func TestJudgeStore(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"well", `{"store":{"healthy":true,"size_bytes":3145728,"quota_bytes":536870912,"unreadable":[]}}`, "ok store: it serves, and has 3 MiB of the 512 that it may have"},
		{"of a cluster", `{"store":{"healthy":true,"size_bytes":3145728}}`, "ok store: it serves, and has 3 MiB"},
		{"nearly full", `{"store":{"healthy":true,"size_bytes":500000000,"quota_bytes":536870912}}`, "warn store: it has 476 MiB of the 512 that it may have"},
		{"full", `{"cluster_state":{"reason":"changes are refused, but for deletes: it is full"},"store":{"healthy":true}}`, "bad store: changes are refused, but for deletes: it is full"},
		{"lost", `{"store":{"healthy":false,"error":"no leader"}}`, "bad store: it does not serve: no leader"},
		{"a member", `{"store":{"healthy":true},"node_states":[{"name":"b","state":"CLUSTER_INACTIVE","error":"refused"}]}`, "ok store: it serves, and has 0 MiB|warn store: member b does not answer: refused"},
		{"records", `{"store":{"healthy":true,"unreadable":[{"kind":"Pool","uuid":"pool-1","name":"edge","says":"cannot be read","mend":"Write it."},{"kind":"Pool","uuid":"pool-2","says":"cannot be read","mend":"Delete it."}]}}`,
			"ok store: it serves, and has 0 MiB|bad store: Pool/edge: cannot be read -> Write it.|bad store: Pool/pool-2: cannot be read -> Delete it."},
	} {
		var s clusterState
		if err := json.Unmarshal([]byte(c.answer), &s); err != nil {
			t.Fatal(err)
		}
		d := &doctor{}
		d.judgeStore(&s)
		var got []string
		for _, f := range d.found {
			if f.State != "ok" && f.Mend == "" {
				t.Errorf("%s: nothing is said of what to do", c.name)
			}
			text := fmt.Sprintf("%s %s: %s", f.State, f.Name, f.Says)
			if c.name == "records" && f.Mend != "" {
				text += " -> " + f.Mend
			}
			got = append(got, text)
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, text, c.want)
		}
	}
}
