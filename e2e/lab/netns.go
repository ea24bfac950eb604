//go:build linux

// Package lab is the test bench of the end-to-end tests: it starts real programs (the balancer, SIPp, baresip,
// Kamailio), waits until each says it is ready, records every SIP message between them and prints the ladder of a
// call that failed.
package lab

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv marks the child that lives in the network namespace.
const insideEnv = "CARILLON_E2E_INSIDE"

// isolated says that this process has a network of its own: nobody else's ports, and no way out of the machine.
var isolated = os.Getenv(insideEnv) != ""

// Main runs the tests in a network namespace of their own, so that ports never clash with a neighbour's and a stray
// datagram can't leave. Without the right to make one (no root, no user namespaces) the tests run where they are.
func Main(m *testing.M) {
	if isolated {
		if err := setUpLoopback(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: loopback of the namespace:", err)
			os.Exit(1)
		}
		os.Exit(finish(m))
	}
	code, err := runInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: no network namespace, running without:", err)
		os.Exit(finish(m))
	}
	os.Exit(code)
}

// sideBySide is how many tests that call t.Parallel run at a time. They mostly wait, for a server to come back or a slow
// peer to be given up, so there may be more of them than there are processors.
const sideBySide = "4"

// finish runs the tests and takes away what they built for all of them.
func finish(m *testing.M) int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", sideBySide); err != nil {
			panic(err) // testing has another name for it now
		}
	}
	code := m.Run()
	removeBuild()
	return code
}

// runInside starts this test binary again in a new network namespace and returns its exit code.
func runInside() (int, error) {
	// The parent-death signal follows the thread that forked, so that thread must live as long as the child.
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() < 0 {
		return 1, nil // killed by a signal
	} else if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// setUpLoopback brings lo up, which gives it 127.0.0.0/8 and ::1, and limits what passes it to one segment a packet:
// without the limit, datagrams sent as one UDP_SEGMENT batch would pass the capture as one large packet.
// It is "ip link set lo up gso_max_segs 1" in rtnetlink's own words.
func setUpLoopback() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer unix.Close(fd)
	native := binary.NativeEndian
	info := []byte{unix.AF_UNSPEC, 0, 0, 0} // struct ifinfomsg: family, padding, type
	info = native.AppendUint32(info, uint32(lo.Index))
	info = native.AppendUint32(info, unix.IFF_UP) // flags
	info = native.AppendUint32(info, unix.IFF_UP) // which of them change
	info = native.AppendUint16(info, 8)           // struct rtattr: length, type
	info = native.AppendUint16(info, unix.IFLA_GSO_MAX_SEGS)
	info = native.AppendUint32(info, 1)
	request := native.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(info)))
	request = native.AppendUint16(request, unix.RTM_SETLINK)
	request = native.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	request = append(request, make([]byte, 8)...) // sequence, port
	request = append(request, info...)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.NLMSG_HDRLEN+4 {
		return fmt.Errorf("netlink answered %d octets: %w", n, err)
	}
	if errno := -int32(native.Uint32(answer[unix.NLMSG_HDRLEN:])); errno != 0 {
		return fmt.Errorf("netlink: %w", syscall.Errno(errno))
	}
	return nil
}
