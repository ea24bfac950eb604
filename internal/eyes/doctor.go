package eyes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/view"
)

// DoctorOptions are what is looked at.
type DoctorOptions struct {
	Service string
	User    string // of the To that is registered
	NoProbe bool
	JSON    bool
}

// Finding is one thing that was looked at.
type Finding struct {
	State string `json:"state"` // ok, warn, bad, skipped
	Name  string `json:"name"`
	Says  string `json:"says"`
	Mend  string `json:"mend,omitempty"` // what to do about it
}

// doctor collects findings.
type doctor struct {
	e     *Eyes
	o     DoctorOptions
	found []Finding
	// What all looks share: where engines run, by name, and the fqdn of virtual services, likewise.
	places map[string]site
	fqdns  map[string]string
}

func (d *doctor) ok(name, format string, args ...any) { d.note("ok", name, "", format, args...) }

func (d *doctor) note(state, name, mend, format string, args ...any) {
	d.found = append(d.found, Finding{state, name, clean(fmt.Sprintf(format, args...)), mend})
}

// Doctor looks at everything, and says what is wrong and how to mend it. ErrNotDone: something is.
func (e *Eyes) Doctor(ctx context.Context, o DoctorOptions) error {
	d := &doctor{e: e, o: o}
	s, err := e.look(ctx)
	if err != nil {
		return err
	}
	if err := d.controller(ctx); err != nil {
		return err
	}
	if err := d.engines(ctx, s); err != nil {
		return err
	}
	if err := d.stored(ctx); err != nil {
		return err
	}
	list, err := e.Client.List(ctx, "virtualservice", map[string][]string{"include_name": {"true"}})
	if err != nil {
		return err
	}
	vips, err := e.Client.List(ctx, "vsvip", nil)
	if err != nil {
		return err
	}
	d.named(ctx, list, vips)
	for i := range s.Services {
		v := &s.Services[i]
		if !d.wants(v) {
			continue
		}
		d.service(v)
		d.advertised(v)
		if !o.NoProbe {
			d.probes(ctx, v)
		}
	}
	d.configured(s, list)
	d.servers(s)
	d.machine(s)
	if o.JSON {
		if err := e.json(d.found); err != nil {
			return err
		}
	} else {
		d.print()
	}
	if bad := d.count("bad"); bad > 0 {
		return fmt.Errorf("%w: %s wrong", ErrNotDone, plural(bad, "finding"))
	}
	return nil
}

func (d *doctor) count(state string) int {
	n := 0
	for _, f := range d.found {
		if f.State == state {
			n++
		}
	}
	return n
}

func (d *doctor) print() {
	colours := map[string]string{"ok": "green", "warn": "yellow", "bad": "red", "skipped": "faint"}
	for _, f := range d.found {
		const indent = 9
		state := d.e.Screen.Paint(colours[f.State], f.State) + strings.Repeat(" ", indent-len(f.State))
		d.e.say("%s", state+d.e.Screen.Indented(f.Name+": "+f.Says, indent))
		if f.Mend != "" {
			d.e.say("%s", strings.Repeat(" ", indent)+d.e.Screen.Indented(f.Mend, indent))
		}
	}
	d.e.say("\n%s looked at: %d fine, %d to think about, %d wrong, %d not looked at.", plural(len(d.found), "thing"), d.count("ok"), d.count("warn"), d.count("bad"), d.count("skipped"))
}

// service looks at listeners.
func (d *doctor) service(v *report.Service) {
	name := "virtual service " + v.Name
	switch v.Oper.State {
	case report.Up:
		d.ok(name, "takes calls")
	case report.Disabled:
		d.note("warn", name, "'carillon enable virtualservice/"+v.Name+"' has it take calls.", "is disabled: %s", strings.Join(v.Oper.Reason, "; "))
	default:
		d.note("bad", name, mendService(v), "%s: %s", strings.ToLower(v.Oper.State), strings.Join(v.Oper.Reason, "; "))
	}
	if len(v.Listeners) == 0 {
		d.note("bad", name, "The address must be one of this machine and its port free: 'ip addr', 'ss -lntup'.", "has no sockets")
	}
	for _, l := range v.Listeners {
		if l.RxDropped > 0 {
			d.note("warn", name, "Raise net.core.rmem_max, give it more workers, or another engine.", "%s: the kernel has dropped %d datagrams since the engine started, for a full receive buffer", l.Addr, l.RxDropped)
		}
	}
	if len(v.Listeners) > 0 {
		if v.CallsFull > 0 || v.TransactionsFull > 0 {
			d.note("warn", name, "Raise max_calls or max_transactions in its application profile.", "a table was full %d times", v.CallsFull+v.TransactionsFull)
		}
	}
}

func mendService(v *report.Service) string {
	said := strings.Join(v.Oper.Reason, " ")
	switch {
	case strings.Contains(said, "min_servers_up"), strings.Contains(said, "no server"):
		return "'carillon shell -c \"show pool " + v.Pool + " server hmonstat\"' tells why monitors say that servers are down."
	case strings.Contains(said, "in use"), strings.Contains(said, "is taken"):
		return "Another program has the port: 'ss -lntup' tells which."
	case strings.Contains(said, "assign"):
		return "The address is not one of the engine's machine: 'ip addr add', or another VIP."
	}
	return "'carillon describe virtualservice " + v.Name + "' tells more."
}

// configured looks for services that no engine runs.
func (d *doctor) configured(s *sample, list []json.RawMessage) {
	running := map[string]bool{}
	for i := range s.Services {
		running[s.Services[i].Name] = true
	}
	for _, data := range list {
		n, err := view.Parse(data)
		if err != nil {
			continue
		}
		name := n.Get("name").String()
		if n.Get("enabled").String() != "false" && !running[name] && (d.o.Service == "" || d.o.Service == name) {
			d.note("warn", "virtual service "+name, "'carillon describe virtualservice "+name+"' tells which engines refuse it, and why.", "no engine tells of it")
		}
	}
	if len(list) == 0 {
		d.note("warn", "virtual services", "'carillon apply -f docs/examples/lb.yaml' makes one.", "there is none")
	}
}
