package engine

import (
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// What an engine of so many services may cost.
const (
	manyServices   = 1000
	manyServers    = 20 // of each pool
	mostStart      = 5 * time.Second
	mostApply      = 100 * time.Millisecond // of the quickest change of each kind: others are as slow as the machine is busy
	mostResidentMB = 250
	mostThreads    = 64
)

// farm is a set of many virtual services, each with a port and a pool of its own.
func farm(services, servers, port int) *object.Set {
	set := &object.Set{}
	hm := object.New[object.HealthMonitor]("hm")
	hm.Type, hm.SendIntervalS, hm.DisableQuickstart = object.MonitorSIP, 3600, true
	set.HealthMonitors = []*object.HealthMonitor{&hm}
	for i := range services {
		name := fmt.Sprintf("service-%04d", i)
		vip := object.New[object.VsVip](name)
		vip.Vip = []object.Vip{{VipID: "1", Enabled: true, IPAddress: netip.MustParseAddr("127.0.0.1")}}
		pool := object.New[object.Pool](name)
		pool.LBAlgorithm, pool.LBAlgorithmHash = object.ConsistentHash, object.HashCallID
		pool.HealthMonitorRefs = []string{"hm"}
		for j := range servers {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1 + byte(i>>8), byte(i), 1 + byte(j)}), 5060)
			pool.Servers = append(pool.Servers, object.NewServer(a))
		}
		vs := object.New[object.VirtualService](name)
		vs.UUID, pool.UUID = "virtualservice-"+name, "pool-"+name
		vs.VsVipRef, vs.PoolRef = name, name
		vs.ApplicationProfileRef, vs.NetworkProfileRef = object.SystemSIP, object.SystemUDPProxy
		vs.Services = []object.Service{{Port: uint16(port + i)}}
		set.VsVips, set.Pools = append(set.VsVips, &vip), append(set.Pools, &pool)
		set.VirtualServices = append(set.VirtualServices, &vs)
	}
	return set
}

// copied is a set of which one of many objects of a kind may be changed: as who follows a store makes it, with all
// that did not change shared.
func copied(s *object.Set) *object.Set {
	c := *s
	c.VirtualServices, c.Pools = slices.Clone(s.VirtualServices), slices.Clone(s.Pools)
	c.ApplicationProfiles = slices.Clone(s.ApplicationProfiles)
	return &c
}

// own is a copy, in its place, of the object that a pointer of a list leads to.
func own[T any](at **T) *T {
	o := **at
	*at = &o
	return &o
}

// processValue reads a line of /proc/self/status: VmRSS in kB, or Threads.
func processValue(t testing.TB, key string) int {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	t.Fatalf("no %s in /proc/self/status", key)
	return 0
}

// A thousand virtual services: the start, one change, memory, threads and the CPU of doing nothing.
func TestManyServices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	services := manyServices
	if n, err := strconv.Atoi(os.Getenv("CARILLON_SERVICES")); err == nil {
		services = n
	}
	set := farm(services, manyServers, 20000)
	begin := time.Now()
	e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	started := time.Since(begin)
	var took []time.Duration
	quickest := [...]time.Duration{time.Hour, time.Hour, time.Hour, time.Hour} // by kind of change
	for i := range 201 {
		set = copied(set)
		at := i * 7 % services
		switch i % 4 {
		case 0: // a server more, or less
			p := own(&set.Pools[at])
			p.Servers = append(slices.Clone(p.Servers), object.NewServer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, byte(at), byte(i)}), 5060)))
		case 1:
			own(&set.VirtualServices[at]).Services = []object.Service{{Port: uint16(20000 + services + i)}}
		case 2:
			p := own(&set.Pools[at])
			p.Servers = slices.Clone(p.Servers)
			p.Servers[0].Enabled = !p.Servers[0].Enabled
		case 3:
			app := object.New[object.ApplicationProfile]("app")
			app.Type, app.SIPServiceProfile.TransactionTimeoutS = object.ApplicationSIP, 2+i
			set.ApplicationProfiles = []*object.ApplicationProfile{&app}
			own(&set.VirtualServices[at]).ApplicationProfileRef = "app"
		}
		begin := time.Now()
		if err := e.Apply(set, uint64(i+2)); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			took = append(took, time.Since(begin))
			quickest[i%4] = min(quickest[i%4], time.Since(begin))
		}
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	resident := 0
	for end := time.Now().Add(30 * time.Second); ; { // what is measured is an engine at rest, which it may take a while to come to
		time.Sleep(2 * time.Second)
		debug.FreeOSMemory()
		if resident = processValue(t, "VmRSS") / 1024; resident <= mostResidentMB || time.Now().After(end) {
			break
		}
	}
	cpu := cpuTime()
	time.Sleep(2 * time.Second)
	idle := (cpuTime() - cpu).Seconds() / 2 * 100
	threads := processValue(t, "Threads")
	t.Logf("%d services of %d servers: start %v, one change p50 %v p99 %v most %v, quickest of each kind %v, %d MB resident, %d threads, idle %.1f %% of a CPU",
		services, manyServers, started, p50, p99, took[len(took)-1], quickest, resident, threads, idle)
	if started > mostStart || slices.Max(quickest[:]) > mostApply || resident > mostResidentMB || threads > mostThreads {
		t.Errorf("want a start below %v, a change below %v, %d MB and %d threads", mostStart, mostApply, mostResidentMB, mostThreads)
	}
}
