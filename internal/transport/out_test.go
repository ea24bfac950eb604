package transport

import (
	"bytes"
	"errors"
	"net/netip"
	"syscall"
	"testing"
)

func TestOutFillsUp(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:5060")
	o := NewOut(100_000, 3)
	for i, tc := range []struct {
		room int
		fits bool
	}{{MaxDatagram, true}, {34_466, false}, {34_465, true}} {
		room := o.Room(tc.room)
		if (room != nil) != tc.fits || room != nil && (len(room) != 0 || cap(room) != tc.room) {
			t.Fatalf("%d: Room(%d) has a capacity of %d", i, tc.room, cap(room))
		}
		if room != nil && !o.Add(room[:tc.room], to, netip.Addr{}, 0) {
			t.Fatalf("%d: Add does not take what Room gave", i)
		}
	}
	if o.Add([]byte("x"), to, netip.Addr{}, 0) {
		t.Error("an octet too many was taken")
	}
	if !o.Add(nil, to, netip.Addr{}, 0) || o.Len() != 3 {
		t.Error("an empty datagram needs no octets")
	}
	if o.Add(nil, to, netip.Addr{}, 0) || o.Room(0) != nil {
		t.Error("a datagram too many was taken")
	}
	if NewOut(1, 1).Room(MaxDatagram) == nil {
		t.Error("an empty queue has to take the largest datagram")
	}
	if NewOut(1<<20, 1).Add(make([]byte, MaxDatagram+1), to, netip.Addr{}, 0) {
		t.Error("no datagram is that long")
	}
}

// What outgrew its room was moved elsewhere by append and is copied.
func TestOutTakesWhatOutgrewItsRoom(t *testing.T) {
	r := open(t, lo4, Options{})
	o := NewOut(0, 0)
	for _, size := range []int{10, 500} {
		text := bytes.Repeat([]byte{'x'}, size)
		if !o.Add(append(o.Room(100), text...), r.LocalAddr(), netip.Addr{}, 0) {
			t.Fatal("no room")
		}
	}
	if r.Flush(o) != 0 {
		t.Fatal(o.Failures())
	}
	d := recvN(t, r, newBatch(t, 2), 2)
	if len(d[0].data) != 10 || len(d[1].data) != 500 {
		t.Errorf("%d and %d octets came", len(d[0].data), len(d[1].data))
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tc := range []struct {
		err   error
		want  string
		errno syscall.Errno
	}{
		{&ListenError{Addr: netip.MustParseAddrPort("[::1]:5060"), Errno: syscall.EADDRINUSE}, "listen udp [::1]:5060: address already in use", syscall.EADDRINUSE},
		{&RouteError{Dst: netip.MustParseAddr("::1"), Errno: syscall.ENETUNREACH}, "route to ::1: network is unreachable", syscall.ENETUNREACH},
		{&MemoryError{Bytes: 7, Errno: syscall.ENOMEM}, "map 7 octets for receiving: cannot allocate memory", syscall.ENOMEM},
	} {
		if tc.err.Error() != tc.want || !errors.Is(tc.err, tc.errno) {
			t.Errorf("got %v, want %s", tc.err, tc.want)
		}
	}
	for e, want := range map[syscall.Errno]string{
		syscall.EAGAIN: "full", syscall.ECONNREFUSED: "refused", syscall.ENETUNREACH: "unreachable", syscall.EMSGSIZE: "too_long",
		syscall.EPERM: "forbidden", syscall.EINVAL: "bad_address", syscall.EBADF: "closed", syscall.EPIPE: "other",
	} {
		if got := ClassOf(e).String(); got != want {
			t.Errorf("%v is of class %s, want %s", e, got, want)
		}
	}
	if ErrClass(200).String() != "other" {
		t.Error("an unknown class has a name")
	}
	if _, err := NewBatch(0); err == nil {
		t.Error("a batch without slots")
	}
	if _, err := NewBatch(MaxBatch + 1); err == nil {
		t.Error("a batch of too many slots")
	}
}
