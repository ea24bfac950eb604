//go:build linux && (amd64 || arm64)

package transport

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tellsLocal: a socket bound to a wildcard says where a datagram was sent to.
const tellsLocal = true

// A sender that is not ours sends trains; the receiver sees single datagrams,
// whether the kernel hands them over in one piece or not.
func TestTrainsArriveAsDatagrams(t *testing.T) {
	for _, addr := range []netip.AddrPort{lo4, lo6} {
		for _, gro := range []bool{false, true} {
			s, b := open(t, addr, Options{GRO: gro, RecvBuf: 1 << 20}), newBatch(t, 8)
			c := plain(t, addr)
			rc, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := rc.Control(func(fd uintptr) {
				if e := unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 500); e != nil {
					t.Fatal(e)
				}
			}); err != nil {
				t.Fatal(err)
			}
			text := strings.Repeat("a", 500) + strings.Repeat("b", 500) + strings.Repeat("c", 500) + "short"
			if _, err := c.WriteToUDPAddrPort([]byte(text), s.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			all := recvN(t, s, b, 4)
			joined := ""
			for i, d := range all {
				if want := []int{500, 500, 500, 5}[i]; len(d.data) != want || d.from.Port() != all[0].from.Port() || !d.from.Addr().IsLoopback() {
					t.Errorf("gro %v: datagram %d: %d octets from %v", gro, i, len(d.data), d.from)
				}
				joined += d.data
			}
			if joined != text {
				t.Errorf("gro %v: the octets changed", gro)
			}
			if st := s.Stats(); (st.GROTrains == 1 && st.GRODatagrams == 4) != gro || st.In != 4 {
				t.Errorf("gro %v: stats %+v", gro, st)
			}
		}
	}
}

// An Out's datagrams leave as trains, and arrive as single ones at whoever does
// not ask for trains.
func TestTrainsLeave(t *testing.T) {
	for _, addr := range []netip.AddrPort{lo4, lo6} {
		s := open(t, addr, Options{})
		r1, r2 := open(t, addr, Options{RecvBuf: 1 << 20}), open(t, addr, Options{RecvBuf: 1 << 20, GRO: true})
		b, o := newBatch(t, MaxBatch), NewOut(0, 0)
		for i := range 40 {
			for _, r := range []*Socket{r1, r2} {
				text := strings.Repeat(strconv.Itoa(i%10), 700)
				if !o.Add([]byte(text), r.LocalAddr(), netip.Addr{}, uint64(i)) {
					t.Fatal("no room")
				}
			}
		}
		o.Add([]byte("tail"), r1.LocalAddr(), netip.Addr{}, 99)
		if n := s.Flush(o); n != 0 {
			t.Fatal(o.Failures())
		}
		if st := s.Stats(); st.GSOSends != 2 || st.GSODatagrams != 81 || st.Out != 81 || st.OutBytes != 80*700+4 {
			t.Errorf("stats %+v", st)
		}
		one, two := recvN(t, r1, b, 41), recvN(t, r2, b, 40)
		for i := range 40 {
			if want := strings.Repeat(strconv.Itoa(i%10), 700); one[i].data != want || two[i].data != want {
				t.Errorf("datagram %d is not what was sent", i)
			}
		}
		if one[40].data != "tail" {
			t.Errorf("the last is %q", one[40].data)
		}
	}
}

// A reply leaves from the address that was asked.
func TestWildcardAnswersFromWhereItWasAsked(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0"} {
		for _, gro := range []bool{false, true} {
			s := open(t, netip.MustParseAddrPort(addr), Options{GRO: gro})
			startEcho(t, s)
			asked, own := []string{"127.0.0.5", "127.0.0.1", "127.9.9.9"}, lo4
			if s.LocalAddr().Addr().Is6() {
				asked, own = []string{"::1"}, lo6
			}
			for _, a := range asked {
				to := netip.AddrPortFrom(netip.MustParseAddr(a), s.LocalAddr().Port())
				if answer, from := ask(t, plain(t, own), to, "hello"); from != to || answer != "hello" {
					t.Errorf("asked %v, %q came from %v", to, answer, from)
				}
			}
		}
	}
}

// Trains and source addresses go together.
func TestTrainFromChosenSource(t *testing.T) {
	s := open(t, netip.MustParseAddrPort("0.0.0.0:0"), Options{})
	r, b, o := open(t, lo4, Options{GRO: true}), newBatch(t, 4), NewOut(0, 0)
	for i := range 20 {
		src := netip.AddrFrom4([4]byte{127, 0, 0, byte(5 + i%2)})
		o.Add([]byte("from "+src.String()), r.LocalAddr(), src, uint64(i))
	}
	if n := s.Flush(o); n != 0 {
		t.Fatal(o.Failures())
	}
	for _, d := range recvN(t, r, b, 20) {
		if d.data != "from "+d.from.Addr().String() {
			t.Errorf("%q came from %v", d.data, d.from)
		}
	}
	if st := s.Stats(); st.GSOSends != 2 {
		t.Errorf("two trains were to leave: %+v", st)
	}
}

// After a burst of large datagrams an idle Batch gives their pages back.
func TestIdleBatchIsSmall(t *testing.T) {
	s, b := open(t, lo4, Options{RecvBuf: 16 << 20}), newBatch(t, MaxBatch)
	from, o := open(t, lo4, Options{SendBuf: 16 << 20}), NewOut(4<<20, 64)
	for range 40 {
		o.Add(make([]byte, 60000), s.LocalAddr(), netip.Addr{}, 0)
	}
	if n := from.Flush(o); n != 0 {
		t.Fatal(o.Failures())
	}
	recvN(t, s, b, 40)
	if kb := resident(t, b); kb < 600 {
		t.Skipf("the burst came in pieces, %d KiB were used at most", kb)
	}
	for end := time.Now().Add(patience); resident(t, b) > 0; {
		if time.Now().After(end) {
			t.Fatalf("still %d KiB resident", resident(t, b))
		}
		if _, err := s.Recv(b, time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	send(t, from, "still alive", s.LocalAddr())
	if d := recvN(t, s, b, 1); d[0].data != "still alive" {
		t.Errorf("got %q", d[0].data)
	}
}

// resident tells how much of the slots is in memory, in KiB.
func resident(t *testing.T, b *Batch) int {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	at := strconv.FormatUint(uint64(addressOf(b.mem)), 16)
	_, rest, ok := strings.Cut("\n"+string(smaps), "\n"+at+"-")
	if !ok {
		t.Fatalf("no mapping at %s", at)
	}
	_, rest, _ = strings.Cut(rest, "\nRss:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

func TestICMPReachesUs(t *testing.T) {
	for _, addr := range []netip.AddrPort{lo4, lo6} {
		s, b := open(t, addr, Options{}), newBatch(t, 4)
		nobody := closedPort(t, addr)
		send(t, s, "OPTIONS sip:nobody SIP/2.0\r\n", nobody)
		// The error is taken either by a Recv or by the next Flush.
		for end := time.Now().Add(patience); !s.ErrPending(); {
			if _, err := s.Recv(b, time.Millisecond); err != nil || time.Now().After(end) {
				t.Fatal("no error is pending", err)
			}
		}
		quote := make([]byte, 600)
		ie, ok := s.RecvErr(quote)
		if !ok || ie.Dest != nobody || ie.Errno != unix.ECONNREFUSED || ie.Offender != addr.Addr() ||
			string(ie.Payload) != "OPTIONS sip:nobody SIP/2.0\r\n" {
			t.Errorf("got %v %+v, payload %q", ok, ie, ie.Payload)
		}
		if want := map[bool][2]uint8{true: {3, 3}, false: {1, 4}}[addr.Addr().Is4()]; [2]uint8{ie.Type, ie.Code} != want {
			t.Errorf("type %d code %d, want %v", ie.Type, ie.Code, want)
		}
		if _, ok := s.RecvErr(quote); ok || s.ErrPending() {
			t.Error("there is one error, not two")
		}
	}
}

// Datagrams to the living are sent in spite of errors about the dead, and all
// errors are there afterwards.
func TestICMPAmidTraffic(t *testing.T) {
	s, alive, b := open(t, lo4, Options{}), open(t, lo4, Options{}), newBatch(t, MaxBatch)
	nobody, o := closedPort(t, lo4), NewOut(0, 0)
	const n = 50
	for i := range n {
		id := binary.BigEndian.AppendUint32(nil, uint32(i))
		o.Add(append(id, make([]byte, i)...), nobody, netip.Addr{}, uint64(i)) // sizes that make no trains, but pairs
		o.Add(id, alive.LocalAddr(), netip.Addr{}, uint64(i))
		if failed := s.Flush(o); failed != 0 {
			t.Fatalf("%d failed: %v", failed, o.Failures())
		}
	}
	for i, d := range recvN(t, alive, b, n) {
		if binary.BigEndian.Uint32([]byte(d.data)) != uint32(i) {
			t.Fatalf("datagram %d came in place %d", binary.BigEndian.Uint32([]byte(d.data)), i)
		}
	}
	for end := time.Now().Add(patience); !s.ErrPending(); { // the kernel may be at it still
		if _, err := s.Recv(b, time.Millisecond); err != nil || time.Now().After(end) {
			t.Fatal("no errors are pending", err)
		}
	}
	quote, seen := make([]byte, 100), 0
	for {
		ie, ok := s.RecvErr(quote)
		if !ok {
			break
		}
		if ie.Dest != nobody || int(binary.BigEndian.Uint32(ie.Payload)) != seen {
			t.Errorf("error %d is about %v, %x", seen, ie.Dest, ie.Payload)
		}
		seen++
	}
	if st := s.Stats(); seen == 0 || st.ICMP != uint64(seen) {
		t.Errorf("%d errors, stats %+v", seen, st)
	}
	t.Logf("%d of %d errors (the kernel limits ICMP)", seen, n)
}

// Errors about the dead that others cause and read meanwhile lose no datagram to the living: each of them may be what the
// next send is told, many times in a row.
func TestICMPOfOthers(t *testing.T) {
	s, alive, b := open(t, lo4, Options{}), open(t, lo4, Options{RecvBuf: 4 << 20}), newBatch(t, MaxBatch)
	nobody, done, ended := closedPort(t, lo4), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		o, quote := NewOut(0, 0), make([]byte, 100)
		for n := uint64(0); ; {
			select {
			case <-done:
				return
			default:
			}
			for range 64 {
				n++
				o.Add(make([]byte, n%50), nobody, netip.Addr{}, n)
			}
			s.Flush(o)
			for s.ErrPending() {
				s.RecvErr(quote)
			}
		}
	}()
	o := NewOut(0, 0)
	for round := range 1000 {
		for i := range 20 {
			o.Add(make([]byte, 10+i), alive.LocalAddr(), netip.Addr{}, uint64(i))
		}
		if failed := s.Flush(o); failed != 0 {
			t.Errorf("round %d: %d failed: %v", round, failed, o.Failures())
			break
		}
		recvN(t, alive, b, 20)
	}
	close(done)
	<-ended
}

// closedPort gives an address where nobody listens.
func closedPort(t *testing.T, addr netip.AddrPort) netip.AddrPort {
	ss, err := ListenUDP(addr, 1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ss[0].Close()
	return ss[0].LocalAddr()
}

func TestSendFailuresAreTold(t *testing.T) {
	s, r, b := open(t, lo4, Options{}), open(t, lo4, Options{}), newBatch(t, 4)
	for name, tc := range map[string]struct {
		to    netip.AddrPort
		from  netip.Addr
		size  int
		errno unix.Errno
	}{
		"IPv6 from an IPv4 socket": {netip.MustParseAddrPort("[::1]:5060"), netip.Addr{}, 10, unix.EAFNOSUPPORT},
		"no address":               {netip.AddrPort{}, netip.Addr{}, 10, unix.EAFNOSUPPORT},
		"port 0":                   {lo4, netip.Addr{}, 10, unix.EINVAL},
		"too long":                 {r.LocalAddr(), netip.Addr{}, 65510, unix.EMSGSIZE},
		"broadcast":                {netip.MustParseAddrPort("255.255.255.255:5060"), netip.Addr{}, 10, unix.EACCES},
		"source of other family":   {r.LocalAddr(), netip.MustParseAddr("::1"), 10, unix.EAFNOSUPPORT},
	} {
		t.Run(name, func(t *testing.T) {
			o, before := NewOut(0, 0), s.Stats()
			o.Add([]byte("first"), r.LocalAddr(), netip.Addr{}, 1)
			o.Add(make([]byte, tc.size), tc.to, tc.from, 2)
			o.Add([]byte("last"), r.LocalAddr(), netip.Addr{}, 1)
			failed := s.Flush(o)
			if f := o.Failures(); failed != 1 || len(f) != 1 || f[0].Errno != tc.errno || f[0].To != tc.to || f[0].Tag != 2 || len(f[0].Data) != tc.size {
				t.Errorf("%d failed: %v", failed, f)
			}
			class := ClassOf(tc.errno)
			if st := s.Stats(); st.SendErrors[class] != before.SendErrors[class]+1 || st.Out != before.Out+2 {
				t.Errorf("stats %+v", st)
			}
			if d := recvN(t, r, b, 2); d[0].data != "first" || d[1].data != "last" {
				t.Errorf("got %v", d)
			}
		})
	}
}
