package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// Limits of the flood.
const (
	floodDatagrams = 1_000_000
	floodBatch     = 64
	// Pacing: no more waits in the balancer's socket than this, so that what is sent is also read. Its calls share the
	// socket and must find room in it.
	floodWaiting = 64 << 10
	// What the process may grow by, from the tenth of the flood on. Messages that pass fill tables (bounded, and aged), so
	// it is not nothing.
	floodGrowthKB = 64 << 10
)

// A million random and mutated datagrams hit the running process. It lives, its memory stays flat, and calls beside the
// flood do not fail.
func TestFlood(t *testing.T) {
	lab.Require(t, "sipp")
	lab.RequireIsolation(t) // mutants name addresses of others
	if lab.StandIn() {
		t.Skip("the stand-in loses calls beside a flood")
	}
	count := floodDatagrams
	if testing.Short() {
		count /= 10
	}
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("CARILLON_E2E_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed: CARILLON_E2E_SEED=%d", seed)
	attacker := lab.Addr(t, "127.0.0.9")
	f := &flood{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), attacker: attacker,
		sinks: startSinks(t, lab.Setup{}, false, attacker.Addr(), netip.MustParseAddr("127.0.0.11"), netip.MustParseAddr("127.0.0.12")),
	}
	f.gather()
	from := lab.Addr(t, "127.0.0.2")
	f.wire.Names[from] = "caller"
	caller := lab.StartSIPp(t, lab.SIPpSpec{
		Name: "caller", Scenario: "caller", Local: from, Remote: f.balancer.Addr, Calls: 1_000_000, Rate: 50, Hold: 200 * time.Millisecond,
	})
	f.wire.Await("the first call is up", func(p lab.Packet) bool { return bytes.HasPrefix(p.Data, []byte("ACK ")) })
	f.run(count)

	if f.balancer.Exited() {
		t.Fatalf("the balancer died; its last words:\n%s", f.balancer.Output())
	}
	tally := caller.Quit()
	t.Logf("beside it: %+v", tally)
	if tally.Failed != 0 || tally.Succeeded < 20 || tally.Created != tally.Succeeded {
		t.Errorf("calls beside the flood: %+v\n%s", tally, caller.Errors())
		faults := lab.Faults{Names: f.wire.Names}
		for _, c := range f.wire.Calls().Courses(from, f.addrs) {
			if !c.Answered || !c.Ended {
				faults.Add(c.Messages, "not complete")
			}
		}
		faults.Report(t)
	}
	lab.AwaitSIP(t, f.balancer.Process, f.balancer.Addr)
}

type flood struct {
	*sinks
	t        *testing.T
	random   *rand.Rand
	attacker netip.AddrPort
	seeds    [][]byte
}

// gather collects what mutants are made of: the torture messages of the project and of RFC 4475, and messages of a
// living call of the attacker's own, with the balancer's sealed Via and Record-Route in them.
func (f *flood) gather() {
	f.t.Helper()
	for _, pattern := range []string{"../internal/sip/testdata/torture/*", filepath.Join(corpus, "*.dat")} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && len(data) > 0 && len(data) < 8192 {
				f.seeds = append(f.seeds, data)
			}
		}
	}
	f.t.Logf("%d torture messages", len(f.seeds))
	socket, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(f.attacker), net.UDPAddrFromAddrPort(f.balancer.Addr))
	if err != nil {
		f.t.Fatal(err)
	}
	defer socket.Close()
	invite := fmt.Appendf(nil, "INVITE sip:x@%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKflood;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:a@%[2]s>;tag=1\r\nTo: <sip:x@%[1]s>\r\nCall-ID: flood@%[2]s\r\nCSeq: 1 INVITE\r\nContact: <sip:a@%[2]s>\r\n"+
		"Content-Length: 0\r\n\r\n", f.balancer.Addr, f.attacker)
	socket.Write(invite)
	var forwarded []byte
	lab.Until(f.t, "the attacker's own call at a server", func() bool {
		for _, server := range f.servers {
			if forwarded == nil {
				forwarded = server.Invite()
			}
		}
		return forwarded != nil
	})
	m, _ := lab.ReadMessage(lab.Packet{Data: forwarded})
	response := []byte("SIP/2.0 200 OK\r\n")
	for _, via := range m.Headers("Via") {
		response = fmt.Appendf(response, "Via: %s\r\n", via)
	}
	response = fmt.Appendf(response, "From: %s\r\nTo: %s;tag=x\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
		m.Header("From"), m.Header("To"), m.CallID)
	bye := fmt.Appendf(nil, "BYE sip:x@%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"+
		"Route: %[3]s\r\nFrom: <sip:a@%[2]s>;tag=1\r\nTo: <sip:x@%[1]s>;tag=x\r\nCall-ID: %[4]s\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
		f.balancer.Addr, f.attacker, m.Header("Record-Route"), m.CallID)
	f.seeds = append(f.seeds, invite, forwarded, response, bye)
}

// run sends so many datagrams in batches, each batch when the balancer has room for it.
func (f *flood) run(count int) {
	f.t.Helper()
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(f.attacker))
	if err != nil {
		f.t.Fatal(err)
	}
	defer socket.Close()
	go func() { // answers are taken and thrown away
		trash := make([]byte, 65535)
		for {
			if _, _, err := socket.ReadFromUDPAddrPort(trash); err != nil {
				return
			}
		}
	}()
	conn := ipv4.NewPacketConn(socket)
	batch := make([]ipv4.Message, floodBatch)
	for i := range batch {
		batch[i].Buffers, batch[i].Addr = make([][]byte, 1), net.UDPAddrFromAddrPort(f.balancer.Addr)
	}
	_, droppedBefore := lab.Queue(f.balancer.Addr)
	begin, settled := time.Now(), 0
	for sent := 0; sent < count; {
		for i := range batch {
			batch[i].Buffers[0] = f.mutant(batch[i].Buffers[0][:0])
		}
		f.awaitRoom()
		for done := 0; done < floodBatch; {
			n, err := conn.WriteBatch(batch[done:], 0)
			if err != nil && n <= 0 {
				n = 1 // the error is the ICMP answer to an earlier one, or the size: leave one out
			}
			done += n
		}
		if sent < count/10 && sent+floodBatch >= count/10 {
			settled = f.balancer.ResidentKB()
		}
		sent += floodBatch
	}
	f.awaitRoom()
	_, dropped := lab.Queue(f.balancer.Addr)
	grown := f.balancer.ResidentKB() - settled
	f.t.Logf("%d datagrams in %.1f s; %d dropped by the socket; resident %d kB after a tenth, %+d kB at the end",
		count, time.Since(begin).Seconds(), dropped-droppedBefore, settled, grown)
	if dropped-droppedBefore > count/100 {
		f.t.Errorf("%d of %d datagrams never reached the balancer", dropped-droppedBefore, count)
	}
	if grown > floodGrowthKB {
		f.t.Errorf("resident memory grew by %d kB, allowed are %d", grown, floodGrowthKB)
	}
}

func (f *flood) awaitRoom() {
	f.t.Helper()
	if waiting, _ := lab.Queue(f.balancer.Addr); waiting <= floodWaiting {
		return
	}
	lab.Until(f.t, "the balancer reads", func() bool {
		waiting, _ := lab.Queue(f.balancer.Addr)
		return waiting <= floodWaiting || f.balancer.Exited()
	})
	if f.balancer.Exited() {
		f.t.Fatalf("the balancer died; its last words:\n%s", f.balancer.Output())
	}
}

// mutant writes a datagram: random octets now and then, mostly a message with a few things wrong.
func (f *flood) mutant(out []byte) []byte {
	r := f.random
	if r.IntN(20) == 0 {
		for range r.IntN(600) {
			out = append(out, byte(r.Uint32()))
		}
		return out
	}
	out = append(out, f.seeds[r.IntN(len(f.seeds))]...)
	for range 1 + r.IntN(4) {
		if len(out) > 0 {
			out = f.mutate(out)
		}
	}
	return out
}

var pieces = []string{
	"\r\n", "\n", "\r", "\r\n\r\n", "\r\n ", ",", ";", ":", "<", ">", "\"", "\\", "\x00", "\xff\xfe", " ", "\t", "=", "%", "@", "[", "]", "()",
	"Via: SIP/2.0/UDP h;branch=z9hG4bK\r\n", "v: ", "Call-ID: a\r\n", "i:\r\n", "CSeq: 4294967296 INVITE\r\n", "Content-Length: -1\r\n",
	"Content-Length: 99999999999999999999\r\n", "l:0\r\n", "Route: <sip:x;lr>\r\n", "Max-Forwards: 0\r\n", "Max-Forwards: 256\r\n", ";lr", ";maddr=1.2.3.4",
	";rport=70000", ";received=[", "sips:", "tel:+1", "SIP/2.0 ", "SIP/3.0", "INVITE ", "CANCEL ", "ACK ", "OPTIONS ", "z9hG4bK", "[::", "255.255.255.255",
	"2147483648", "-1", "Proxy-Require: a,b\r\n", "Record-Route: <sip:",
}

// mutate changes one thing.
func (f *flood) mutate(b []byte) []byte {
	r := f.random
	at := r.IntN(len(b))
	end := min(len(b), at+1+r.IntN(40))
	switch r.IntN(8) {
	case 0: // flip bits of an octet
		b[at] ^= byte(1 << r.IntN(8))
	case 1: // another octet
		b[at] = byte(r.Uint32())
	case 2: // leave out
		b = append(b[:at], b[end:]...)
	case 3: // say twice
		b = append(b[:end], append(bytes.Clone(b[at:end]), b[end:]...)...)
	case 4: // cut off
		b = b[:at]
	case 5: // something that means something
		piece := pieces[r.IntN(len(pieces))]
		b = append(b[:at], append([]byte(piece), b[at:]...)...)
	case 6: // the end of another one
		other := f.seeds[r.IntN(len(f.seeds))]
		b = append(b[:at], other[r.IntN(len(other)):]...)
	case 7: // a number that is too large, or another
		for ; at < len(b) && (b[at] < '0' || b[at] > '9'); at++ {
		}
		if at < len(b) {
			b[at] = byte('0' + r.IntN(10))
		}
	}
	return b
}
