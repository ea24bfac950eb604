package shell

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/view"
)

// Counters of engines count since an engine started, for everybody: Prometheus, other users, the history of figures.
// clear remembers where they stand, and this shell shows what came since.

// zero is where a view stood when it was cleared.
type zero struct {
	at   time.Time
	node *view.Node
}

// counters are the members of runtime views that only ever grow. Of a mapping of that name all members count.
var counters = []string{
	"rx_packets", "tx_packets", "rx_pkts", "tx_pkts", "rx_msgs", "tx_msgs", "rx_bytes", "tx_bytes", "rx_dropped", "transactions_full", "calls_full",
	"accepted", "opened", "handshakes", "resumed", "closed", "requests", "responses", "answers", "reasons", "faults", "messages", "malformed",
	"failovers", "retries_refused", "full", "total_checks", "total_failed_checks", "count", "sum_us",
}

// identity are the members that tell items of a list apart.
var identity = []string{"se_name", "engine", "address", "server_name", "health_monitor_name", "name", "vip_id", "type"}

// clear has counters of an object shown from now on.
func (s *Shell) clear(ctx context.Context, words []string, _ []byte) error {
	k, n, err := s.target(ctx, "clear", []string{"Pool", "VirtualService"}, words)
	if err != nil {
		return err
	}
	if len(words) > 2 {
		return unknown("word", words[2], []string{"pool", "virtualservice"})
	}
	if s.zeros == nil {
		s.zeros = map[string]zero{}
	}
	now := time.Now()
	for _, w := range whats[k.Name] {
		path := "/api/" + k.Path + "/" + n.Get("uuid").String() + "/" + w.path
		data, err := s.c.Do(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		if node, err := view.Parse(data); err == nil {
			s.zeros[path] = zero{now, node}
		}
	}
	s.say("This shell shows counters of %s %s from now on. For others, and in /metrics, they go on.", k.Path, words[1])
	return nil
}

// since takes from a view what was there when it was cleared.
func (s *Shell) since(path string, now *view.Node) *view.Node {
	z, cleared := s.zeros[path]
	if !cleared {
		return now
	}
	out := now.Clone()
	if subtract(out, z.node, false) && s.term.mode != "script" {
		s.say("Counters since %s, when they were cleared; states and times of response are as ever.", z.at.In(s.term.location).Format(time.TimeOnly))
	}
	return out
}

// subtract takes the counters of before from those of now, and reports whether there are any. What is less than before
// stays as it is: its engine has started anew.
func subtract(now, before *view.Node, counts bool) bool {
	if before == nil || now.Type != before.Type {
		return false
	}
	any := false
	switch now.Type {
	case view.Number:
		a, errA := strconv.ParseUint(now.Text, 10, 64)
		b, errB := strconv.ParseUint(before.Text, 10, 64)
		if counts && errA == nil && errB == nil && a >= b {
			now.Text = strconv.FormatUint(a-b, 10)
		}
		return counts
	case view.Object:
		for i, name := range now.Names {
			any = subtract(now.Items[i], before.Get(name), counts || slices.Contains(counters, name)) || any
		}
	case view.List:
		for _, item := range now.Items {
			i := slices.IndexFunc(before.Items, func(b *view.Node) bool { return key(b) == key(item) })
			if i >= 0 {
				any = subtract(item, before.Items[i], counts) || any
			}
		}
	}
	return any
}

func key(n *view.Node) string {
	var parts []string
	for _, name := range identity {
		parts = append(parts, n.Get(name).String())
	}
	return strings.Join(parts, "\x00")
}
