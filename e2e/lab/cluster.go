//go:build linux

package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Etcd is a cluster of three members, each a process of its own.
type Etcd struct {
	t       testing.TB
	Clients []string // URLs
	specs   []Command
	Members []*Process
}

var etcdBuild struct {
	once sync.Once
	path string
	err  error
}

// StartEtcd starts three members and waits until each is ready.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	etcdBuild.once.Do(func() {
		var dir string
		if dir, etcdBuild.err = programDir(); etcdBuild.err != nil {
			return
		}
		etcdBuild.path = filepath.Join(dir, "etcd")
		if out, err := exec.Command("go", "build", "-o", etcdBuild.path, "./etcd").CombinedOutput(); err != nil {
			etcdBuild.err = fmt.Errorf("go build ./etcd: %w\n%s", err, out)
		}
	})
	if etcdBuild.err != nil {
		t.Fatal(etcdBuild.err)
	}
	e := &Etcd{t: t}
	var cluster, peers []string
	for i := range 3 {
		e.Clients = append(e.Clients, "http://"+TCPAddr(t))
		peers = append(peers, "http://"+TCPAddr(t))
		cluster = append(cluster, fmt.Sprintf("etcd-%d=%s", i+1, peers[i]))
	}
	for i := range 3 {
		name := fmt.Sprintf("etcd-%d", i+1)
		e.specs = append(e.specs, Command{Name: name, Path: etcdBuild.path, Args: []string{"-name", name, "-dir", filepath.Join(t.TempDir(), name),
			"-client", e.Clients[i], "-peer", peers[i], "-cluster", strings.Join(cluster, ",")}})
		e.Members = append(e.Members, Start(t, e.specs[i]))
	}
	for _, m := range e.Members {
		m.WaitLine("etcd: ready")
	}
	return e
}

// URLs is what --store takes.
func (e *Etcd) URLs() string { return strings.Join(e.Clients, ",") }

// Revive starts a member that was killed.
func (e *Etcd) Revive(i int) {
	e.t.Helper()
	e.Members[i] = Start(e.t, e.specs[i])
}

// StartController starts a controller on a store.
func StartController(t testing.TB, name, store string) (*Process, *API) {
	t.Helper()
	api := NewAPI(t, TCPAddr(t))
	p := Start(t, Command{Name: name, Path: Carillon(t), Args: []string{"controller", "--store", store, "--data", t.TempDir(), "--api", api.Addr},
		Env: []string{"CARILLON_ADMIN_PASSWORD=" + AdminPassword}})
	return p, api
}

// StartEngine starts an engine on a store.
func StartEngine(t testing.TB, name, store, dir string) *Process {
	t.Helper()
	return Start(t, Command{Name: name, Path: Carillon(t), Args: []string{"engine", "--name", name, "--store", store, "--data", dir, "--workers", "1"}})
}
