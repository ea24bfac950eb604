// Package albsdk drives Carillon with VMware's own Go SDK for Avi, unmodified. It is a module of its own: the SDK is
// nobody's dependency but this test's.
package albsdk

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vmware/alb-sdk/go/clients"
	"github.com/vmware/alb-sdk/go/models"
	"github.com/vmware/alb-sdk/go/session"
)

const password = "correct horse battery"

var apiLine = regexp.MustCompile(`https://([0-9.]+:[0-9]+)`)

// start runs carillon and returns where its API is.
func start(t *testing.T) (host string) {
	t.Helper()
	bin := os.Getenv("CARILLON_BIN")
	if bin == "" {
		t.Skip("CARILLON_BIN names no program; go test -run TestGoSDK ./e2e does it all")
	}
	cmd := exec.Command(bin, "run", "--data", t.TempDir(), "--api", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "CARILLON_ADMIN_PASSWORD="+password)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		t.Log(lines.Text())
		if m := apiLine.FindStringSubmatch(lines.Text()); m != nil {
			go func() {
				for lines.Scan() { // the rest, so that nothing waits for a full pipe
				}
			}()
			return m[1]
		}
	}
	t.Fatal("carillon ended without serving its API")
	return ""
}

func p[T any](v T) *T { return &v }

// TestVirtualService walks the smallest program of the SDK: log in, create a whole SIP virtual service, read it by
// name, update, patch, delete.
func TestVirtualService(t *testing.T) {
	host := start(t)
	c, err := clients.NewAviClient(host, "admin", session.SetPassword(password), session.SetInsecure, session.SetTenant("admin"))
	if err != nil {
		t.Fatal("login:", err)
	}
	if v, err := c.AviSession.GetControllerVersion(); err != nil || v != "30.2.1" {
		t.Fatalf("controller version %q, %v", v, err)
	}
	hm, err := c.HealthMonitor.Create(&models.HealthMonitor{Name: p("sip-hm"), Type: p("HEALTH_MONITOR_SIP"), SendInterval: p(int32(5)), ReceiveTimeout: p(int32(2)),
		SipMonitor: &models.HealthMonitorSIP{SipRequestCode: p("SIP_OPTIONS"), SipResponse: p("SIP/2.0")}})
	if err != nil {
		t.Fatal("health monitor:", err)
	}
	app, err := c.ApplicationProfile.Create(&models.ApplicationProfile{Name: p("sip-app"), Type: p("APPLICATION_PROFILE_TYPE_SIP"),
		SipServiceProfile: &models.SipServiceApplicationProfile{TransactionTimeout: p(uint32(64))}})
	if err != nil {
		t.Fatal("application profile:", err)
	}
	network, err := c.NetworkProfile.Create(&models.NetworkProfile{Name: p("sip-udp"), Profile: &models.NetworkProfileUnion{
		Type: p("PROTOCOL_TYPE_UDP_PROXY"), UDPProxyProfile: &models.UDPProxyProfile{SessionIDLETimeout: p(int32(60))}}})
	if err != nil {
		t.Fatal("network profile:", err)
	}
	pool, err := c.Pool.Create(&models.Pool{Name: p("sip-pool"), LbAlgorithm: p("LB_ALGORITHM_CONSISTENT_HASH"),
		LbAlgorithmHash: p("LB_ALGORITHM_CONSISTENT_HASH_CALLID"), HealthMonitorRefs: []string{*hm.URL}, DefaultServerPort: p(int32(5060)),
		Servers: []*models.Server{server("127.0.0.2"), server("127.0.0.3")}})
	if err != nil {
		t.Fatal("pool:", err)
	}
	vip, err := c.VsVip.Create(&models.VsVip{Name: p("sip-vip"), Vip: []*models.Vip{{VipID: p("1"), IPAddress: address("127.0.0.1")}}})
	if err != nil {
		t.Fatal("vsvip:", err)
	}
	vs, err := c.VirtualService.Create(&models.VirtualService{Name: p("sip-vs"), ApplicationProfileRef: app.URL, NetworkProfileRef: network.URL,
		VsvipRef: vip.URL, PoolRef: pool.URL, Services: []*models.Service{{Port: p(uint32(15060))}}})
	if err != nil {
		t.Fatal("virtual service:", err)
	}
	if vs.UUID == nil || !strings.HasPrefix(*vs.UUID, "virtualservice-") || vs.LastModified == nil || !strings.HasPrefix(*vs.URL, "https://"+host+"/api/virtualservice/") {
		t.Errorf("virtual service came back as %+v", vs)
	}
	byName, err := c.VirtualService.GetByName("sip-vs")
	if err != nil || *byName.UUID != *vs.UUID {
		t.Fatalf("by name: %+v, %v", byName, err)
	}
	update(t, c, pool)
	again(t, c)
	remove(t, c, *vs.UUID, *pool.UUID)
}

func server(ip string) *models.Server {
	return &models.Server{IP: address(ip), Port: p(int32(5060))}
}

func address(ip string) *models.IPAddr { return &models.IPAddr{Addr: p(ip), Type: p("V4")} }

// update changes the pool by PUT and PATCH.
func update(t *testing.T, c *clients.AviClient, pool *models.Pool) {
	t.Helper()
	pool.Servers = append(pool.Servers, server("127.0.0.4"))
	pool.Description = p("three servers")
	updated, err := c.Pool.Update(pool)
	if err != nil || len(updated.Servers) != 3 || *updated.Description != "three servers" {
		t.Fatalf("update: %+v, %v", updated, err)
	}
	if _, err := c.Pool.Update(pool); err == nil || !strings.Contains(err.Error(), "412") && !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("an update of a stale object: %v, want 412", err)
	}
	patched, err := c.Pool.Patch(*pool.UUID, map[string]any{"servers": []*models.Server{server("127.0.0.5")}}, "add")
	if err != nil || len(patched.Servers) != 4 {
		t.Fatalf("patch add: %+v, %v", patched, err)
	}
	patched, err = c.Pool.Patch(*pool.UUID, map[string]any{"servers": []*models.Server{server("127.0.0.2")}}, "delete")
	if err != nil || len(patched.Servers) != 3 {
		t.Fatalf("patch delete: %+v, %v", patched, err)
	}
	patched, err = c.Pool.Patch(*pool.UUID, map[string]any{"graceful_disable_timeout": 5}, "replace")
	if err != nil || *patched.GracefulDisableTimeout != 5 {
		t.Fatalf("patch replace: %+v, %v", patched, err)
	}
}

// again creates what is there, and reads what is not.
func again(t *testing.T, c *clients.AviClient) {
	t.Helper()
	if _, err := c.Pool.Create(&models.Pool{Name: p("sip-pool")}); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := c.Pool.Get("pool-nowhere"); err == nil || !strings.Contains(err.Error(), "object not found!") {
		t.Errorf("an object that is not there: %v", err)
	}
	all, err := c.HealthMonitor.GetAll()
	if err != nil || len(all) < 5 {
		t.Errorf("%d health monitors, %v", len(all), err)
	}
}

func remove(t *testing.T, c *clients.AviClient, vs, pool string) {
	t.Helper()
	if err := c.Pool.Delete(pool); err == nil || !strings.Contains(err.Error(), "Cannot delete, object is referred by: ['VirtualService sip-vs']") {
		t.Errorf("a pool in use: %v", err)
	}
	for _, err := range []error{c.VirtualService.Delete(vs), c.Pool.Delete(pool), c.VsVip.DeleteByName("sip-vip"), c.NetworkProfile.DeleteByName("sip-udp"),
		c.ApplicationProfile.DeleteByName("sip-app"), c.HealthMonitor.DeleteByName("sip-hm")} {
		if err != nil {
			t.Error("delete:", err)
		}
	}
	if _, err := c.VirtualService.GetByName("sip-vs"); err == nil {
		t.Error("a virtual service that was deleted is found by name")
	}
}
