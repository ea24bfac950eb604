package eyes

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

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
	d.engines(s)
	list, err := e.Client.List(ctx, "virtualservice", map[string][]string{"include_name": {"true"}})
	if err != nil {
		return err
	}
	for i := range s.Services {
		v := &s.Services[i]
		if o.Service != "" && v.Name != o.Service {
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
		d.e.say("%s  %s: %s", d.e.Screen.Paint(colours[f.State], fmt.Sprintf("%-7s", f.State)), f.Name, f.Says)
		if f.Mend != "" {
			d.e.say("         %s", f.Mend)
		}
	}
	d.e.say("\n%s looked at: %d fine, %d to think about, %d wrong, %d not looked at.", plural(len(d.found), "thing"), d.count("ok"), d.count("warn"), d.count("bad"), d.count("skipped"))
}

// engines looks at who answers, and at the difference of clocks.
func (d *doctor) engines(s *sample) {
	for _, words := range s.Errors {
		d.note("bad", "engines", "See that the engine runs, and that the controller reaches its --control address.", "%s", words)
	}
	if len(s.Engines) == 0 {
		d.note("bad", "engines", "Start one: 'carillon engine', or 'carillon run' for all in one.", "no engine answers")
		return
	}
	d.ok("engines", "these answer: %s", strings.Join(s.Engines, ", "))
	if off := time.Since(s.At); off > 3*time.Second || off < -2*time.Second {
		d.note("warn", "clock", "Run an NTP client on both machines: times of traces and logs would not fit together.", "engine and this machine are %s apart", seconds(off.Abs().Seconds()))
	}
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
		d.note("bad", name, "The address must be one of this machine and its port free: 'ip addr', 'ss -ulnp'.", "has no sockets")
	}
	for _, l := range v.Listeners {
		if l.RxDropped > 0 {
			d.note("warn", name, "Raise net.core.rmem_max, give it more workers, or another engine.", "%s: the kernel has dropped %d datagrams since the engine started, for a full receive buffer", l.Addr, l.RxDropped)
		}
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
	case strings.Contains(said, "in use"):
		return "Another program has the port: 'ss -ulnp' tells which."
	case strings.Contains(said, "assign"):
		return "The address is not one of the engine's machine: 'ip addr add', or another VIP."
	}
	return "'carillon describe virtualservice " + v.Name + "' tells more."
}

// advertised looks at the addresses that a service listens on: what is written into Via and Record-Route.
func (d *doctor) advertised(v *report.Service) {
	name := "addresses of " + v.Name
	own := ownAddrs()
	for _, l := range v.Listeners {
		a := l.Addr.Addr()
		switch {
		case a.IsUnspecified():
			d.note("ok", name, "", "%s listens on every address: Via and Record-Route carry the one that a message leaves from", l.Addr)
		case a.IsLoopback():
			d.note("warn", name, "Give it an address that phones reach, or take it for a test.", "%s is of loopback: only programs of the same machine reach it, and its Via and Record-Route", l.Addr)
		case slices.Contains(own, a):
			d.ok(name, "%s is one of this machine", l.Addr)
		default:
			d.note("skipped", name, "Run doctor on the machine of engine "+l.Engine+" for more.", "%s is not one of this machine", l.Addr)
		}
	}
}

func ownAddrs() []netip.Addr {
	var out []netip.Addr
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out
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

// servers looks at health and at the way to each server.
func (d *doctor) servers(s *sample) {
	const most = 200 // routes that are looked at
	looked := 0
	for i := range s.Pools {
		p := &s.Pools[i]
		down := []string{}
		for j := range p.Servers {
			sv := &p.Servers[j]
			if sv.State == "down" {
				down = append(down, sv.Name+" ("+strings.Join(sv.Oper.Reason, "; ")+")")
			}
			if looked++; looked <= most {
				d.route(p, sv)
			}
		}
		if len(down) > 0 {
			d.note("bad", "pool "+p.Name, "'carillon shell -c \"show pool "+p.Name+" server hmonstat\"' has the last checks.", "%d of %s down: %s", len(down), plural(p.Total, "server"), strings.Join(down[:min(len(down), 5)], ", "))
		} else {
			d.ok("pool "+p.Name, "%d of %s up", p.Up, plural(p.Total, "server"))
		}
	}
}

// route asks the routing table which address of this machine a datagram to a server leaves from, and how large it may be.
func (d *doctor) route(p *report.Pool, sv *report.Server) {
	name := "route to " + sv.Name
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(sv.Addr))
	if err != nil {
		d.note("bad", name, "'ip route get "+sv.Addr.Addr().String()+"' tells more; add a route.", "%v", err)
		return
	}
	from := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if err := conn.Close(); err != nil {
		return
	}
	mtu := mtuOf(from)
	switch {
	case from.IsLoopback() != sv.Addr.Addr().IsLoopback():
		d.note("bad", name, "Servers of another machine cannot answer to loopback.", "leaves from %s", from)
	case mtu > 0 && mtu < 1500:
		d.note("warn", name, "Messages of more than some 1,300 octets leave in fragments; firewalls drop those. Raise the MTU, or keep SDP small.", "leaves from %s, where the MTU is %d", from, mtu)
	default:
		d.ok(name, "leaves from %s, MTU %d", from, mtu)
	}
}

func mtuOf(a netip.Addr) int {
	list, err := net.Interfaces()
	if err != nil {
		return 0
	}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, has := range addrs {
			if p, err := netip.ParsePrefix(has.String()); err == nil && p.Addr() == a {
				return i.MTU
			}
		}
	}
	return 0
}
