package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// terminal is a tmux with one program in it.
type terminal struct {
	t      *testing.T
	socket string
}

func startTerminal(t *testing.T, command string) *terminal {
	t.Helper()
	tm := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	tm.tmux("new-session", "-d", "-x", "100", "-y", "40", command)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", tm.socket, "kill-server").Run() }) // it may have ended with its program
	return tm
}

func (tm *terminal) tmux(args ...string) string {
	tm.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", tm.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		tm.t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// press sends keys, text and names of keys such as Enter, once the screen rests: while the line editor asks the terminal
// where the cursor is, it takes what comes for the answer.
func (tm *terminal) press(keys ...string) {
	tm.t.Helper()
	before, same := "", 0
	for deadline := time.Now().Add(10 * time.Second); same < 4 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		screen := tm.tmux("capture-pane", "-p")
		if same++; screen != before || !strings.Contains(screen, ">") {
			before, same = screen, 0
		}
	}
	tm.tmux(append([]string{"send-keys"}, keys...)...)
}

// shows waits until the screen has a text.
func (tm *terminal) shows(text string) {
	tm.t.Helper()
	tm.showsWithin(lab.Patience, text)
}

// gone waits until the screen has a text no more.
func (tm *terminal) gone(text string) {
	tm.t.Helper()
	lab.Until(tm.t, "the screen shows no more: "+text, func() bool { return !strings.Contains(tm.tmux("capture-pane", "-p"), text) })
}

func (tm *terminal) showsWithin(limit time.Duration, text string) {
	tm.t.Helper()
	var screen string
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if screen = tm.tmux("capture-pane", "-p"); strings.Contains(screen, text) {
			return
		}
	}
	tm.t.Fatalf("the screen does not show %q:\n%s", text, screen)
}

// The shell on a terminal: TAB, ?, history, Ctrl-C, a narrower window, a lost connection.
func TestShellTerminal(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no shell")
	}
	lab.Require(t, "tmux")
	dir, api := t.TempDir(), lab.NewAPI(t, lab.TCPAddr(t))
	p := startKept(t, dir, api)
	tm := startTerminal(t, "env '"+strings.Join(shellEnv(dir, api), "' '")+"' "+lab.Carillon(t)+" shell")
	tm.shows("]: >")

	tm.press("conf", "Tab")
	tm.shows("> configure")
	tm.press("po", "Tab")
	tm.shows("poolgroup")
	tm.press("C-c")
	tm.shows("^C\n[admin:127.0.0.1]: >")
	tm.press("configure pool edge", "Enter")
	tm.shows("pool>")
	tm.press("lb_algorithm ", "Tab")
	tm.shows("lb_algorithm_round_robin        -- round-robin")
	tm.press("C-u", "graceful?")
	tm.shows("how long a disabled server keeps the calls it has")
	tm.press("C-u", "health_monitor_refs System-T", "Tab")
	tm.shows("System-TCP")

	tm.press("C-u", "servers ip 10.0.0.1 port 5060", "Enter")
	tm.shows("pool:servers>")
	tm.press("C-d")
	tm.shows("save keeps the changes, cancel drops them")
	tm.press("save", "Enter")
	tm.press("C-l", "where", "Enter")
	tm.shows("10.0.0.1")
	tm.press("Up")
	tm.shows("pool> where")
	tm.press("C-u")

	tm.tmux("resize-window", "-x", "50", "-y", "20")
	tm.press("C-l", "do show virtualservice", "Enter")
	tm.shows("| Name | Vip | Ports | Pool | Enabled | State |")
	tm.press("C-l", "graceful_d?")
	tm.shows("  graceful_disable_timeout\n      how long a disabled server keeps the calls\n      it has")
	tm.press("C-u")
	tm.tmux("resize-window", "-x", "100", "-y", "40")

	p.Kill()
	tm.press("C-l", "save", "Enter")
	tm.shows("cannot be reached")
	tm.shows("save tries again, cancel drops it")
	startKept(t, dir, api)
	tm.press("save", "Enter")
	tm.shows("| vrf_ref")
	tm.press("exit", "Enter")
	if got := api.Named("pool", "edge")["servers"].([]any); len(got) != 1 {
		t.Errorf("the pool has %d servers, want 1", len(got))
	}
}

// A session in which nothing was typed for long asks for the password, keeps what was entered, and ends after wrong ones.
func TestShellTimesOut(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no shell")
	}
	lab.Require(t, "tmux")
	dir, api := t.TempDir(), lab.NewAPI(t, lab.TCPAddr(t))
	startKept(t, dir, api)
	tm := startTerminal(t, "env '"+strings.Join(shellEnv(dir, api), "' '")+"' CARILLON_PASSWORD= "+lab.Carillon(t)+" shell; echo It ended with $?; cat")
	tm.shows("Login [admin]:")
	tm.tmux("send-keys", "Enter")
	tm.shows("Password:")
	tm.tmux("send-keys", lab.AdminPassword, "Enter")
	tm.shows("]: >")
	tm.press("terminal", "Enter")
	tm.shows("| 15 mins")
	tm.press("configure pool edge", "Enter")
	tm.shows("pool>")
	tm.press("do terminal session_timeout 1ms", "Enter")
	tm.press("where", "Enter")
	tm.shows("The session has timed out")
	tm.shows("What you entered in pool is kept.")
	tm.shows("Password of admin:")
	tm.tmux("send-keys", "wrong", "Enter")
	tm.shows("Invalid credentials")
	tm.tmux("send-keys", lab.AdminPassword, "Enter")
	tm.shows("Tenant: admin")
	tm.press("C-l")
	tm.gone("Tenant: admin")
	tm.press("where", "Enter")
	for i := range 3 {
		tm.shows("pool is kept.\n" + strings.Repeat("Password of admin:\nInvalid credentials\n", i) + "Password of admin:")
		tm.tmux("send-keys", "wrong", "Enter")
	}
	tm.shows("It ended with 1")
}

// An apply of thousands shows on a terminal how far it is, and leaves nothing of that behind; the end says what became of all.
func TestProgressTerminal(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	lab.Require(t, "tmux")
	dir, api := t.TempDir(), lab.NewAPI(t, lab.TCPAddr(t))
	startKept(t, dir, api)
	const pools = 6000
	var b strings.Builder
	b.WriteString("Pool:\n")
	for i := range pools {
		fmt.Fprintf(&b, "- {name: p%d, health_monitor_refs: [System-SIP], servers: [\"10.0.%d.%d:5060\"]}\n", i, i/250, i%250+1)
	}
	file := filepath.Join(dir, "many.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tm := startTerminal(t, "env '"+strings.Join(shellEnv(dir, api), "' '")+"' "+lab.Carillon(t)+" apply -f "+file+" --wait 60s; echo It ended with $?; cat")
	tm.tmux("resize-window", "-x", "60", "-y", "20")
	tm.shows(" objects, ")
	tm.showsWithin(time.Minute, "pool/p5999 created\n6,000 objects: 6,000 created\nruns on 1 engine\nIt ended with 0")
}

// startKept starts a balancer with an API and what is kept in a directory.
func startKept(t *testing.T, dir string, api *lab.API) *lab.Process {
	t.Helper()
	p := lab.Start(t, lab.Command{Name: "carillon", Path: lab.Carillon(t), Args: []string{"run", "--data", filepath.Join(dir, "data"), "--api", api.Addr},
		Env: []string{"CARILLON_ADMIN_PASSWORD=" + lab.AdminPassword}})
	p.WaitLine(`"msg":"API"`)
	return p
}

// shellEnv are the variables by which commands call it.
func shellEnv(dir string, api *lab.API) []string {
	return []string{"CARILLON_SERVER=https://" + api.Addr, "CARILLON_PASSWORD=" + lab.AdminPassword, "CARILLON_DATA=" + filepath.Join(dir, "data"), "CARILLON_CONFIG=" + filepath.Join(dir, "config.yaml")}
}

// guide is the steps of Avi's SIP guide. Addresses and ports are those of the test.
const guide = `configure applicationprofile sip-app
  type application_profile_type_sip
  sip_service_profile
    transaction_timeout 32
    save
  save
configure networkprofile sip-udp
  profile
    type protocol_type_udp_proxy
    udp_proxy_profile
      session_idle_timeout 60
      save
    save
  save
configure healthmonitor sip-hm
  type health_monitor_sip
  sip_monitor
    sip_request_code sip_options
    sip_response "SIP/2.0"
    save
  save
configure pool sip-pool
  lb_algorithm lb_algorithm_consistent_hash
  lb_algorithm_hash lb_algorithm_consistent_hash_callid
  no inline_health_monitor
  health_monitor_refs sip-hm
  servers ip %s port %d
    save
  save
configure vsvip sip-vip
  vip
    vip_id 1
    ip_address %s
    save
  save
configure virtualservice sip-vs
  application_profile_ref sip-app
  network_profile_ref sip-udp
  vsvip_ref sip-vip
  pool_ref sip-pool
  services port %d
    save
  save
`

// The steps of Avi's SIP guide, typed into an empty controller, and then a thousand calls through what they made.
func TestShellGuide(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no shell")
	}
	dir, api := t.TempDir(), lab.NewAPI(t, lab.TCPAddr(t))
	startKept(t, dir, api)
	server, vip := lab.Addr(t, "127.0.0.11"), lab.Addr(t, "127.0.0.1")
	lab.StartSIPp(t, lab.SIPpSpec{Name: "server", Scenario: "server", Local: server})
	cmd := exec.Command(lab.Carillon(t), "shell")
	cmd.Env = append(os.Environ(), shellEnv(dir, api)...)
	cmd.Stdin = strings.NewReader(fmt.Sprintf(guide, server.Addr(), server.Port(), vip.Addr(), vip.Port()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	uuid := api.Named("pool", "sip-pool")["uuid"].(string)
	lab.Until(t, "the server is up", func() bool {
		_, said, err := api.Try("GET", "/api/pool/"+uuid+"/runtime", nil)
		return err == nil && said["num_servers_up"] == 1.0
	})
	const calls = 1000
	caller := lab.StartSIPp(t, lab.SIPpSpec{Name: "caller", Scenario: "caller", Local: lab.Addr(t, "127.0.0.2"), Remote: vip, Calls: calls, Rate: 500})
	if tally := caller.Finish(loadLimit); tally.Succeeded != calls || tally.Failed != 0 {
		t.Errorf("SIPp: %+v\n%s", tally, caller.Errors())
	}
}
