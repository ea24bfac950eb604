package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/demo/ua"
)

// print writes a line a second, and each event as it happens, until ctx ends.
func (f *farm) print(ctx context.Context) error {
	out := f.opts.Out
	at := reachable(f.listen)
	_, err := fmt.Fprintf(out, "balancer at udp %v; %s, %s, %s calls/s; seed %d\n"+
		"softphone: register sip:1001@%v with user 1001, password %s; then call 1002 or echo\n",
		f.listen, count(len(f.servers), "server"), count(f.opts.Callers, "phone"), trim(f.opts.Rate), f.opts.Seed, at, ua.Password)
	if err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var told printed
	f.eachReading(writing, refresh, func(fr frame) {
		if err != nil {
			return
		}
		if text := told.next(fr); text != "" {
			if _, err = fmt.Fprint(out, text); err != nil {
				stop() // nobody reads any more
			}
		}
	})
	return err
}

// printed is how much of the demonstration has been written.
type printed struct {
	second int    // of the last line; 0: none
	stamp  uint64 // of the last event
}

// next writes what is new in a frame: events at once, the numbers once a second.
func (p *printed) next(f frame) string {
	var b strings.Builder
	last := p.stamp
	for _, e := range f.events {
		if e.stamp > p.stamp {
			fmt.Fprintf(&b, "%s  * %s\n", clock(e.last), e.text)
			last = max(last, e.stamp)
		}
	}
	p.stamp = last
	if second := int(f.now / time.Second); second > p.second {
		p.second = second
		b.WriteString(line(f))
	}
	return b.String()
}

// line is all numbers of a frame in one line.
func line(f frame) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s calls/s  %d up  placed %d", clock(f.now), trim(f.placing), f.totals.Up, f.totals.Placed)
	for _, o := range []ua.Outcome{ua.Completed, ua.HungUp, ua.Cancelled, ua.Busy, ua.Failed, ua.Lost} {
		fmt.Fprintf(&b, "  %s %d", o, f.totals.Of(o))
	}
	for i := range f.rows {
		r := &f.rows[i]
		fmt.Fprintf(&b, "  | %s %s %.1f%% %d up %s/s %s/%s ms",
			r.name, r.State, 100*r.HashShare, r.calls, trim(r.callRate), millis(r.p50), millis(r.p99))
	}
	b.WriteByte('\n')
	return b.String()
}

// summary is what is left to read when the demonstration is over.
func summary(f frame) string {
	var b strings.Builder
	t := &f.totals
	fmt.Fprintf(&b, "\n%s of %s placed in %s:", count(int(t.Placed), "call"), count(f.phones, "phone"), clock(f.now))
	sep := " "
	for o := ua.Completed; o <= ua.Aborted; o++ {
		if n := t.Of(o); n > 0 {
			fmt.Fprintf(&b, "%s%d %s", sep, n, o)
			sep = ", "
		}
	}
	fmt.Fprintf(&b, "%s%d left their server\n", sep, t.Strayed)
	fmt.Fprintf(&b, "180 after %s, 200 after %s (median/p99 of the last calls); %d registrations\n",
		times(t.Ringing), times(t.Setup), t.Registered)
	for i := range f.rows {
		fmt.Fprintf(&b, "%s took %s\n", f.rows[i].name, count(int(t.AnsweredBy[f.rows[i].name]), "call"))
	}
	return b.String()
}
