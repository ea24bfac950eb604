package e2e

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// sick is a machine, in a network namespace of its own, on which nearly everything is wrong that doctor looks for. Each
// section ends with what doctor says.
const sick = `
set -e
ip link set lo up
ip link add d0 mtu 1300 type dummy 2>/dev/null || ip tuntap add d0 mode tap
ip link set d0 mtu 1300 up
ip addr add 10.9.0.1/24 dev d0
export CARILLON_DATA=$DIR/data CARILLON_CONFIG=$DIR/config CARILLON_SERVER=https://127.0.0.1:9443 CARILLON_PASSWORD="$CARILLON_ADMIN_PASSWORD"
start() {
	"$@" >$DIR/log 2>&1 & engine=$!
	tries=0
	until $BIN get pool >/dev/null 2>&1; do
		tries=$((tries+1)); if [ $tries -gt 200 ]; then cat $DIR/log; exit 1; fi
		sleep 0.05
	done
}
trap 'kill $engine $other 2>/dev/null; wait' EXIT
$BIN run --store none --listen udp://10.9.0.1:5090 --server 127.0.0.1:5999 >$DIR/other.log 2>&1 & other=$!
ulimit -n 256
start $BIN run --name gone --data $DIR/data
$BIN apply -f $DIR/sick.yaml --wait 20s >/dev/null 2>$DIR/apply.err || true
kill $engine; wait $engine || true
start setpriv --bounding-set=-net_admin,-net_raw $BIN run --name here --data $DIR/data
$BIN apply -f $DIR/sick.yaml --wait 20s >/dev/null 2>&1 || true
$BIN doctor || echo "status $?"
echo ======
echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
$BIN apply -f $DIR/nonlocal.yaml --wait 20s >/dev/null 2>&1 || true
$BIN doctor --virtualservice nonlocal --no-probe || echo "status $?"
`

const sickFile = `
VirtualService:
- {name: lan, fqdn: nowhere.invalid, services: [5060], vsvip_ref: lan, pool_ref: farm}
- {name: away, services: [5060], vsvip_ref: away, pool_ref: farm}
- {name: taken, services: [5090], vsvip_ref: lan, pool_ref: farm}
- {name: loop, services: [5070], vsvip_ref: loop, pool_ref: farm}
- {name: off, enabled: false, services: [5071], vsvip_ref: loop, pool_ref: farm}
VsVip:
- {name: lan, vip: [10.9.0.1]}
- {name: away, vip: [10.9.0.77]}
- {name: loop, vip: [127.0.0.9]}
Pool:
- name: farm
  lb_algorithm: round-robin
  servers: ["10.9.0.2:5060", "192.0.2.55:5060"]
`

// Each thing that doctor looks for is provoked on a machine of its own, and it says so, with what to do.
func TestDoctorFinds(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no doctor")
	}
	lab.Require(t, "ip", "unshare", "setpriv")
	lab.RequireIsolation(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"sick.yaml": sickFile, "nonlocal.yaml": `
VirtualService: [{name: nonlocal, services: [5061], vsvip_ref: nonlocal, pool_ref: farm}]
VsVip: [{name: nonlocal, vip: [10.9.0.78]}]
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "sh", "-c", sick)
	cmd.Env = append(os.Environ(), "BIN="+lab.Carillon(t), "DIR="+dir, "CARILLON_ADMIN_PASSWORD="+lab.AdminPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	says(t, string(out),
		`warn +engine gone: is not running\n +Start it, or 'carillon delete serviceengine gone'`,
		`bad +engine here: cannot run VirtualService/away: .*assign.*\n +The address is not one of its machine`,
		`bad +engine here: cannot run VirtualService/taken: .* is taken by carillon .*\n +Another program has the port: 'ss -lntup'`,
		`warn +name of lan: fqdn nowhere.invalid does not resolve here`,
		`ok +addresses of lan: 10.9.0.1:5060 is one of this machine`,
		`warn +addresses of loop: 127.0.0.9:5070 is of loopback`,
		`warn +route to 10.9.0.2:5060 from 10.9.0.1: leaves from 10.9.0.1, and packets there are of at most 1300 octets`,
		`bad +route to 192.0.2.55:5060 from 10.9.0.1: .*unreachable\n +'ip route get 192.0.2.55 from 10.9.0.1' tells more`,
		`bad +route to 10.9.0.2:5060 from 127.0.0.9: nothing gets from loopback to another machine`,
		`warn +open files of engine here: \d+ are open, and 256 may be`,
		`(warn|ok) +rmem_max: \d+ octets`,
		`(warn|ok) +clock: `,
		`bad +OPTIONS through lan, udp 10.9.0.1:5060: `,
		`status 1\n`,
		`======\n(.*\n)*bad +addresses of nonlocal: the engine listens on 10.9.0.78:5061, which no interface of this machine has`)
}

// expectLegs wants the probes in a capture file: segments on the legs of TCP and TLS, datagrams on all others.
func expectLegs(t *testing.T, file string, listen, secure netip.AddrPort) {
	t.Helper()
	for filter, want := range map[string]int{
		"sip && tcp.port == " + strconv.Itoa(int(listen.Port())): 4, "sip && tcp.port == " + strconv.Itoa(int(secure.Port())): 4, "sip && udp": 16,
		"_ws.malformed || tcp.analysis.flags": 0,
	} {
		out, err := exec.Command("tshark", "-r", file, "-d", "tcp.port==1-65535,sip", "-d", "udp.port==1-65535,sip", "-Y", filter).Output()
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		if got := strings.Count(string(out), "\n"); got != want {
			t.Errorf("%s: %d packets, want %d\n%s", filter, got, want, out)
		}
	}
}

// says wants every pattern in a text.
func says(t *testing.T, text string, patterns ...string) {
	t.Helper()
	missing := false
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			missing = true
			t.Errorf("nothing says %s", p)
		}
	}
	if missing {
		t.Log(text)
	}
}

// Where all is well doctor's probes go through each listener, over UDP, TCP and TLS, and it tells of the certificate; with a
// server that is silent, and with a name that the certificate is not for, it says so.
func TestDoctorProbes(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no doctor")
	}
	listen, servers := lab.Addrs(t, "127.0.0.1", "127.0.0.1"), lab.Addrs(t, "127.0.0.2")
	lab.Require(t, "tshark")
	lab.StartAnswerer(t, servers[0], false)
	dir, api := t.TempDir(), lab.NewAPI(t, lab.TCPAddr(t))
	p := startKept(t, dir, api)
	tool := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), lab.Carillon(t), args...)
		cmd.Env = append(os.Environ(), shellEnv(dir, api)...)
		out, _ := cmd.CombinedOutput() // doctor's status says what it found
		return string(out)
	}
	if said := tool("apply", "-f", streamFile(t, listen[0], listen[1], "udp", servers), "--wait", "10s"); strings.Contains(said, "carillon:") {
		t.Fatal(said)
	}
	file := filepath.Join(dir, "probes.pcapng")
	const messages = 3 * 2 * 2 // listeners, methods, request and response
	trace := lab.Start(t, lab.Command{Name: "trace", Path: lab.Carillon(t), Args: []string{"trace", "--pcap", file, "--count", strconv.Itoa(messages)}, Env: shellEnv(dir, api)})
	trace.WaitLine("Tracing")
	text := tool("doctor")
	if status := trace.WaitExit(lab.Patience); status != 0 {
		t.Errorf("trace: status %d\n%s", status, trace.Output())
	}
	expectLegs(t, file, listen[0], listen[1])
	for _, over := range []string{"udp " + listen[0].String(), "tcp " + listen[0].String(), "tls " + listen[1].String()} {
		says(t, text, `ok +OPTIONS through vs, `+regexp.QuoteMeta(over)+`: 200 OK after`, `ok +REGISTER through vs, `+regexp.QuoteMeta(over)+`: 200 OK after`)
	}
	says(t, text, `ok +certificate of vs, `+regexp.QuoteMeta(listen[1].String())+`: is for example.com, signed by example.com, until \d{4}-\d\d-\d\d .*: \d+ days are left`,
		`ok +routes of pool pool: to 1 server: leaves from 127.0.0.1, MTU \d+`, `ok +pool pool: 1 of 1 server up`)
	tool("shell", "-c", "configure virtualservice vs --fqdn other.example.com")
	says(t, tool("doctor"), `bad +certificate of vs, .*: it is not for other.example.com, which callers dial`)

	quiet := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), servers[0].Port())
	lab.StartAnswerer(t, quiet, true)
	tool("shell", "-c", "configure pool pool", "-c", "no servers", "-c", "servers "+quiet.String(), "-c", "save")
	says(t, tool("doctor", "--virtualservice", "vs"), `bad +REGISTER through vs, tcp .*: no answer from .* within 4s`, `bad +OPTIONS through vs, udp .*: no answer`)
	p.Kill()
}
