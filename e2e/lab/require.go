//go:build linux

package lab

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Patience is how long anything may take to become ready. It is only ever used up by a failure.
const Patience = time.Minute

// packages names the Debian package of each program.
var packages = map[string]string{"sipp": "sip-tester", "baresip": "baresip-core", "kamailio": "kamailio", "tshark": "tshark",
	"openssl": "openssl"}

// Require ends the test when one of the programs is not installed: with a failure where nothing may be missing (CI, or
// CARILLON_E2E=require), elsewhere with a skip that says how to get it.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	var missing, install []string
	for _, program := range programs {
		if path(program) == "" {
			missing = append(missing, program)
			install = append(install, packages[program])
		}
	}
	if len(missing) > 0 {
		Missing(t, strings.Join(missing, ", "), "apt-get install "+strings.Join(install, " ")+", or sh e2e/install.sh")
	}
}

// Missing ends the test because of what it needs and this machine has not: a failure in CI, a skip elsewhere.
func Missing(t testing.TB, what, remedy string) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("CARILLON_E2E") == "require" {
		t.Fatalf("missing: %s; get it with: %s", what, remedy)
	}
	t.Skipf("missing: %s; get it with: %s", what, remedy)
}

// RequireIsolation ends the test when it does not run in a network of its own: it sends what must not leave.
func RequireIsolation(t testing.TB) {
	t.Helper()
	if !isolated {
		Missing(t, "a network namespace", "run as root, or allow unprivileged user namespaces")
	}
}

// path finds a program; root's PATH has /usr/sbin, where Kamailio lives, a user's often has not.
func path(program string) string {
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	if p := "/usr/sbin/" + program; exec.Command(p, "-v").Run() == nil {
		return p
	}
	return ""
}
