package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// traced is one line of carillon trace --json, as far as these tests look at it.
type traced struct {
	Message *struct {
		Seq    uint64
		What   string
		CallID string `json:"call_id"`
		Source struct{ Address string }
		Target *struct{ Address string }
		Local  string
		Out    string
		Reason string
		Came   string
		Left   string
	}
	State *struct{ Told, Lost int }
}

func readTrace(t *testing.T, text string) (out []traced) {
	t.Helper()
	scan := bufio.NewScanner(strings.NewReader(text))
	scan.Buffer(nil, 4<<20)
	for scan.Scan() {
		var l traced
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Fatalf("%v in %s", err, scan.Text())
		}
		out = append(out, l)
	}
	return out
}

// whole reads lines that have been written to their end.
func whole(text string) string { return text[:strings.LastIndexByte(text, '\n')+1] }

// The ladder of a real call is what was on the wire: octet for octet in JSON, and as tshark reads the capture file; its
// drawing has an arrow for each; and without --secrets no proof of a password is in it.
func TestTraceOfACall(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no traces")
	}
	lab.Require(t, "tshark")
	x := startExchange(t, lab.Setup{API: true}, lab.RegistrarSpec{}, false, lab.Phone{User: "alice"}, lab.Phone{User: "bob"})
	file := filepath.Join(t.TempDir(), "call.pcapng")
	every := x.balancer.Tool("trace", "--from", "alice", "--json", "--secrets", "--pcap", file)
	drawn := x.balancer.Tool("trace", "--from", "alice", "--method", "INVITE", "--full")
	every.AwaitErrors("Tracing")
	drawn.AwaitErrors("Tracing")
	id := x.dial("alice", "bob")
	alice, bob := x.phones["alice"], x.phones["bob"]
	bob.Do("accept", "")
	alice.Expect("CALL_ESTABLISHED")
	bob.Expect("CALL_ESTABLISHED")
	x.awaits(id, bob, 0, "ACK", nil)
	alice.Do("hangup", "")
	bob.Expect("CALL_CLOSED")
	x.awaits(id, alice, 200, "BYE", nil)
	lab.Until(t, "both tell of the end", func() bool {
		return strings.Count(every.Output(), `"method":"BYE"`) >= 4 && strings.Count(drawn.Output(), "200 OK") >= 4
	})
	var wire []string // what the balancer got and sent
	for _, m := range x.wire.Calls().ByID[id] {
		if m.Src == x.edge || m.Dst == x.edge {
			wire = append(wire, fmt.Sprintf("%s %s %s", m.Src, m.Dst, m.Data))
		}
	}
	var told, arrows []string
	for _, l := range readTrace(t, every.Interrupt()) {
		if m := l.Message; m != nil && m.CallID == id {
			told = append(told, fmt.Sprintf("%s %s %s", m.Source.Address, m.Local, m.Came))
			if m.Target != nil {
				told = append(told, fmt.Sprintf("%s %s %s", m.Out, m.Target.Address, m.Left))
			}
			arrows = append(arrows, strings.Fields(m.Came)[0])
		}
	}
	slices.Sort(wire) // the balancer reads a batch before it sends
	slices.Sort(told)
	if !slices.Equal(wire, told) {
		t.Errorf("%d datagrams on the wire, %d in the trace, or others", len(wire), len(told))
	}
	expectTshark(t, file, id, wire)
	text := drawn.Interrupt()
	if n := strings.Count(text, "|<--") + strings.Count(text, "->|"); n < len(arrows) {
		t.Errorf("%d arrows of %d\n%s", n, len(arrows), text)
	}
	for _, want := range []string{"Call-ID " + id, "INVITE (SDP)", "200 OK", "ACK", "BYE", "new call", x.edge.String()} {
		if !strings.Contains(text, want) {
			t.Errorf("the drawing does not say %q\n%s", want, text)
		}
	}
	if proof := regexp.MustCompile(`response="[0-9a-f]`).FindString(text); proof != "" || !strings.Contains(text, `response="***`) {
		t.Errorf("credentials are not blanked: %q", proof)
	}
}

// expectTshark compares what tshark reads in a capture file with datagrams, in the form "from to text".
func expectTshark(t *testing.T, file, id string, wire []string) {
	t.Helper()
	out, err := exec.Command("tshark", "-r", file, "-Y", fmt.Sprintf("sip.Call-ID == %q", id), "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-d", "udp.port==1-65535,sip", "-T", "fields", "-e", "ip.src", "-e", "udp.srcport", "-e", "ip.dst", "-e", "udp.dstport", "-e", "udp.length",
		"-e", "udp.checksum.status", "-e", "frame.comment").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var want, got []string
	for _, w := range wire {
		parts := strings.SplitN(w, " ", 3)
		want = append(want, fmt.Sprintf("%s %s %d", parts[0], parts[1], len(parts[2])+8))
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 7 || f[5] != "1" || f[6] == "" {
			t.Errorf("tshark reads %q", line)
			continue
		}
		got = append(got, fmt.Sprintf("%s:%s %s:%s %s", f[0], f[1], f[2], f[3], f[4]))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("tshark reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Traces of everything under load: what they do not tell they count, also one that nobody reads for a while; and calls do
// not suffer.
func TestTraceUnderLoad(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no traces")
	}
	l := load{calls: 4000, rate: 1000}
	if testing.Short() {
		l.calls = 2000
	}
	f := startFarm(t, lab.Setup{API: true}, "127.0.0.11", "127.0.0.12")
	tools := map[string]*lab.Tool{"read": f.balancer.Tool("trace", "--json"), "not read": f.balancer.Tool("trace", "--json")}
	for _, tool := range tools {
		tool.AwaitErrors("Tracing")
	}
	before := received(f)
	tools["not read"].Signal(syscall.SIGSTOP)
	caller := f.start(l, f.balancer.Addr)
	courses := f.finish(caller, l)
	f.expectWhole(courses, l.calls)
	tools["not read"].Signal(syscall.SIGCONT)
	got := received(f) - before
	for name, tool := range tools {
		told, lost := 0, 0
		lab.Until(t, "a trace tells that it is through", func() bool {
			told, lost = 0, 0
			for _, l := range readTrace(t, whole(tool.Output())) {
				if l.State != nil {
					told, lost = l.State.Told, l.State.Lost
				}
			}
			return told+lost >= got
		})
		seen := map[uint64]bool{}
		for _, m := range readTrace(t, tool.Interrupt()) {
			if m.Message != nil {
				seen[m.Message.Seq] = true
			}
		}
		t.Logf("%s: %d messages came, %d were told, %d counted as lost", name, got, told, lost)
		if len(seen) != told || told+lost != got {
			t.Errorf("%s: %d messages came, %d were told, %d of them arrived, %d are counted as lost", name, got, told, len(seen), lost)
		}
	}
}

// received is how many datagrams the balancer has got.
func received(f *farm) int {
	n := 0.0
	for name, value := range f.balancer.Metrics() {
		if strings.HasPrefix(name, "carillon_socket_datagrams_received_total{") {
			n += value
		}
	}
	return int(n)
}

// A drain under calls: new ones go elsewhere, those that are up end where they are, and the command waits for the last.
func TestDrainAndWait(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	lab.Require(t, "sipp")
	l := load{calls: 1500, rate: 150, hold: 6 * time.Second} // longer than a Call-ID is known
	f := &farm{t: t, addrs: lab.Addrs(t, "127.0.0.11", "127.0.0.12"), wire: lab.StartCapture(t), scenario: "server"}
	f.names = f.wire.Names
	objects := lab.Objects{Listen: lab.Addrs(t, "127.0.0.1"), RecordRoute: true}
	for i := range f.addrs {
		f.servers = append(f.servers, f.startServer(i))
		objects.Servers = append(objects.Servers, lab.PoolServer{Addr: f.addrs[i]})
	}
	file := filepath.Join(t.TempDir(), "lb.yaml")
	lab.WriteWhole(t, file, strings.Replace(objects.YAML(), "record_route: true", "record_route: true, transaction_timeout: 2", 1))
	f.balancer = lab.StartBalancer(t, lab.Setup{Listen: objects.Listen, File: file, API: true})
	f.names[f.balancer.Addr] = "balancer"

	caller := f.start(l, f.balancer.Addr)
	f.awaitCall(300)
	tool := f.balancer.Tool("drain", "servers", f.addrs[0].String(), "--deadline", "10m", "--wait")
	out, status := tool.Finish(time.Minute)
	drained := time.Now()
	if status != 0 || !strings.Contains(out, "has no call left") {
		t.Errorf("status %d\n%s%s", status, out, tool.Errors())
	}
	courses := f.finish(caller, l)
	f.expectWhole(courses, l.calls)
	last := time.Time{}
	for _, c := range courses {
		for _, m := range c.Messages {
			if m.Dst == f.addrs[0] && m.At.After(last) {
				last = m.At
			}
		}
	}
	if last.After(drained) {
		t.Errorf("%s had a message %s after it had no call left", f.addrs[0], last.Sub(drained))
	}
	// Those of the other one are known for 2 s only.
	if list, _ := f.balancer.API.Do("GET", "/api/calls?limit=0", nil)["servers"].([]any); strings.Contains(fmt.Sprint(list), f.addrs[0].String()) {
		t.Errorf("calls of a server that has none: %v", list)
	}
	again := f.balancer.Tool("undrain", "servers", f.addrs[0].String())
	if out, status := again.Finish(lab.Patience); status != 0 {
		t.Errorf("undrain: status %d\n%s%s", status, out, again.Errors())
	}
	late := f.balancer.Tool("drain", "servers", f.addrs[0].String(), "--deadline", "0", "--wait")
	if out, status := late.Finish(lab.Patience); status != 0 { // nothing is up
		t.Errorf("drain: status %d\n%s%s", status, out, late.Errors())
	}
}

// top on a terminal: views, sorting, a filter, a narrow window.
func TestTopTerminal(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	lab.Require(t, "tmux")
	servers := lab.Addrs(t, "127.0.0.11", "127.0.0.12")
	for _, a := range servers {
		lab.StartAnswerer(t, a, false)
	}
	b := lab.StartBalancer(t, lab.Setup{Listen: lab.Addrs(t, "127.0.0.1"), Servers: servers, API: true})
	tm := startTerminal(t, "env CARILLON_SERVER=https://"+b.API.Addr+" CARILLON_INSECURE=1 'CARILLON_PASSWORD="+lab.AdminPassword+"' CARILLON_CONFIG="+
		filepath.Join(t.TempDir(), "config.yaml")+" "+lab.Carillon(t)+" top -i 1s")
	press := func(keys ...string) { tm.tmux(append([]string{"send-keys"}, keys...)...) } // its screen never rests
	tm.shows("2 of 2 servers up")
	tm.shows(servers[0].String())
	press("Tab")
	tm.shows("Virtual service*")
	press("s")
	tm.shows("State*")
	press("1", "/", "127.0.0.12", "Enter")
	tm.shows("holds 127.0.0.12")
	tm.lacks(servers[0].String())
	press("?")
	tm.shows("another view")
	press("?", "p")
	tm.shows("PAUSED")
	tm.tmux("resize-window", "-x", "50", "-y", "12")
	tm.shows("127.0.0.12")
	press("q")
	lab.Until(t, "top has ended", func() bool { return exec.Command("tmux", "-S", tm.socket, "has-session").Run() != nil })
}

// lacks waits until the screen has a text no more.
func (tm *terminal) lacks(text string) {
	tm.t.Helper()
	lab.Until(tm.t, "the screen without "+text, func() bool { return !strings.Contains(tm.tmux("capture-pane", "-p"), text) })
}
