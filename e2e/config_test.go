package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// change is one edition of the file while calls run.
type change struct {
	what    string
	atCall  int   // placed before the change
	servers []int // in the file, by index
	drained []int
	sighup  bool      // tell the process; otherwise it must notice by itself
	applied time.Time // when the log said so
}

// Servers are added, removed, drained and brought back by changes of the file while calls run: none fails, none moves,
// and new calls go where the file says.
func TestReload(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no files of objects")
	}
	l := load{calls: 6000, rate: 500, hold: 400 * time.Millisecond}
	if testing.Short() {
		l.calls, l.rate = 3000, 400
	}
	for name, recordRoute := range map[string]bool{"Record-Route": true, "no Record-Route": false} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !recordRoute {
				t.Skip("the other half is enough for -short")
			}
			reload(t, l, recordRoute)
		})
	}
}

func reload(t *testing.T, l load, recordRoute bool) {
	changes := []*change{
		{what: "server4 added", atCall: l.calls * 1 / 10, servers: []int{0, 1, 2, 3}},
		{what: "server1 removed", atCall: l.calls * 3 / 10, servers: []int{1, 2, 3}, sighup: true},
		{what: "server2 drains", atCall: l.calls * 5 / 10, servers: []int{1, 2, 3}, drained: []int{1}},
		{what: "server1 and server2 are back", atCall: l.calls * 7 / 10, servers: []int{0, 1, 2, 3}, sighup: true},
	}
	f := &farm{t: t, addrs: lab.Addrs(t, "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"), wire: lab.StartCapture(t), scenario: "server"}
	f.names = f.wire.Names
	for i := range f.addrs {
		f.servers = append(f.servers, f.startServer(i))
	}
	file := filepath.Join(t.TempDir(), "lb.yaml")
	objects := lab.Objects{Listen: lab.Addrs(t, "127.0.0.1"), RecordRoute: recordRoute, HealthIntervalS: 2}
	write := func(c *change) {
		objects.Servers = nil
		for _, i := range c.servers {
			objects.Servers = append(objects.Servers, lab.PoolServer{Addr: f.addrs[i], Disabled: slices.Contains(c.drained, i)})
		}
		objects.Write(t, file)
	}
	write(&change{servers: []int{0, 1, 2}})
	f.balancer = lab.StartBalancer(t, lab.Setup{Listen: objects.Listen, File: file})
	f.balancer.AwaitServers(3)
	f.names[f.balancer.Addr] = "balancer"

	caller := f.start(l, f.balancer.Addr)
	for n, c := range changes {
		f.awaitCall(c.atCall)
		write(c)
		if c.sighup {
			f.balancer.Signal(syscall.SIGHUP)
		}
		f.balancer.WaitLines("configuration applied", n+1)
		f.balancer.AwaitServers(len(c.servers) - len(c.drained))
		c.applied = time.Now()
	}
	courses := f.finish(caller, l)
	f.expectWhole(courses, l.calls)
	f.expectPlaces(courses, changes)
}

// expectPlaces checks that calls of the time after each change went to the servers it names, and to each of them.
func (f *farm) expectPlaces(courses []*lab.Course, changes []*change) {
	f.t.Helper()
	faults := lab.Faults{Names: f.names}
	for n, c := range changes {
		until := time.Now()
		if n+1 < len(changes) {
			// The next file is written when a certain call has been placed, and may be in force before the log says so.
			until = f.startOf(courses, changes[n+1].atCall)
		}
		count := make(map[netip.AddrPort]int)
		for _, call := range courses {
			if !call.Start.After(c.applied) || !call.Start.Before(until) {
				continue
			}
			count[call.Server]++
			for i, a := range f.addrs {
				if call.Server == a && (!slices.Contains(c.servers, i) || slices.Contains(c.drained, i)) {
					faults.Add(call.Messages, "after %q a new call on server%d", c.what, i+1)
				}
			}
		}
		for _, i := range c.servers {
			if count[f.addrs[i]] == 0 && !slices.Contains(c.drained, i) {
				f.t.Errorf("after %q no call on server%d", c.what, i+1)
			}
		}
		f.t.Logf("after %q: new calls on servers 1 to 4: %d %d %d %d", c.what, count[f.addrs[0]], count[f.addrs[1]], count[f.addrs[2]], count[f.addrs[3]])
	}
	faults.Report(f.t)
}

// startOf is when the n-th call was placed.
func (f *farm) startOf(courses []*lab.Course, n int) time.Time {
	f.t.Helper()
	prefix := fmt.Sprint(n) + ".caller@"
	for _, c := range courses {
		if strings.HasPrefix(c.ID, prefix) {
			return c.Start
		}
	}
	f.t.Fatalf("call %d is not on the wire", n)
	return time.Time{}
}

// A file that is wrong is refused with a line that says where and what, and what ran goes on.
func TestReloadRefused(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no files of objects")
	}
	server := lab.Addr(t, "127.0.0.11")
	lab.StartAnswerer(t, server, false)
	file := filepath.Join(t.TempDir(), "lb.yaml")
	objects := lab.Objects{Listen: lab.Addrs(t, "127.0.0.1"), Servers: []lab.PoolServer{{Addr: server}}}
	objects.Write(t, file)
	b := lab.StartBalancer(t, lab.Setup{Listen: objects.Listen, File: file})
	good := objects.YAML()
	for _, bad := range []struct {
		name, text string
		want       []string // in the line
	}{
		{"unknown field", strings.Replace(good, "lb_algorithm:", "lb_algorythm:", 1), []string{"lb.yaml", "Pool", "servers", "lb_algorythm", "lb_algorithm"}},
		{"wrong type", strings.Replace(good, "port: ", "port: x", 1), []string{"lb.yaml", "Pool", "servers", "port"}},
		{"out of range", strings.Replace(good, "port: ", "port: 7", 1), []string{"lb.yaml", "Pool", "servers", "port", "65535"}},
		{"dead reference", strings.Replace(good, "pool_ref: servers", "pool_ref: nobody", 1), []string{"lb.yaml", "VirtualService", "pool_ref", "nobody"}},
		{"no YAML", good + "\n\t: [", []string{"lb.yaml"}},
		{"empty", "", []string{"lb.yaml"}},
	} {
		mark := b.Mark()
		lab.WriteWhole(t, file, bad.text)
		b.Signal(syscall.SIGHUP)
		pattern := "configuration refused"
		for _, word := range bad.want {
			pattern += ".*" + regexp.QuoteMeta(word)
		}
		line := b.WaitLineAfter(mark, pattern)
		t.Logf("%s: %s", bad.name, line)
		lab.AwaitSIP(t, b.Process, b.Addr)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	b.Signal(syscall.SIGHUP)
	b.WaitLine("configuration refused.*no such file")
	mark := b.Mark()
	objects.Write(t, file)
	b.WaitLineAfter(mark, "configuration applied")
	lab.AwaitSIP(t, b.Process, b.Addr)
}

// A virtual service comes and goes by a change of the file.
func TestReloadListeners(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no files of objects")
	}
	server := lab.Addr(t, "127.0.0.11")
	lab.StartAnswerer(t, server, false)
	file := filepath.Join(t.TempDir(), "lb.yaml")
	listen := lab.Addrs(t, "127.0.0.1", "127.0.0.1", "::1")
	objects := lab.Objects{Listen: listen[:1], Servers: []lab.PoolServer{{Addr: server}}}
	objects.Write(t, file)
	b := lab.StartBalancer(t, lab.Setup{Listen: listen, File: file})
	objects.Listen = listen
	objects.Write(t, file)
	b.WaitLine("configuration applied")
	for _, a := range listen {
		lab.AwaitSIP(t, b.Process, a)
	}
	objects.Listen = listen[:1]
	objects.Write(t, file)
	b.WaitLines("configuration applied", 2)
	lab.AwaitSIP(t, b.Process, listen[0])
	// The sockets of the others linger for what they still have to answer; they must not be in the way of their return.
	objects.Listen = listen
	objects.Write(t, file)
	b.WaitLines("configuration applied", 3)
	for _, a := range listen {
		lab.AwaitSIP(t, b.Process, a)
	}
}
