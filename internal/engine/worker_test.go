package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/report"
	"github.com/carillon-sip/carillon/internal/transport"
)

// The longest request that can go on does; a longer one gets its 513, and leaves no
// transaction behind.
func TestLongestRequest(t *testing.T) {
	server, client := newPeer(t, "127.0.0.1:0"), newPeer(t, "127.0.0.1:0")
	e, lb := start(t, quickSet(t, "127.0.0.1:0", server))
	send := func(id string, size int) {
		text := strings.ReplaceAll(strings.TrimSuffix(client.request("MESSAGE", id, id, ""), "Content-Length: 0\n\n"), "\n", "\r\n")
		head := func(body int) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", text, body) }
		body := size - len(head(size))
		for len(head(body))+body != size {
			body++
		}
		if _, err := client.conn.WriteToUDPAddrPort([]byte(head(body)+strings.Repeat("x", body)), lb); err != nil {
			t.Fatal(err)
		}
	}
	send("fits", proxy.MaxDatagram)
	if m, from := server.recv(); len(m.Buf) <= proxy.MaxDatagram {
		t.Errorf("%d octets left for the server", len(m.Buf))
	} else {
		server.answer(m, from, 200, "OK")
	}
	if m, _ := client.recv(); m.Status != 200 {
		t.Errorf("%s", m.Buf)
	}
	for i, size := range []int{proxy.MaxDatagram + 1, maxPayload4 - 100, maxPayload4} {
		send(fmt.Sprint("long-", i), size)
		if m, _ := client.recv(); m.Status != 513 {
			t.Errorf("%d octets: %s", size, m.Buf)
		}
	}
	st := e.Status()
	s := st.Services[0]
	if got, want := fmt.Sprint(s.Reasons, s.Faults), "map[bad_message:3 new_call:1 response:1] map[Message Too Long:3]"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
	if sv := st.Pools[0].Servers[0]; sv.OpenTransactions != 0 || sv.Requests["MESSAGE"] != 1 {
		t.Errorf("server: %d transactions, %v", sv.OpenTransactions, sv.Requests)
	}
}

// What cannot be sent for its size is counted, and no server is blamed for it.
func TestTooLongIsNobodysFault(t *testing.T) {
	server := newPeer(t, "127.0.0.1:0")
	e, _ := start(t, quickSet(t, "127.0.0.1:0", server))
	w := newWorker(e, e.live.Load().groups[0], new(lane))
	if err := w.pickUp(); err != nil {
		t.Fatal(err)
	}
	defer w.layDown()
	w.begin()
	ln := w.input.Listener
	text := strings.ReplaceAll(server.request("MESSAGE", "c", "x", ""), "\n", "\r\n")
	w.out(ln).Add([]byte(text+strings.Repeat("x", maxPayload4+1-len(text))), server.addr, netip.Addr{}, 0)
	w.flush()
	if n := e.Status().Services[0].Listeners[0].Sockets[0].SendErrors[transport.ErrTooLong]; n != 1 {
		t.Errorf("%d datagrams were too long", n)
	}
	if got := e.Status().Services[0].Reasons; len(got) != 0 {
		t.Errorf("counted %v", got)
	}
	// a response that would be too long has an end too
	text = strings.NewReplacer("MESSAGE", "OPTIONS", "Max-Forwards: 70", "Max-Forwards: 0", "tag=a", "tag="+strings.Repeat("a", maxPayload4-len(text))).Replace(text)
	w.msg.Parse([]byte(text))
	w.input.From = server.addr
	v := w.proxy.Request(&w.input)
	if v.Action != proxy.Answer {
		t.Fatalf("%+v", v)
	}
	w.act(&v, report.TraceMessageCame)
	if got := fmt.Sprint(e.Status().Services[0].Reasons); got != "map[queue_full:1]" {
		t.Errorf("counted %s", got)
	}
}
