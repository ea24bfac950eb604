//go:build linux

package lab

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// AdminPassword is that of the user admin of every balancer that has an API.
const AdminPassword = "correct horse battery"

// API is the REST API of a balancer.
type API struct {
	t    testing.TB
	Addr string // host:port
	http http.Client
}

// NewAPI is the API at an address.
func NewAPI(t testing.TB, addr string) *API {
	return &API{t: t, Addr: addr, http: http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} // made by the balancer itself
}

// Try sends a request and returns the status and what the answer says, as JSON.
func (a *API) Try(method, path string, body any) (int, map[string]any, error) {
	var said map[string]any
	status, err := a.ask(method, path, body, &said)
	return status, said, err
}

// List is an answer that is a list of objects.
func (a *API) List(path string) []map[string]any {
	a.t.Helper()
	var said []map[string]any
	if status, err := a.ask("GET", path, nil, &said); err != nil || status >= 300 {
		a.t.Fatalf("GET %s: status %d, %v", path, status, err)
	}
	return said
}

func (a *API) ask(method, path string, body, into any) (int, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "https://"+a.Addr+path, content)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth("admin", AdminPassword)
	resp, err := a.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, into)
	}
	return resp.StatusCode, err
}

// Do sends a request that must succeed.
func (a *API) Do(method, path string, body any) map[string]any {
	a.t.Helper()
	status, said, err := a.Try(method, path, body)
	if err != nil || status >= 300 {
		a.t.Fatalf("%s %s: status %d, %v, %v", method, path, status, said, err)
	}
	return said
}

// Named is the object of a kind with a name.
func (a *API) Named(kind, name string) map[string]any {
	a.t.Helper()
	list, _ := a.Do("GET", "/api/"+kind+"?name="+name, nil)["results"].([]any)
	if len(list) != 1 {
		a.t.Fatalf("%d objects of %s are named %s", len(list), kind, name)
	}
	o, _ := list[0].(map[string]any)
	return o
}

// TCPAddr is an address of loopback that nothing listens on.
func TCPAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// withAPI are the flags by which a balancer has a store and an API.
func withAPI(dir, api string) []string {
	return []string{"--data", dir + "/data", "--api", api}
}

// Live waits until every engine runs a revision, and fails with what they say if they do not.
func (a *API) Live(revision any) {
	a.t.Helper()
	said := a.Do("GET", fmt.Sprintf("/api/live?revision=%v&wait=20s", revision), nil)
	if said["live"] != true {
		a.t.Fatalf("not live: %v", said)
	}
}
