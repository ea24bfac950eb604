package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// Avi's own Ansible modules, as the distribution has them, build a virtual service; a second run changes nothing; an
// edit changes one thing; a patch adds a server; and all goes away again.
func TestAnsible(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	lab.Require(t, "ansible-playbook")
	api := startAlone(t)
	play := func(changed int, args ...string) {
		t.Helper()
		args = append([]string{"-i", "localhost,", "-e", "controller=" + api.Addr, "-e", "password='" + lab.AdminPassword + "'"}, args...)
		cmd := exec.Command("ansible-playbook", args...)
		cmd.Dir = "../test/ansible"
		cmd.Env = append(os.Environ(), "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCAL_TEMP="+t.TempDir(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		m := regexp.MustCompile(`changed=(\d+)\s+unreachable=0\s+failed=0`).FindStringSubmatch(string(out))
		if err != nil || m == nil || m[1] != strconv.Itoa(changed) {
			t.Fatalf("ansible-playbook %s: %v, want changed=%d\n%s", strings.Join(args, " "), err, changed, out)
		}
	}
	play(6, "present.yml")
	play(0, "present.yml")
	play(1, "present.yml", "-e", "drain=7")
	play(1, "present.yml", "-e", "drain=7", "-e", "patch=true")
	if n := len(api.Named("pool", "sip-pool")["servers"].([]any)); n != 3 {
		t.Errorf("%d servers after a patch, want 3", n)
	}
	play(6, "absent.yml")
	play(0, "absent.yml")
}

// VMware's Go SDK drives the program in a module of its own.
func TestGoSDK(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no API")
	}
	cmd := exec.Command("go", "test", "-count=1", "./...")
	cmd.Dir = "../test/albsdk"
	cmd.Env = append(os.Environ(), "CARILLON_BIN="+lab.Carillon(t), "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// startAlone starts a balancer with an API and nothing configured.
func startAlone(t *testing.T) *lab.API {
	t.Helper()
	api := lab.NewAPI(t, lab.TCPAddr(t))
	p := lab.Start(t, lab.Command{Name: "carillon", Path: lab.Carillon(t), Args: []string{"run", "--data", filepath.Join(t.TempDir(), "data"), "--api", api.Addr},
		Env: []string{"CARILLON_ADMIN_PASSWORD=" + lab.AdminPassword}})
	p.WaitLine(`"msg":"API"`)
	return api
}
