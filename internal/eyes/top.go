package eyes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/carillon-sip/carillon/internal/report"
)

// TopOptions are what is shown at first, and how.
type TopOptions struct {
	View, Sort, Filter string
	Plain              bool
	Times              int
	Every              time.Duration
}

var topViews = []string{"servers", "services", "methods", "codes"}

// Check refuses a view or a column that there is not.
func (o *TopOptions) Check() error {
	if !slices.Contains(topViews, o.View) {
		return fmt.Errorf("--view %q: must be one of %s", o.View, strings.Join(topViews, ", "))
	}
	t := table(o.View, &sample{}, &sample{})
	if o.Sort != "" && t.column(o.Sort) < 0 {
		return fmt.Errorf("--sort %q: the view %s has %s", o.Sort, o.View, strings.Join(t.heads(), ", "))
	}
	return nil
}

// sample is what the engines told at one moment.
type sample struct {
	at time.Time
	report.Engine
}

// cell is one place of a table: a text, and what it is sorted by.
type cell struct {
	text  string
	value float64
	word  bool // sorted by text
}

// grid is a table of top.
type grid struct {
	head []string
	rows [][]cell
}

func (g *grid) heads() []string { return g.head }

func (g *grid) column(name string) int {
	return slices.IndexFunc(g.head, func(h string) bool { return strings.EqualFold(h, name) })
}

// arrange filters and sorts: words from a, numbers the largest first.
func (g *grid) arrange(by, filter string, reverse bool) {
	filter = strings.ToLower(filter)
	g.rows = slices.DeleteFunc(g.rows, func(r []cell) bool {
		return filter != "" && !slices.ContainsFunc(r, func(c cell) bool { return strings.Contains(strings.ToLower(c.text), filter) })
	})
	i := max(0, g.column(by))
	slices.SortStableFunc(g.rows, func(a, b []cell) int {
		n := strings.Compare(a[i].text, b[i].text)
		if !a[i].word {
			switch {
			case a[i].value > b[i].value:
				n = -1
			case a[i].value < b[i].value:
				n = 1
			default:
				n = 0
			}
		}
		if reverse {
			return -n
		}
		return n
	})
}

func (g *grid) texts() [][]string {
	out := make([][]string, 0, len(g.rows))
	for _, r := range g.rows {
		var line []string
		for _, c := range r {
			line = append(line, c.text)
		}
		out = append(out, line)
	}
	return out
}

func text(s string) cell { return cell{text: clean(s), word: true} }

func number[T int | int64 | uint64](n T) cell {
	return cell{text: strconv.FormatInt(int64(n), 10), value: float64(n)}
}

// rate is how fast a counter goes, a second.
func rate(was, is uint64, s float64) cell {
	if is < was || s <= 0 { // an engine has started anew, or nothing is known yet
		return cell{text: "-"}
	}
	r := float64(is-was) / s
	return cell{text: short(r), value: r}
}

// persecond is a rate in a sentence, where a dot would be none.
func persecond(was, is uint64, s float64) string {
	if t := rate(was, is, s).text; t != "." {
		return t
	}
	return "0"
}

// short writes a rate so that it does not jump about.
func short(r float64) string {
	switch {
	case r == 0:
		return "."
	case r < 10:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

func millis(us float64) cell {
	if us <= 0 {
		return cell{text: "-"}
	}
	return cell{text: fmt.Sprintf("%.1f", us/1000), value: us}
}

// meanNow is the mean response time since the sample before.
func meanNow(was, is *report.Latency) cell {
	if is.Count <= was.Count || is.SumUS < was.SumUS {
		return cell{text: "-"}
	}
	return millis(float64(is.SumUS-was.SumUS) / float64(is.Count-was.Count))
}

func share(x float64) cell { return cell{text: percent(x), value: x} }

// class sums up the codes of a class.
func class(c report.Counts[int], of int) uint64 {
	var n uint64
	for code, k := range c {
		if code == of || code/100 == of {
			n += k
		}
	}
	return n
}

// table makes the table of a view of two samples.
func table(view string, was, is *sample) *grid {
	s := is.at.Sub(was.at).Seconds()
	switch view {
	case "services":
		return serviceTable(was, is, s)
	case "methods":
		return countTable([]string{"Virtual service", "Method", "req/s", "total"}, was, is, s, func(v *report.Service) map[string]uint64 { return v.Requests })
	case "codes":
		return countTable([]string{"Virtual service", "Code", "resp/s", "total"}, was, is, s, codesOf)
	}
	return serverTable(was, is, s)
}

func codesOf(v *report.Service) map[string]uint64 {
	out := map[string]uint64{}
	put := func(code int, n uint64, own string) {
		name := strconv.Itoa(code)
		if code < 10 {
			name += "xx, others"
		}
		out[name+own] += n
	}
	for code, n := range v.Responses {
		put(code, n, "")
	}
	for code, n := range v.Answers {
		put(code, n, " of the balancer")
	}
	return out
}

func serverTable(was, is *sample, s float64) *grid {
	g := &grid{head: []string{"Server", "Pool", "State", "Share", "Calls", "Open", "req/s", "INVITE", "2xx", "4xx", "5xx", "ms", "p50", "p99", "Moved", "Until"}}
	before := map[string]*report.Server{}
	for i := range was.Pools {
		for j := range was.Pools[i].Servers {
			before[was.Pools[i].Name+" "+was.Pools[i].Servers[j].Addr.String()] = &was.Pools[i].Servers[j]
		}
	}
	for i := range is.Pools {
		p := &is.Pools[i]
		for j := range p.Servers {
			v := &p.Servers[j]
			o := before[p.Name+" "+v.Addr.String()]
			if o == nil {
				o = &report.Server{}
			}
			until := cell{text: ""}
			if !v.DrainUntil.IsZero() {
				left := max(0, v.DrainUntil.Sub(is.at).Seconds())
				until = cell{text: seconds(left), value: left}
			}
			g.rows = append(g.rows, []cell{text(v.Name), text(p.Name), text(v.State), share(v.HashShare), number(v.Calls), number(v.OpenTransactions),
				rate(o.Requests.Total(), v.Requests.Total(), s), rate(o.Requests["INVITE"], v.Requests["INVITE"], s),
				rate(class(o.Responses, 2), class(v.Responses, 2), s), rate(class(o.Responses, 4), class(v.Responses, 4), s), rate(class(o.Responses, 5), class(v.Responses, 5), s),
				meanNow(&o.Latency, &v.Latency), millis(float64(v.Latency.P50US)), millis(float64(v.Latency.P99US)), number(v.Failovers), until})
		}
	}
	return g
}

func serviceTable(was, is *sample, s float64) *grid {
	g := &grid{head: []string{"Virtual service", "State", "Pool", "Calls", "Open", "req/s", "2xx", "3xx", "4xx", "5xx", "6xx", "own", "dropped", "ms", "p50", "p99"}}
	before := map[string]*report.Service{}
	for i := range was.Services {
		before[was.Services[i].Name] = &was.Services[i]
	}
	for i := range is.Services {
		v := &is.Services[i]
		o := before[v.Name]
		if o == nil {
			o = &report.Service{}
		}
		row := []cell{text(v.Name), text(strings.ToLower(strings.TrimPrefix(v.Oper.State, "OPER_"))), text(v.Pool), number(v.Calls), number(v.Transactions),
			rate(o.Requests.Total(), v.Requests.Total(), s)}
		for c := 2; c <= 6; c++ {
			row = append(row, rate(class(o.Responses, c), class(v.Responses, c), s))
		}
		row = append(row, rate(o.Answers.Total(), v.Answers.Total(), s), rate(dropped(o), dropped(v), s),
			meanNow(&o.Latency, &v.Latency), millis(float64(v.Latency.P50US)), millis(float64(v.Latency.P99US)))
		g.rows = append(g.rows, row)
	}
	return g
}

// dropped is messages that came to nothing.
func dropped(v *report.Service) uint64 {
	all := v.Requests.Total() + v.Responses.Total() + v.Answers.Total() + v.Reasons["keep_alive"] + v.Reasons["stun_answered"] + v.Reasons["ack_of_refusal"]
	return max(v.Reasons.Total(), all) - all
}

func countTable(head []string, was, is *sample, s float64, of func(*report.Service) map[string]uint64) *grid {
	g := &grid{head: head}
	before := map[string]map[string]uint64{}
	for i := range was.Services {
		before[was.Services[i].Name] = of(&was.Services[i])
	}
	for i := range is.Services {
		v := &is.Services[i]
		counts := of(v)
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			g.rows = append(g.rows, []cell{text(v.Name), text(name), rate(before[v.Name][name], counts[name], s), number(counts[name])})
		}
	}
	return g
}

// look asks the engines.
func (e *Eyes) look(ctx context.Context) (*sample, error) {
	s := &sample{}
	if err := e.get(ctx, "/api/report", &s.Engine); err != nil {
		return nil, err
	}
	if s.at = s.At; s.at.IsZero() {
		s.at = time.Now()
	}
	return s, nil
}

// Top shows how things are, again and again.
func (e *Eyes) Top(ctx context.Context, o TopOptions) error {
	if o.Plain || !e.Screen.Terminal {
		return e.topPlain(ctx, o)
	}
	first, err := e.look(ctx)
	if err != nil {
		return err
	}
	m := topModel{o: o, was: first, is: first, by: o.Sort}
	p := tea.NewProgram(m, tea.WithContext(ctx))
	feeding, cancel := context.WithCancel(ctx)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for wait(feeding, o.Every) {
			s, err := e.look(feeding)
			if feeding.Err() == nil {
				p.Send(topSample{s, err})
			}
		}
	}()
	_, err = p.Run()
	cancel()
	<-fed
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// topPlain writes one table after the other.
func (e *Eyes) topPlain(ctx context.Context, o TopOptions) error {
	was, err := e.look(ctx)
	if err != nil {
		return err
	}
	for n := 0; (o.Times == 0 || n < o.Times) && wait(ctx, o.Every); n++ {
		is, err := e.look(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		g := table(o.View, was, is)
		g.arrange(o.Sort, o.Filter, false)
		if n > 0 {
			e.say("")
		}
		e.say("%s", e.Screen.Wrap(is.at.Local().Format("15:04:05")+"  "+summary(was, is), 10))
		e.Screen.Table(g.head, g.texts())
		was = is
	}
	return nil
}

// summary is all of it in a line.
func summary(was, is *sample) string {
	var before, now, own, ownBefore uint64
	for i := range was.Services {
		before += was.Services[i].Requests.Total()
		ownBefore += was.Services[i].Answers.Total()
	}
	up, servers := 0, 0
	for i := range is.Services {
		now += is.Services[i].Requests.Total()
		own += is.Services[i].Answers.Total()
	}
	for i := range is.Pools {
		up, servers = up+is.Pools[i].Up, servers+is.Pools[i].Total
	}
	s := is.at.Sub(was.at).Seconds()
	out := fmt.Sprintf("%s, %d of %s up, %s, %s open, %s requests/s, %s/s answered by the balancer", plural(len(is.Engines), "engine"), up, plural(servers, "server"),
		plural(is.Calls, "call"), plural(is.Transactions, "transaction"), persecond(before, now, s), persecond(ownBefore, own, s))
	if len(is.Errors) > 0 {
		out += ", " + plural(len(is.Errors), "engine") + " silent"
	}
	return out
}
