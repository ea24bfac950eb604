//go:build linux

package lab

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Baresip is a running baresip: a phone with one account, driven over its control port.
type Baresip struct {
	*Process
	t    testing.TB
	User string
	Addr netip.AddrPort // of its SIP socket
	conn net.Conn

	mu     sync.Mutex
	grown  *sync.Cond
	events []Event
	read   int // events that Expect has gone over
	answer []string
}

// Event is what baresip reports about itself, e.g. {"event":true,"type":"CALL_RINGING","class":"call",...}.
type Event struct {
	Type  string `json:"type"`
	Class string `json:"class"`
	Param string `json:"param"`
	Peer  string `json:"peeruri"`
	ID    string `json:"id"` // Call-ID
}

// Phone says how a baresip is set up.
type Phone struct {
	User     string
	Addr     netip.AddrPort
	Outbound netip.AddrPort // the proxy for all it sends: the balancer
	OneCall  bool           // busy while a call is up
	// Transport of all it sends: "" is UDP; "tcp", or "tls" with any certificate.
	Transport string
}

// StartBaresip starts baresip and returns when it has registered.
func StartBaresip(t testing.TB, p Phone) *Baresip {
	t.Helper()
	Require(t, "baresip")
	dir := t.TempDir()
	control := Addr(t, "127.0.0.1")
	calls := 4
	if p.OneCall {
		calls = 1
	}
	writeTone(t, filepath.Join(dir, "tone.wav"))
	config := fmt.Sprintf(`poll_method epoll
sip_listen %s
call_local_timeout 120
call_max_calls %d
audio_player aubridge,nil
audio_source aufile,%s
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
net_interface %s
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen %s
ringback_disabled yes
`, p.Addr, calls, filepath.Join(dir, "tone.wav"), p.Addr.Addr(), control)
	over := ""
	if p.Transport != "" {
		over = ";transport=" + p.Transport
	}
	account := fmt.Sprintf(`<sip:%[1]s@example.test%[3]s>;auth_user=%[1]s;auth_pass=pw-%[1]s;outbound="sip:%[2]s%[3]s";regint=600`+"\n", p.User, p.Outbound, over)
	for name, text := range map[string]string{"config": config, "accounts": account, "contacts": "", "uuid": "e2e-" + p.User} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := &Baresip{t: t, User: p.User, Addr: p.Addr}
	b.grown = sync.NewCond(&b.mu)
	b.Process = Start(t, Command{Name: "baresip " + p.User, Path: path("baresip"), Args: []string{"-f", dir, "-p", dir}, Dir: dir, Env: []string{"HOME=" + dir}})
	b.connect(control)
	b.WaitLine(`200 OK .*1 binding`) // the event of it may be gone before the control port is connected
	return b
}

func (b *Baresip) connect(control netip.AddrPort) {
	b.t.Helper()
	Until(b.t, "control port of baresip "+b.User, func() bool {
		if b.Exited() {
			b.t.Fatalf("baresip %s ended at its start", b.User)
		}
		conn, err := net.Dial("tcp", control.String())
		b.conn = conn
		return err == nil
	})
	b.t.Cleanup(func() { b.conn.Close() })
	go b.listen()
}

// listen collects what baresip says: netstrings ("12:{...},") of JSON.
func (b *Baresip) listen() {
	r := bufio.NewReader(b.conn)
	for {
		length, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil {
			return
		}
		text := make([]byte, n+1)
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		b.heard(text[:n])
	}
}

func (b *Baresip) heard(text []byte) {
	var said struct {
		Event
		IsEvent  bool   `json:"event"`
		Response bool   `json:"response"`
		OK       bool   `json:"ok"`
		Data     string `json:"data"`
	}
	json.Unmarshal(text, &said)
	b.mu.Lock()
	defer b.mu.Unlock()
	if said.IsEvent {
		b.events = append(b.events, said.Event)
	}
	if said.Response {
		b.answer = append(b.answer, said.Data)
	}
	b.grown.Broadcast()
}

// Do gives baresip a command of its menu, e.g. Do("dial", "sip:bob@example.test"), and returns its answer.
func (b *Baresip) Do(command, params string) string {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.answer)
	text, _ := json.Marshal(map[string]string{"command": command, "params": params, "token": "e2e"})
	if _, err := fmt.Fprintf(b.conn, "%d:%s,", len(text), text); err != nil {
		b.t.Fatalf("baresip %s: %s: %v", b.User, command, err)
	}
	if !b.wait(func() bool { return len(b.answer) > before }) {
		b.t.Fatalf("baresip %s: no answer to %s", b.User, command)
	}
	return b.answer[len(b.answer)-1]
}

// Expect waits for an event behind those that were expected before.
func (b *Baresip) Expect(kind string) Event {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var found Event
	if !b.wait(func() bool {
		for ; b.read < len(b.events); b.read++ {
			if b.events[b.read].Type == kind {
				found = b.events[b.read]
				b.read++
				return true
			}
		}
		return false
	}) {
		b.t.Fatalf("baresip %s: no %s; it reported %+v", b.User, kind, b.events)
	}
	return found
}

// wait waits for the condition; the caller holds b.mu.
func (b *Baresip) wait(condition func() bool) bool {
	late := time.AfterFunc(Patience, b.grown.Broadcast)
	defer late.Stop()
	for end := time.Now().Add(Patience); !condition(); b.grown.Wait() {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// writeTone writes a second of a square wave as WAV: 8 kHz, 16 bit, one channel.
func writeTone(t testing.TB, file string) {
	t.Helper()
	const rate = 8000
	le := binary.LittleEndian
	out := []byte("RIFF")
	out = le.AppendUint32(out, 36+2*rate)
	out = append(out, "WAVEfmt "...)
	out = le.AppendUint32(out, 16)
	out = le.AppendUint16(out, 1) // PCM
	out = le.AppendUint16(out, 1) // channels
	out = le.AppendUint32(out, rate)
	out = le.AppendUint32(out, 2*rate)
	out = le.AppendUint16(out, 2)
	out = le.AppendUint16(out, 16)
	out = append(out, "data"...)
	out = le.AppendUint32(out, 2*rate)
	for i := range rate {
		sample := int16(3000)
		if i/10%2 == 1 {
			sample = -sample
		}
		out = le.AppendUint16(out, uint16(sample))
	}
	if err := os.WriteFile(file, out, 0o644); err != nil {
		t.Fatal(err)
	}
}
