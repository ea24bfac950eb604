package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// What the command says and how it ends when it is used wrongly or can't do what it is asked.
// shownPlace is a line of a file that is shown, or the caret below it.
var shownPlace = regexp.MustCompile(`^ +[0-9]* \|`)

func TestCommandLine(t *testing.T) {
	if lab.StandIn() {
		t.Skip("it is about Carillon")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // somebody else reads the secret, too
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	secret := lab.SecretFile(t, dir)
	free := lab.Addr(t, "127.0.0.1")
	server := lab.Addr(t, "127.0.0.11")
	lab.StartAnswerer(t, server, false)
	holder := lab.StartBalancer(t, lab.Setup{Listen: lab.Addrs(t, "127.0.0.1"), Servers: []netip.AddrPort{server}})
	held := holder.Addr
	good := filepath.Join(dir, "good.yaml")
	objects := lab.Objects{Listen: lab.Addrs(t, "127.0.0.1"), Servers: []lab.PoolServer{{Addr: server}}, HealthIntervalS: 2}
	objects.Write(t, good)
	bad := filepath.Join(dir, "bad.yaml")
	lab.WriteWhole(t, bad, strings.Replace(objects.YAML(), "lb_algorithm: consistent-hash", "lb_algorithm: consistent-hush", 1))
	unreadable := filepath.Join(dir, "nowhere.yaml")
	run := func(args ...string) []string {
		return append([]string{"run", "--store", "none", "--secret-file", secret}, args...)
	}
	for _, c := range []invocation{
		{name: "port in use", args: run("--listen", "udp://"+held.String(), "--server", server.String()), code: 1,
			want: []string{held.String(), "in use", "carillon", fmt.Sprint(holder.PID())}},
		{name: "metrics port in use", args: run("--listen", "udp://"+free.String(), "--server", server.String(), "--metrics", holder.MetricsAddr()), code: 1,
			want: []string{holder.MetricsAddr(), "in use"}},
		{name: "low port", args: run("--listen", "udp://127.0.0.1:1023", "--server", server.String()), user: 65534, code: 1, want: []string{"127.0.0.1:1023", "permission"}},
		{name: "address of another machine", args: run("--listen", "udp://192.0.2.1:5060", "--server", server.String()), code: 1, want: []string{"192.0.2.1:5060", "cannot assign"}},
		{name: "wrong flag", args: []string{"run", "--liste", "udp://:5060"}, code: 2, want: []string{"--liste"}},
		{name: "wrong listen", args: run("--listen", "udp://127.0.0.1:sip", "--server", server.String()), code: 2, want: []string{"--listen", "127.0.0.1:sip"}},
		{name: "wrong server", args: run("--listen", "udp://"+free.String(), "--server", "10.0.0:5060"), code: 2, want: []string{"--server", "10.0.0:5060"}},
		{name: "nothing to run", args: []string{"run", "--store", "none"}, code: 2, want: []string{"--listen"}},
		{name: "unknown command", args: []string{"rum"}, code: 2, want: []string{"rum"}},
		{name: "no secret", args: []string{"run", "--store", "none", "--secret-file", unreadable, "--listen", "udp://" + free.String(), "--server", server.String()}, code: 1,
			want: []string{"secret", unreadable, "make one with"}},
		{name: "no file", args: run("-f", unreadable), code: 1, want: []string{unreadable}},
		{name: "bad file", args: run("-f", bad), code: 1, want: []string{"bad.yaml", "Pool", "lb_algorithm", "consistent-hush", "consistent-hash"}},
		{name: "validate good", args: []string{"validate", "-f", good}, code: 0, want: []string{"good"}},
		{name: "validate bad", args: []string{"validate", "-f", bad}, code: 1, want: []string{"bad.yaml", "Pool", "lb_algorithm", "consistent-hush", "consistent-hash"}},
		{name: "validate nothing", args: []string{"validate", "-f", unreadable}, code: 1, want: []string{unreadable}},
	} {
		t.Run(c.name, c.run)
	}
	holder.Signal(syscall.SIGTERM)
	if code := holder.WaitExit(lab.Patience); code != 0 {
		t.Errorf("SIGTERM: exit status %d, want 0", code)
	}
}

// invocation is a call of the command that ends by itself.
type invocation struct {
	name string
	args []string
	user uint32
	code int
	want []string // in its one line
}

func (c invocation) run(t *testing.T) {
	if c.user != 0 && os.Getuid() != 0 {
		t.Skip("only root can run it as somebody else")
	}
	p := lab.Start(t, lab.Command{Name: "carillon", Path: lab.Carillon(t), Args: c.args, User: c.user})
	code := p.WaitExit(lab.Patience)
	// Log lines are JSON; "Try ..." is the hint after wrong usage; what has a bar shows a place in a file. What is left is the one clear line.
	var lines []string
	for _, line := range strings.Split(p.Output(), "\n") {
		if line != "" && !strings.HasPrefix(line, "{") && !strings.HasPrefix(line, "Try ") && !shownPlace.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if code != c.code || len(lines) != 1 {
		t.Errorf("exit status %d, want %d; %d lines, want 1:\n%s", code, c.code, len(lines), p.Output())
	}
	for _, word := range c.want {
		if !strings.Contains(p.Output(), word) {
			t.Errorf("%q does not say %q", p.Output(), word)
		}
	}
	t.Log(strings.Join(lines, "\n"))
}
