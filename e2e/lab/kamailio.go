//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Kamailio is a running Kamailio.
type Kamailio struct {
	*Process
	t    testing.TB
	Addr netip.AddrPort
	rpc  netip.AddrPort // JSON-RPC over UDP; the zero value if its configuration has none
}

// StartKamailio starts Kamailio on the addresses with a configuration of testdata/kamailio. defines are names that
// the configuration uses; a value of "" only defines the name. It returns when Kamailio answers an OPTIONS.
func StartKamailio(t testing.TB, config string, listen []netip.AddrPort, defines map[string]string) *Kamailio {
	t.Helper()
	Require(t, "kamailio")
	dir := t.TempDir()
	file, err := filepath.Abs(filepath.Join("testdata", "kamailio", config))
	if err != nil {
		t.Fatal(err)
	}
	// -DD: stay in the foreground. -Y: sockets of the run time go where nobody else's are.
	args := []string{"-f", file, "-DD", "-E", "-m", "1024", "-M", "32", "-Y", dir, "-w", dir, "-P", filepath.Join(dir, "pid")}
	for _, a := range listen {
		args = append(args, "-l", "udp:"+a.String())
	}
	for name, value := range defines {
		if value != "" {
			name += "=" + value
		}
		args = append(args, "-A", name)
	}
	k := &Kamailio{t: t, Addr: listen[0]}
	k.Process = Start(t, Command{Name: "kamailio " + listen[0].String(), Path: path("kamailio"), Args: args, Dir: dir, Group: true})
	AwaitSIP(t, k.Process, k.Addr)
	return k
}

// quoted is a string as Kamailio's -A wants it.
func quoted(s string) string { return `"` + s + `"` }

// startStandIn starts Kamailio's dispatcher as the balancer.
func startStandIn(t testing.TB, s Setup) *Balancer {
	t.Helper()
	if s.File != "" {
		t.Skip("the stand-in has no files of objects")
	}
	var list strings.Builder
	for _, server := range s.Servers {
		fmt.Fprintf(&list, "1 sip:%s\n", server)
	}
	name := filepath.Join(t.TempDir(), "dispatcher.list")
	if err := os.WriteFile(name, []byte(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	defines := map[string]string{"DISPATCHER_LIST": quoted(name)}
	if !s.NoRecordRoute {
		defines["RECORD_ROUTE"] = ""
	}
	k := StartKamailio(t, "standin.cfg", s.Listen, defines)
	return &Balancer{Process: k.Process, t: t, Addr: k.Addr}
}

// RPC calls a JSON-RPC method of a Kamailio that was given an RPC address; ok is false if it answers with an error.
func (k *Kamailio) RPC(method string, params ...string) (result string, ok bool) {
	k.t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(k.rpc))
	if err != nil {
		k.t.Fatal(err)
	}
	defer conn.Close()
	call, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": append([]string{}, params...)})
	conn.SetDeadline(time.Now().Add(Patience))
	if _, err := conn.Write(call); err != nil {
		k.t.Fatalf("kamailio RPC %s: %v", method, err)
	}
	buf := make([]byte, 65535)
	n, err := conn.Read(buf)
	if err != nil {
		k.t.Fatalf("kamailio RPC %s: %v", method, err)
	}
	var answer struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.Unmarshal(buf[:n], &answer); err != nil {
		k.t.Fatalf("kamailio RPC %s: %v in %s", method, err, buf[:n])
	}
	return string(answer.Result), answer.Error == nil
}

// RegistrarSpec says how two registrars work together.
type RegistrarSpec struct {
	Edge     netip.AddrPort // calls to users leave through it; zero: straight to the user's contact
	NoAnswer time.Duration  // how long a call may ring; zero: 60 s
	Path     bool           // calls to users leave by the Path of their registration
}

// StartRegistrars starts two Kamailios that are registrar and proxy for example.test and share locations by DMQ.
// The password of a user is "pw-" and the user's name.
func StartRegistrars(t testing.TB, addrs [2]netip.AddrPort, s RegistrarSpec) [2]*Kamailio {
	t.Helper()
	if s.NoAnswer == 0 {
		s.NoAnswer = time.Minute
	}
	var out [2]*Kamailio
	for i, a := range addrs {
		rpc := Addr(t, "127.0.0.1")
		defines := map[string]string{
			"SELF":         quoted("sip:" + a.String()),
			"PEER":         quoted("sip:" + addrs[1-i].String()),
			"RPC":          quoted("udp:" + rpc.String()),
			"NO_ANSWER_MS": fmt.Sprint(s.NoAnswer.Milliseconds()),
		}
		if s.Path {
			defines["USE_PATH"] = ""
		}
		if s.Edge.IsValid() {
			defines["EDGE"] = quoted("sip:" + s.Edge.String())
		}
		out[i] = StartKamailio(t, "registrar.cfg", []netip.AddrPort{a}, defines)
		out[i].rpc = rpc
	}
	for _, k := range out {
		Until(t, "each registrar knows the other", func() bool {
			nodes, ok := k.RPC("dmq.list_nodes")
			return ok && strings.Count(nodes, `"active"`) == 2
		})
	}
	return out
}

// Contact is where the registrar believes a user is; ok is false for a user it does not know.
func (k *Kamailio) Contact(user string) (contact string, ok bool) {
	k.t.Helper()
	return k.RPC("ul.lookup", "location", user)
}
