package proxy

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/balance"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/selfsigned"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
	"github.com/carillon-sip/carillon/internal/token"
)

var update = flag.Bool("update", false, "write what the ladders of testdata print now")

// TestLadders plays the conversations of testdata/*.ladder: a message in, a line
// of dashes, the verdict and only the lines of the message that changed. The
// format is described in testdata/README.md. The IDs in a script's "ids" line are
// those of docs/standards.md; each becomes a subtest of the script.
func TestLadders(t *testing.T) {
	files, err := filepath.Glob("testdata/*.ladder")
	if err != nil || len(files) == 0 {
		t.Fatalf("no ladders: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".ladder"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			l := newLadder(t)
			got := l.play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			check := func(t *testing.T) {
				if got != string(text) {
					t.Errorf("%s is not what happens; what happens:\n%s", file, diff(string(text), got))
				}
			}
			for _, id := range l.ids {
				t.Run(id, check)
			}
			if len(l.ids) == 0 {
				check(t)
			}
		})
	}
}

// ladder is one conversation.
type ladder struct {
	t     *testing.T
	ids   []string
	proxy *Proxy
	names *Names
	snap  *snapshot.Snapshot
	state []*State
	now   time.Duration

	listens, servers []string
	profile          map[string]string
	fqdn             string
	group            object.PoolGroup // of the pools of members, if there are any, instead of the one of servers
	members          [][]string       // priority, ratio, servers
	other            []string         // another virtual service of the engine: where it listens, its servers

	step   int
	sent   map[int][]byte // what left, by step
	tokens map[string]string
	pins   map[netip.AddrPort][]uint64 // of requests, by where they went over streams
	where  map[string]string           // $N.to: where what left in a step went
}

func newLadder(t *testing.T) *ladder {
	sealer := token.New([]byte("a ladder"))
	names := NewNames()
	return &ladder{t: t, proxy: New(sealer, names), names: names, now: time.Hour, profile: map[string]string{},
		sent: map[int][]byte{}, tokens: map[string]string{}, where: map[string]string{}, pins: map[netip.AddrPort][]uint64{}}
}

// play runs a script and gives it back with what happened in the place of what was expected.
func (l *ladder) play(text string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		line := lines[i]
		i++
		switch {
		case line == "----": // of a command: what it printed before
			for i < len(lines) && !starts(lines[i]) {
				i++
			}
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			begin := i
			for i < len(lines) && lines[i] != "----" {
				i++
			}
			message := lines[begin:i]
			for i < len(lines) && !starts(lines[i]) {
				i++
			}
			fmt.Fprintf(&out, "%s\n----\n%s\n", strings.Join(message, "\n"), l.receive(line[2:], message))
		case strings.HasPrefix(line, "! "):
			fmt.Fprintln(&out, line)
			if result := l.command(strings.Fields(l.fill(line[2:]))); result != "" {
				fmt.Fprintf(&out, "----\n%s\n", result)
			}
		default:
			fmt.Fprintln(&out, line)
			if f := strings.Fields(line); len(f) > 0 && f[0][0] != '#' {
				l.setting(f)
			}
		}
	}
	return out.String()
}

func starts(line string) bool {
	return strings.HasPrefix(line, "> ") || strings.HasPrefix(line, "! ") || strings.HasPrefix(line, "# ")
}

func (l *ladder) setting(f []string) {
	switch f[0] {
	case "ids":
		l.ids = f[1:]
	case "listen":
		l.listens = f[1:]
	case "servers":
		l.servers = f[1:]
	case "profile":
		for _, kv := range f[1:] {
			k, v, _ := strings.Cut(kv, "=")
			l.profile[k] = v
		}
	case "member":
		l.members = append(l.members, f[1:])
	case "group":
		for _, kv := range f[1:] {
			k, v, _ := strings.Cut(kv, "=")
			switch k {
			case "min_servers":
				l.group.MinServers, _ = strconv.Atoi(v)
			case "deactivate_primary_pool_on_down":
				l.group.DeactivatePrimaryPoolOnDown = v == "true"
			}
		}
	case "fqdn":
		l.fqdn = f[1]
	case "other":
		l.other = f[1:]
	default:
		l.t.Fatalf("unknown setting %q", f[0])
	}
}

// compile makes the snapshot of the settings.
func (l *ladder) compile() {
	vs, vip, pool := object.New[object.VirtualService]("vs"), object.New[object.VsVip]("vip"), object.New[object.Pool]("pool")
	app, net := object.New[object.ApplicationProfile]("app"), object.New[object.NetworkProfile]("net")
	if len(l.listens) == 0 {
		l.listens = []string{"192.0.2.100:5060"}
	}
	for _, s := range l.listens {
		t, a := cutTransport(s)
		if !slices.ContainsFunc(vip.Vip, func(v object.Vip) bool { return v.IPAddress == a.Addr() }) {
			vip.Vip = append(vip.Vip, object.Vip{Enabled: true, VipID: s, IPAddress: a.Addr()})
		}
		sv := object.Service{Port: a.Port(), EnableSSL: t == sip.TLS}
		if t.Stream() {
			sv.OverrideNetworkProfileRef = "tcp"
		}
		vs.Services = slices.DeleteFunc(vs.Services, func(o object.Service) bool {
			return o.OverrideNetworkProfileRef == sv.OverrideNetworkProfileRef && o.EnableSSL == sv.EnableSSL
		})
		vs.Services = append(vs.Services, sv)
	}
	if slices.ContainsFunc(vs.Services, func(o object.Service) bool { return o.EnableSSL }) {
		vs.SSLKeyAndCertificateRefs = []string{"cert"}
	}
	for _, s := range l.servers {
		drained := strings.HasSuffix(s, "/drain")
		sv := object.NewServer(netip.MustParseAddrPort(strings.TrimSuffix(s, "/drain")))
		sv.Enabled = !drained
		pool.Servers = append(pool.Servers, sv)
	}
	vs.VsVipRef, vs.PoolRef, vs.ApplicationProfileRef, vs.NetworkProfileRef, vs.FQDN = "vip", "pool", "app", "net", l.fqdn
	pool.LBAlgorithm, pool.LBAlgorithmHash = object.ConsistentHash, object.HashCallID
	app.Type, net.Profile.Type = object.ApplicationSIP, object.ProtocolUDPProxy
	tcp := object.New[object.NetworkProfile]("tcp")
	l.profiles(&vs, &pool, &app.SIPServiceProfile)
	set := &object.Set{VirtualServices: []*object.VirtualService{&vs}, VsVips: []*object.VsVip{&vip}, Pools: []*object.Pool{&pool},
		ApplicationProfiles: []*object.ApplicationProfile{&app}, NetworkProfiles: []*object.NetworkProfile{&net, &tcp},
		SSLKeyAndCertificates: l.certificates()}
	l.addMembers(set)
	if len(l.other) > 0 {
		l.addOther(set)
	}
	env := snapshot.Env{Sealer: l.proxy.sealer, Hosts: machine, LocalAddr: localAddr, Bound: map[snapshot.Key]netip.AddrPort{}}
	for _, w := range snapshot.Wanted(set).Services {
		for _, k := range w.Keys {
			if k.Egress != "" {
				env.Bound[k] = netip.AddrPortFrom(k.Addr.Addr(), k.Port)
			}
		}
	}
	snap, err := snapshot.Compile(set, l.snap, env, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	for len(l.state) < len(snap.Services) {
		l.state = append(l.state, NewState(1000, 1000, nil))
	}
	l.snap = snap
	for _, p := range snap.Pools {
		p.View.Load().Publish()
	}
}

// cutTransport reads "tcp:192.0.2.1:5060"; without a transport it is UDP.
func cutTransport(s string) (sip.Transport, netip.AddrPort) {
	word, rest, _ := strings.Cut(s, ":")
	t, ok := sip.TransportNamed([]byte(word))
	if !ok {
		rest = s
	}
	return t, netip.MustParseAddrPort(rest)
}

func (l *ladder) certificates() []*object.SSLKeyAndCertificate {
	if !strings.Contains(fmt.Sprint(l.listens), "tls:") {
		return nil
	}
	cert, key, err := selfsigned.Make("example.com", nil, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	k := object.New[object.SSLKeyAndCertificate]("cert")
	k.Certificate.Certificate, k.Key = string(cert), string(key)
	return []*object.SSLKeyAndCertificate{&k}
}

// addMembers has the first virtual service use a pool group, each member a pool like the first in all but its servers.
func (l *ladder) addMembers(set *object.Set) {
	if len(l.members) == 0 {
		return
	}
	group := l.group
	group.Name, group.Members = "group", nil
	first := set.Pools[0]
	set.Pools = nil
	for i, m := range l.members {
		pool := *first
		pool.Name, pool.Servers = fmt.Sprintf("pool-%d", i), nil
		for _, s := range m[2:] {
			pool.Servers = append(pool.Servers, object.NewServer(netip.MustParseAddrPort(s)))
		}
		ratio, _ := strconv.Atoi(m[1])
		set.Pools = append(set.Pools, &pool)
		group.Members = append(group.Members, object.PoolGroupMember{PoolRef: pool.Name, PriorityLabel: m[0], Ratio: ratio})
	}
	set.PoolGroups = []*object.PoolGroup{&group}
	set.VirtualServices[0].PoolRef, set.VirtualServices[0].PoolGroupRef = "", group.Name
}

// addOther adds a virtual service with another address and pool, like the first in all else.
func (l *ladder) addOther(set *object.Set) {
	vs, vip, pool := *set.VirtualServices[0], object.New[object.VsVip]("other"), *set.Pools[0]
	a := netip.MustParseAddrPort(l.other[0])
	vs.Name, vs.VsVipRef, vs.PoolRef, vs.FQDN, vs.Services = "other", "other", "other", "", []object.Service{{Port: a.Port()}}
	vip.Vip = []object.Vip{{Enabled: true, VipID: "0", IPAddress: a.Addr()}}
	pool.Name, pool.Servers = "other", nil
	for _, s := range l.other[1:] {
		pool.Servers = append(pool.Servers, object.NewServer(netip.MustParseAddrPort(s)))
	}
	set.VirtualServices, set.VsVips, set.Pools = append(set.VirtualServices, &vs), append(set.VsVips, &vip), append(set.Pools, &pool)
}

// machine is the addresses of the balancer's machine, the ones of the default routes first.
var machine = []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("2001:db8::100/64"),
	netip.MustParsePrefix("10.0.0.100/24"), netip.MustParsePrefix("fd00:9::100/64"), netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}

// localAddr is the machine's routing table.
func localAddr(to netip.Addr) (netip.Addr, error) {
	for _, h := range machine {
		if h.Contains(to) {
			return h.Addr(), nil
		}
	}
	if to.Is4() {
		return machine[0].Addr(), nil
	}
	return machine[1].Addr(), nil
}

func (l *ladder) profiles(vs *object.VirtualService, pool *object.Pool, p *object.SIPServiceProfile) {
	*p = object.New[object.ApplicationProfile]("x").SIPServiceProfile
	p.TransactionTimeoutS, p.FailoverRetransmissions, p.RetryOn503 = 32, 2, true
	for k, v := range l.profile {
		n, _ := strconv.Atoi(v)
		switch k {
		case "record_route":
			p.RecordRoute = v == "true"
		case "retry_on_503":
			p.RetryOn503 = v == "true"
		case "failover_retransmissions":
			p.FailoverRetransmissions = n
		case "transaction_timeout":
			p.TransactionTimeoutS = n
		case "hash":
			pool.LBAlgorithmHash = object.LBHash("LB_ALGORITHM_CONSISTENT_HASH_" + v)
		case "header":
			pool.HashHeaderName = v
		case "algorithm":
			pool.LBAlgorithm = object.LBAlgorithm("LB_ALGORITHM_" + v)
		case "traffic_enabled":
			vs.TrafficEnabled = v == "true"
		case "dialog_state_shared":
			pool.DialogStateShared = v == "true"
		case "retry_budget":
			pool.RetryBudgetPercent, pool.RetryBudgetPerSecond = 0, n
		case "graceful_disable_timeout":
			pool.GracefulDisableTimeoutMin = n
		case "path":
			p.Path = "SIP_PATH_" + v
		case "server_transport":
			pool.ServerTransport = "SERVER_TRANSPORT_" + v
		case "server_tls":
			pool.SSLProfileRef = "System-Standard"
			if v == "cert" {
				pool.SSLKeyAndCertificateRef = "cert"
			}
		case "reselect": // codes, and how often: 500,404*2
			codes, retries, _ := strings.Cut(v, "*")
			pool.ServerReselect.Enabled = true
			pool.ServerReselect.NumRetries, _ = strconv.Atoi(retries)
			for c := range strings.SplitSeq(codes, ",") {
				n, _ := strconv.Atoi(c)
				pool.ServerReselect.SvrRespCode.Codes = append(pool.ServerReselect.SvrRespCode.Codes, n)
			}
		case "fail_action": // CLOSE_CONN, or a status and Retry-After: 480/120
			pool.FailAction = object.FailAction{Type: object.FailClose}
			if status, after, is := strings.Cut(v, "/"); is {
				pool.FailAction.Type = object.FailAnswer
				pool.FailAction.SIPStatus, _ = strconv.Atoi(status)
				pool.FailAction.RetryAfterS, _ = strconv.Atoi(after)
			}
		case "retry_timeout":
			pool.ServerReselect.Enabled, pool.ServerReselect.RetryTimeoutMS = true, n
		case "max_conn_rate_per_server":
			pool.MaxConnRatePerServer.RateLimiter.Count = n
		case "min_servers_up":
			pool.MinServersUp = n
		case "max_concurrent_connections_per_server":
			pool.MaxConnectionsPerServer = n
		default:
			l.t.Fatalf("unknown profile setting %q", k)
		}
	}
}

// command changes the world: see testdata/README.md.
func (l *ladder) command(f []string) string {
	if l.snap == nil {
		l.compile()
	}
	switch f[0] {
	case "down", "up", "backoff":
		c := map[string]balance.Change{"down": {Clear: balance.Up}, "up": {Set: balance.Up, Clear: balance.Backoff},
			"backoff": {Set: balance.Backoff}}[f[0]]
		sv := l.snap.Services[0].ServerAt(netip.MustParseAddrPort(f[1]))
		c.Index = sv.Index
		pool := sv.Pool
		v := pool.View.Load().With(c)
		pool.View.Store(v)
		v.Publish()
		l.snap.SettleGroups(pool)
	case "servers", "listen", "profile", "member", "group":
		if f[0] == "member" && len(f) == 1 {
			l.members = nil
			return ""
		}
		l.setting(f)
		l.compile()
	case "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			l.t.Fatal(err)
		}
		return l.wait(d)
	case "name":
		m := map[string]Name{}
		for k, v := range l.names.All() {
			m[k] = v
		}
		var n Name
		if len(f) > 3 {
			n.Addr = netip.MustParseAddrPort(f[3])
		}
		port, _ := strconv.Atoi(f[2])
		m[string(NameKey(nil, []byte(f[1]), uint16(port), sip.UDP))] = n
		l.names.Replace(m)
	case "icmp":
		step, _ := strconv.Atoi(f[2])
		return l.unreachable(netip.MustParseAddrPort(f[1]), l.sent[step])
	case "streams":
		n, _ := strconv.Atoi(f[2])
		l.snap.Services[0].ServerAt(netip.MustParseAddrPort(f[1])).Traffic.Streams.Store(int32(n))
	case "broken":
		return l.broken(netip.MustParseAddrPort(f[1]))
	case "live":
		out := "calls up"
		for _, s := range slices.Concat(serversOf(l.snap.Pools)...) {
			out += fmt.Sprintf(" %s=%d", s.Addr, s.State.Dialogs.Load())
		}
		return out
	case "state":
		sv := ""
		for _, s := range slices.Concat(serversOf(l.snap.Pools)...) {
			sv += fmt.Sprintf(" %s=%d/%d", s.Addr, s.State.OpenTransactions.Load(), s.State.Calls.Load())
		}
		return fmt.Sprintf("transactions %d calls %d open/calls%s", l.state[0].Transactions(), l.state[0].Calls(), sv)
	default:
		l.t.Fatalf("unknown command %q", f[0])
	}
	return ""
}

// wait lets time pass, and shows what is sent again meanwhile.
func (l *ladder) wait(d time.Duration) string {
	var out []string
	for left := d; left > 0; left -= 500 * time.Millisecond {
		l.now += min(left, 500*time.Millisecond)
		for _, s := range l.state {
			for {
				req, over, ok := s.Due(l.now.Nanoseconds(), l.snap, nil)
				if !ok {
					break
				}
				l.step++
				out = append(out, fmt.Sprintf("after %s %s", d-left+500*time.Millisecond, l.again(&req, over)))
			}
		}
	}
	for _, s := range l.state {
		s.Tend(l.tick(), 64, l.snap)
	}
	return strings.Join(out, "\n")
}

// again has a stored request sent once more, or given up.
func (l *ladder) again(req *Stored, over bool) string {
	m := new(sip.Msg)
	m.Parse(req.Data)
	in := &Input{Msg: m, From: req.From, Local: req.Local, Listener: req.Listener, Flow: req.Flow, Again: true, Snapshot: l.snap,
		State: l.state[req.Listener.Service.Index], Now: l.tick(), NowNS: l.now.Nanoseconds()}
	var v Verdict
	if over {
		v = l.proxy.TimedOut(in)
	} else {
		v = l.proxy.Request(in)
	}
	return l.show(in, &v, req.Data)
}

func serversOf(pools []*snapshot.Pool) (out [][]*snapshot.Server) {
	for _, p := range pools {
		out = append(out, p.Servers)
	}
	return out
}

func (l *ladder) tick() aged.Tick { return aged.Tick(l.now.Milliseconds()) }

// input is a message at the first listener of its family and transport, or at the one on port.
func (l *ladder) input(t sip.Transport, from netip.AddrPort, at netip.AddrPort, m *sip.Msg) *Input {
	in := &Input{Msg: m, From: from, Local: at.Addr(), Snapshot: l.snap, Now: l.tick(), NowNS: l.now.Nanoseconds()}
	for _, ln := range l.snap.Listeners {
		if ln.Addr.Addr().Is4() == from.Addr().Is4() && ln.Key.Transport == t && in.Listener == nil && (at.Port() == 0 || at.Port() == ln.Addr.Port()) {
			in.Listener = ln
		}
	}
	in.State = l.state[in.Listener.Service.Index]
	return in
}

// receive gives a message to the proxy. where is "192.0.2.7:40000" or that and "at 10.0.0.100" or "at 10.0.0.100:5070".
func (l *ladder) receive(where string, lines []string) string {
	if l.snap == nil {
		l.compile()
	}
	l.step++
	f := strings.Fields(l.fill(where))
	source, number, onFlow := strings.Cut(f[0], "#")
	t, from := cutTransport(source)
	var at netip.AddrPort
	gone := uint64(0)
	if len(f) == 3 && f[1] == "without" {
		gone, f = parseFlow(f[2]), f[:1]
	}
	if len(f) > 2 {
		var err error
		if at, err = netip.ParseAddrPort(f[2]); err != nil {
			at = netip.AddrPortFrom(netip.MustParseAddr(f[2]), 0)
		}
	}
	raw := []byte(filler.ReplaceAllStringFunc(l.fill(strings.Join(lines, "\r\n")+"\r\n"), func(s string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(s, "x*"))
		return strings.Repeat("x", n)
	}))
	if !bytes.Contains(raw, []byte("\r\n\r\n")) {
		raw = append(raw, "\r\n"...)
	}
	m := new(sip.Msg)
	m.Parse(raw)
	in := l.input(t, from, at, m)
	if in.Gone = gone; onFlow {
		in.Flow = parseFlow(number)
	}
	var v Verdict
	if m.IsRequest {
		v = l.proxy.Request(in)
	} else {
		v = l.proxy.Response(in)
	}
	return l.show(in, &v, raw)
}

// filler stands for so many letters x.
var filler = regexp.MustCompile(`x\*[0-9]+`)

func parseFlow(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 48)
	return n
}

func (l *ladder) unreachable(dest netip.AddrPort, datagram []byte) string {
	l.step++
	m := new(sip.Msg)
	m.Parse(datagram[:min(len(datagram), 548)])
	in := l.input(sip.UDP, dest, netip.AddrPort{}, m)
	v := l.proxy.Unreachable(in, dest)
	return l.show(in, &v, datagram)
}

// broken breaks the connection to a server: of all that went there what is open is decided about.
func (l *ladder) broken(dest netip.AddrPort) string {
	var out []string
	for _, k := range l.pins[dest] {
		l.step++
		in := l.input(sip.TCP, dest, netip.AddrPort{}, new(sip.Msg))
		req, v, ok := l.proxy.Broken(in, k, dest, nil)
		if ok {
			out = append(out, l.again(&req, false))
		} else {
			out = append(out, l.show(in, &v, nil))
		}
	}
	return strings.Join(out, "\n")
}

// show prints a verdict, and what of the message changed.
func (l *ladder) show(in *Input, v *Verdict, raw []byte) string {
	var out strings.Builder
	switch v.Action {
	case Drop:
		fmt.Fprintf(&out, "drop %s", v.Reason)
	case Resolve:
		fmt.Fprintf(&out, "resolve %s", v.Host)
	case Answer, Forward:
		l.emit(&out, v, raw)
	case Resend:
		fmt.Fprintf(&out, "resend %s\n", v.Reason)
		if ack, to, _, ok := l.proxy.AppendAck(nil, in, v); ok {
			if again := new(sip.Msg); again.Parse(ack) != sip.NoFault {
				l.t.Fatalf("an ACK of ours does not parse: %v\n%q", again.Err, ack)
			}
			fmt.Fprintf(&out, "ack %s\n%s\n", to, l.name(indent(string(ack))))
		}
		stored := bytes.Clone(v.resend.request.Data)
		next := l.proxy.Again(in, v)
		if next.Action != Drop {
			l.emit(&out, &next, stored)
		}
	}
	if v.Suspect != nil {
		fmt.Fprintf(&out, "\nsuspect %s", v.Suspect.Addr)
	}
	if v.BackoffS > 0 {
		fmt.Fprintf(&out, "\nbackoff %s %d s", v.Server.Addr, v.BackoffS)
	}
	if v.Hangup {
		fmt.Fprintf(&out, "\nhang up")
	}
	if v.Final {
		fmt.Fprintf(&out, "\nfinal")
	}
	return strings.TrimSpace(out.String())
}

func (l *ladder) emit(out *strings.Builder, v *Verdict, raw []byte) {
	words := map[Action]string{Forward: "forward", Answer: "answer", Drop: "drop"}
	fmt.Fprintf(out, "%s %s", words[v.Action], v.Reason)
	if v.Action == Drop {
		return
	}
	data := l.proxy.Append(nil, v)
	l.sent[l.step] = data
	if again := new(sip.Msg); again.Parse(bytes.Clone(data)) != sip.NoFault && new(sip.Msg).Parse(bytes.Clone(raw)) == sip.NoFault {
		l.t.Fatalf("step %d: what we send does not parse: %v\n%s", l.step, again.Err, data)
	}
	l.learn(data)
	if v.Server != nil && v.Face.Transport.Stream() && !slices.Contains(l.pins[v.To], v.Pin) {
		l.pins[v.To] = append(l.pins[v.To], v.Pin)
	}
	if v.Flow != 0 {
		fmt.Fprintf(out, " on flow %d, else", v.Flow)
	}
	fmt.Fprintf(out, " to %s", v.To)
	if v.Face.Transport.Stream() {
		fmt.Fprintf(out, " over %s", v.Face.Transport)
	}
	l.where[fmt.Sprintf("$%d.to", l.step)] = v.To.String()
	if _, first := cutTransport(l.listens[0]); v.Face.SentBy != first {
		fmt.Fprintf(out, " from %s", v.Face.SentBy)
	}
	if v.Action == Answer {
		fmt.Fprintf(out, "\n%s", l.name(indent(string(data))))
		return
	}
	if d := diff(l.name(string(raw)), l.name(string(data))); d != "" {
		fmt.Fprintf(out, "\n%s", d)
	}
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(strings.ReplaceAll(s, "\r", ""), "\n"), "\n", "\n  ")
}

var sealed = regexp.MustCompile(`(branch=z9hG4bK|<sips?:|;i=)([A-Za-z0-9_-]{20,22})\b`)

// learn gives a name to each token that is seen for the first time.
func (l *ladder) learn(data []byte) {
	for _, m := range sealed.FindAllStringSubmatch(string(data), -1) {
		kind := "route"
		switch {
		case strings.HasPrefix(m[1], "branch"):
			kind = "branch"
		case m[1] == ";i=":
			kind = "i"
		case len(m[2]) != token.Len:
			continue
		}
		if _, known := l.tokens[m[2]]; known {
			continue
		}
		name := fmt.Sprintf("$%d.%s", l.step, kind)
		for _, other := range l.tokens {
			if other == name {
				name += "2"
			}
		}
		l.tokens[m[2]] = name
	}
}

// name puts names for tokens, fill puts tokens for names.
func (l *ladder) name(s string) string {
	for tok, name := range l.tokens {
		s = strings.ReplaceAll(s, tok, name)
	}
	return s
}

func (l *ladder) fill(s string) string {
	toks := slices.Collect(maps.Keys(l.tokens))
	slices.SortFunc(toks, func(a, b string) int { return len(l.tokens[b]) - len(l.tokens[a]) }) // $1.route2 before $1.route
	for _, tok := range toks {
		s = strings.ReplaceAll(s, l.tokens[tok], tok)
	}
	for name, addr := range l.where {
		s = strings.ReplaceAll(s, name, addr)
	}
	return s
}

// diff lists the lines that went (-) and came (+), in order.
func diff(a, b string) string {
	x, y := strings.Split(strings.ReplaceAll(a, "\r", ""), "\n"), strings.Split(strings.ReplaceAll(b, "\r", ""), "\n")
	n, m := len(x), len(y)
	lcs := make([][]int, n+1)
	for i := range lcs {
		lcs[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if x[i] == y[j] {
				lcs[i][j] = lcs[i+1][j+1] + 1
			} else {
				lcs[i][j] = max(lcs[i+1][j], lcs[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < n || j < m; {
		switch {
		case i < n && j < m && x[i] == y[j]:
			i, j = i+1, j+1
		case i < n && (j == m || lcs[i+1][j] >= lcs[i][j+1]):
			out = append(out, "- "+x[i])
			i++
		default:
			out = append(out, "+ "+y[j])
			j++
		}
	}
	return strings.Join(out, "\n")
}
