package engine

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/health"
	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/sip"
)

// lines hands on what the engine logs, by its message.
type lines chan slog.Record

func (l lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l lines) WithGroup(string) slog.Handler            { return l }

func (l lines) Handle(_ context.Context, r slog.Record) error {
	l <- r
	return nil
}

// await waits for a line with that message, and gives what it says under a name; none for "".
func (l lines) await(t *testing.T, message, name string) (value string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case r := <-l:
			if r.Message != message {
				continue
			}
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == name {
					value = a.Value.String()
				}
				return true
			})
			return value
		case <-late:
			t.Fatalf("no line %q", message)
			return ""
		}
	}
}

// settle brings in the changes that wait to be gathered with others.
func (e *Engine) settle() {
	e.mu.Lock()
	e.bringIn()
	e.mu.Unlock()
}

// load reads objects as a user writes them.
func load(t *testing.T, text string) *object.Set {
	t.Helper()
	set, err := object.Load("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// tcpServer answers every request of every connection with 200, as a SIP server over TCP. It ends with close.
type tcpServer struct {
	addr netip.AddrPort
	l    net.Listener
}

func newTCPServer(t *testing.T) *tcpServer {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", freePorts(t, []string{"127.0.0.1"}, 1)[0])) // nobody has it for UDP either
	if err != nil {
		t.Fatal(err)
	}
	s := &tcpServer{l.Addr().(*net.TCPAddr).AddrPort(), l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c)
		}
	}()
	return s
}

func (s *tcpServer) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	var request []byte
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		if request = append(request, line...); len(line) > 2 {
			continue
		}
		m := new(sip.Msg)
		if m.Parse(request) != sip.NoFault {
			return
		}
		r := sip.Reply{Status: 200, Reason: "OK", ToTag: []byte("t"), Received: c.RemoteAddr().(*net.TCPAddr).AddrPort()}
		c.Write(m.AppendReply(nil, &r))
		request = nil
	}
}

// A monitor over TCP, from the words of a file to the state of the server: it finds the one that answers over TCP up,
// and down once it does so no more. Over UDP the server is silent.
func TestSIPMonitorOverTCP(t *testing.T) {
	for _, word := range []string{"SIP_TCP_PROTO", "tcp"} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			server := newTCPServer(t)
			newPeer(t, server.addr.String())
			set := load(t, fmt.Sprintf(strings.TrimLeft(`
VirtualService:
- {name: vs, services: [0], vsvip_ref: vip, pool_ref: edge}
VsVip:
- {name: vip, vip: [127.0.0.1]}
Pool:
- {name: edge, servers: ["%s"], health_monitor_refs: [hm]}
HealthMonitor:
- name: hm
  type: sip
  send_interval: 2
  receive_timeout: 1
  successful_checks: 1
  failed_checks: 1
  sip_monitor: {sip_monitor_transport: %s}
`, "\n"), server.addr, word))
			log := make(lines, 100)
			e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 1, Logger: slog.New(log)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Stop)
			log.await(t, "server oper_up", "")
			e.settle()
			if sv := e.Status().Pools[0].Servers[0]; sv.State != "up" || sv.Health.Monitors[0].Checks == 0 {
				t.Errorf("a server that answers over TCP: %+v", sv)
			}
			server.l.Close()
			log.await(t, "server oper_down", "")
			e.settle()
			if sv := e.Status().Pools[0].Servers[0]; sv.State != "down" || sv.Reason != "CONNECTION_REFUSED" {
				t.Errorf("a server that listens no more: %s, %s", sv.State, sv.Reason)
			}
		})
	}
}

// A server at max_concurrent_connections_per_server gets no new call until one of those it has is over, and that is shown.
func TestConnectionsPerServer(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", server)
	set.Pools[0].MaxConnectionsPerServer = 1
	e, lb := start(t, set)
	client.send(lb, client.request("INVITE", "call-1", "x1", ""))
	m, from := server.recv()
	client.send(lb, client.request("INVITE", "call-2", "x2", ""))
	if r, _ := client.recv(); r.Status != 503 {
		t.Fatalf("a call beyond the limit: %s", r.Buf)
	}
	p := e.Status().Pools[0]
	if p.MaxConnections != 1 || p.Full != 1 || p.Up != 1 {
		t.Errorf("pool: limit %d, %d refused, %d up", p.MaxConnections, p.Full, p.Up)
	}
	if sv := p.Servers[0]; sv.State != "up" || sv.Reason != "max_concurrent_connections_per_server" {
		t.Errorf("server: %s, %s", sv.State, sv.Reason)
	}
	server.answer(m, from, 486, "Busy Here")
	if r, _ := client.recv(); r.Status != 486 {
		t.Fatalf("%s", r.Buf)
	}
	client.send(lb, client.request("INVITE", "call-3", "x3", ""))
	server.recv()
}

// With fewer than min_servers_up the pool is down for new calls, and it is said: by the log and by the status.
func TestMinServersUp(t *testing.T) {
	a, b, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	set := quickSet(t, "127.0.0.1:0", a, b)
	set.Pools[0].MinServersUp, set.Pools[0].LBAlgorithm = 2, object.RoundRobin
	set.Pools[0].Servers[1].Hostname = "b"
	log := make(lines, 100)
	e, err := Start(Config{Set: set, Revision: 1, Secret: []byte("a secret for tests"), Workers: 2, Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	lb := e.Status().Services[0].Listeners[0].Addr
	expect := func(state, reason string, up int) {
		t.Helper()
		if p := e.Status().Pools[0]; p.State != state || p.Reason != reason || p.Up != up || p.MinServersUp != 2 {
			t.Errorf("pool: %s, %q, %d up of at least %d; want %s, %q, %d", p.State, p.Reason, p.Up, p.MinServersUp, state, reason, up)
		}
	}
	expect("up", "", 2)
	for range 2 {
		log.await(t, "server oper_up", "") // there is no monitor, which is told as well
	}
	for i := range 2 {
		client.send(lb, client.request("OPTIONS", fmt.Sprintf("call-%d", i), fmt.Sprintf("x%d", i), ""))
	}
	m, from := a.recv() // round robin: each has got one
	known := string(m.Bytes(m.CallID))
	a.answer(m, from, 200, "OK")
	client.recv()

	e.healthChanged(health.Change{Pool: "default", Server: b.addr, State: health.Down, At: time.Now()})
	e.settle()
	if name := log.await(t, "server oper_down", "name"); name != "b" {
		t.Errorf("the log calls the server %s", name)
	}
	if n := log.await(t, "pool oper_down", "min_servers_up"); n != "2" {
		t.Errorf("the log says that %s must be up", n)
	}
	expect("down", "min_servers_up", 1)
	client.send(lb, client.request("OPTIONS", "call-new", "y1", ""))
	if r, _ := client.recv(); r.Status != 503 {
		t.Errorf("a new call: %s", r.Buf)
	}
	client.send(lb, client.request("OPTIONS", known, "y2", ""))
	m, from = a.recv()
	a.answer(m, from, 200, "OK")
	if r, _ := client.recv(); r.Status != 200 {
		t.Errorf("a known call: %s", r.Buf)
	}

	e.healthChanged(health.Change{Pool: "default", Server: a.addr, State: health.Down, At: time.Now()})
	e.settle()
	expect("down", "no_server", 0)
	for _, s := range []*peer{a, b} {
		e.healthChanged(health.Change{Pool: "default", Server: s.addr, State: health.Up, Up: true, At: time.Now()})
	}
	e.settle()
	log.await(t, "pool oper_up", "")
	expect("up", "", 2)
	off, pool := *set, *set.Pools[0]
	pool.Enabled, off.Pools = false, []*object.Pool{&pool}
	if err := e.Apply(&off, next(e)); err != nil {
		t.Fatal(err)
	}
	expect("disabled", "", 0)
}
