//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// needed are the programs, or other files, that the benchmark needs, and the Debian packages they come in.
var needed = []struct{ program, pkg string }{{"cc", "gcc libc6-dev"}, {"kamailio", "kamailio"}, {"/usr/include/openssl/ssl.h", "libssl-dev"},
	{"/usr/lib/*/kamailio/modules/tls.so", "kamailio-tls-modules"}}

// prepare installs what is missing and builds everything that is measured or measures.
func prepare(p plan) error {
	dir := filepath.Join(".cache", "bench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := install(); err != nil {
		return err
	}
	sources, err := filepath.Glob("bench/sipgen/*.c")
	if err != nil || len(sources) == 0 {
		return errors.New("bench/sipgen is not here: run bench/run from the repository")
	}
	flags := []string{"-O2", "-march=native", "-flto", "-pthread", "-o"}
	builds := [][]string{
		append(append(append(append([]string{"cc"}, flags...), filepath.Join(dir, "sipgen")), sources...), "-lssl", "-lcrypto"),
		{"cc", "-O2", "-march=native", "-o", filepath.Join(dir, "relay"), "bench/relay/relay.c"},
	}
	if p.carillon == "" {
		builds = append(builds, []string{"go", "build", "-o", filepath.Join(dir, "carillon"), "./cmd/carillon"})
	}
	if p.wants("micro") {
		for _, pkg := range microPackages {
			builds = append(builds, testBuild(dir, pkg))
		}
	}
	if p.wants("workers") {
		builds = append(builds, testBuild(dir, drainPackage))
	}
	for _, args := range builds {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// testBuild builds the benchmarks of a package.
func testBuild(dir, pkg string) []string {
	return []string{"go", "test", "-c", "-o", testBinary(dir, pkg), "./" + pkg}
}

func missing() (programs, packages []string) {
	for _, n := range needed {
		if _, err := lookup(n.program); err != nil {
			programs = append(programs, n.program)
			packages = append(packages, strings.Fields(n.pkg)...)
		}
	}
	return programs, packages
}

// lookup finds a program also where a user's PATH does not reach, and a file by its pattern.
func lookup(program string) (string, error) {
	if strings.HasPrefix(program, "/") {
		if found, _ := filepath.Glob(program); len(found) > 0 {
			return found[0], nil
		}
		return "", fs.ErrNotExist
	}
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", program)
	_, err := os.Stat(path)
	return path, err
}

// install gets missing programs with apt-get when that is possible, and keeps the packages' services from starting.
func install() error {
	programs, packages := missing()
	if len(programs) == 0 {
		return nil
	}
	hint := fmt.Errorf("missing: %s. Get it with: apt-get install --no-install-recommends %s", strings.Join(programs, ", "), strings.Join(packages, " "))
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return hint
	}
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err == nil {
			defer os.Remove(policy)
		}
	}
	fmt.Fprintf(os.Stderr, "bench: installing %s\n", strings.Join(packages, " "))
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)} {
		cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s\n%w", args[0], err, out, hint)
		}
	}
	return nil
}

// loopbackUp sets lo up, which it is not in a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	if lo.Uint16()&unix.IFF_UP != 0 {
		return nil
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("setting lo up: %w", err)
	}
	return nil
}

// raiseWeight gives the session more of the CPUs than other work on the machine gets. Where it may not, the figures are
// only noisier, so the error does not matter.
func raiseWeight() {
	_ = os.WriteFile("/proc/self/autogroup", []byte("-20"), 0)
}
