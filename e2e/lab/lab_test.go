//go:build linux

package lab

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m) }

// What the kernel gets in one call with UDP_SEGMENT must be recorded as the datagrams it stands for.
func TestCaptureTakesBatchesApart(t *testing.T) {
	RequireIsolation(t)
	c := StartCapture(t)
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	from, err := net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	raw, err := from.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 100) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.Write(bytes.Repeat([]byte("x"), 950)); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, p := range c.Packets() {
		if p.Data[0] == 'x' {
			sizes = append(sizes, len(p.Data))
		}
	}
	if len(sizes) != 10 || sizes[0] != 100 || sizes[9] != 50 {
		t.Fatalf("950 octets sent in segments of 100 were recorded as %v", sizes)
	}
}

func TestMessageHeaders(t *testing.T) {
	m, ok := ReadMessage(Packet{Data: []byte("SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1 , SIP/2.0/UDP b\r\nVIA : c\r\n d\r\n" +
		"i: abc\r\nCSeq: 1 INVITE\r\n\r\nbody")})
	if !ok {
		t.Fatal("not read")
	}
	if got := m.Headers("Via", "v"); len(got) != 2 || got[1] != "c d" {
		t.Errorf("Via lines %q", got)
	}
	if m.CallID != "abc" || m.Method() != "INVITE" || m.Status() != 200 || m.Branch() != "z9hG4bK1" || string(m.Body()) != "body" {
		t.Errorf("read %+v, branch %q", m, m.Branch())
	}
}
