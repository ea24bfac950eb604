//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Callee is a server over UDP, TCP or TLS that does what a test says: answers late, refuses, or keeps silent. Monitors always
// get their 200.
type Callee struct {
	Addr     netip.AddrPort
	Requests atomic.Int64 // of any kind but probes
	t        testing.TB
	over     string
	conduct  atomic.Pointer[Conduct]
	udp      *net.UDPConn
	tcp      net.Listener

	mu    sync.Mutex
	calls map[string]string // by Call-ID: branch of the newest INVITE
	got   []Message         // all but probes, if kept
	conns []net.Conn
	ended bool
	hold  bool
}

// Held is a connection of a server that keeps what it is to send.
type Held struct {
	net.Conn
	mu   sync.Mutex
	data []byte
}

// Write keeps octets.
func (h *Held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data = append(h.data, b...)
	return len(b), nil
}

// Send sends so many of the octets that are kept, or all there are.
func (h *Held) Send(n int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = min(n, len(h.data))
	_, err := h.Conn.Write(h.data[:n])
	h.data = h.data[n:]
	return err
}

// Waiting is how many octets are kept.
func (h *Held) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.data)
}

// Hold has connections over TCP that come from now on keep what they are to send.
func (c *Callee) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = true
}

// Holding are the connections that keep something.
func (c *Callee) Holding() (out []*Held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		if h, ok := conn.(*Held); ok && h.Waiting() > 0 {
			out = append(out, h)
		}
	}
	return out
}

// Conduct is how a Callee treats requests.
type Conduct struct {
	Final  string        // status of its final responses to INVITE; empty: 200 OK
	After  time.Duration // how long they take; nothing is sent before
	Silent bool          // no response at all
	Keep   bool          // keep what comes for Messages
	// Contact of its responses; empty: its address.
	Contact string
}

// StartCallee starts a server; over TLS it shows the certificate.
func StartCallee(t testing.TB, over string, addr netip.AddrPort, cert *tls.Certificate) *Callee {
	t.Helper()
	c := &Callee{Addr: addr, t: t, over: over, calls: make(map[string]string)}
	c.conduct.Store(new(Conduct))
	t.Cleanup(c.Stop)
	if over == "udp" {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadBuffer(4 << 20)
		c.udp = conn
		go c.datagrams()
		return c
	}
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if over == "tls" {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}})
	}
	c.tcp = l
	go c.accept()
	return c
}

// Do changes the conduct.
func (c *Callee) Do(conduct Conduct) { c.conduct.Store(&conduct) }

// Calls is how many Call-IDs it got an INVITE of.
func (c *Callee) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

// Messages are those that came while they were to be kept.
func (c *Callee) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// Stop ends it: from then on the kernel refuses what comes for it.
func (c *Callee) Stop() {
	syscall.ForkLock.RLock() // a child that is being started would keep the port
	defer syscall.ForkLock.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.udp != nil {
		c.udp.Close()
	}
	if c.tcp != nil {
		c.tcp.Close()
	}
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (c *Callee) datagrams() {
	buf := make([]byte, 65535)
	for {
		n, from, err := c.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		c.message(bytes.Clone(buf[:n]), func(b []byte) { c.udp.WriteToUDPAddrPort(b, from) })
	}
}

func (c *Callee) accept() {
	for {
		conn, err := c.tcp.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		if c.ended {
			conn.Close()
		}
		if c.hold {
			conn = &Held{Conn: conn}
		}
		c.conns = append(c.conns, conn)
		c.mu.Unlock()
		go func() {
			var mu sync.Mutex
			back := func(b []byte) {
				mu.Lock()
				defer mu.Unlock()
				conn.Write(b)
			}
			r := bufio.NewReader(conn)
			for {
				b, err := ReadStream(r)
				if err != nil {
					conn.Close()
					return
				}
				c.message(b, back)
			}
		}()
	}
}

// ReadStream reads one message from a stream, empty lines before it left out.
func ReadStream(r *bufio.Reader) ([]byte, error) {
	var out []byte
	length := 0
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if len(out) == 0 && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		out = append(out, line...)
		name, value, _ := strings.Cut(string(line), ":")
		if name = strings.ToLower(strings.TrimSpace(name)); name == "content-length" || name == "l" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return append(out, body...), err
}

// message answers one message.
func (c *Callee) message(b []byte, back func([]byte)) {
	m, ok := ReadMessage(Packet{At: time.Now(), Dst: c.Addr, Data: b})
	if !ok {
		return
	}
	do := c.conduct.Load()
	probe := m.Method() == "OPTIONS" && len(m.Headers("Via", "v")) == 1
	if probe && !m.IsResponse() {
		back(respond(nil, b, "200 OK", "callee", "sip:"+c.Addr.String()))
		return
	}
	c.Requests.Add(1)
	if c.note(m, do.Keep) {
		return // it was answered, and SIPp takes a repeated answer for a new one
	}
	contact := "sip:" + c.Addr.String()
	if c.over != "udp" {
		contact += ";transport=" + c.over
	}
	if do.Contact != "" {
		contact = do.Contact
	}
	answer := func(status string) { back(respond(nil, b, status, "callee", contact)) }
	switch {
	case m.IsResponse() || m.Method() == "ACK":
	case do.Silent:
	case do.After > 0:
		time.AfterFunc(do.After, func() { c.final(m, do, answer) })
	default:
		c.final(m, do, answer)
	}
}

// note keeps count of a message, and tells whether it is an INVITE that came again.
func (c *Callee) note(m Message, keep bool) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep {
		c.got = append(c.got, m)
	}
	if m.Method() != "INVITE" || m.IsResponse() {
		return false
	}
	again = c.calls[m.CallID] == m.Branch()
	c.calls[m.CallID] = m.Branch()
	return again
}

func (c *Callee) final(m Message, do *Conduct, answer func(string)) {
	if do.Final != "" && m.Method() == "INVITE" {
		answer(do.Final)
		return
	}
	if m.Method() == "INVITE" {
		answer("180 Ringing")
	}
	answer("200 OK")
}
