//go:build linux && (amd64 || arm64)

package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddrOf is for bind and connect, where allocation does not matter.
func sockaddrOf(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), ZoneId: zoneID(a.Addr().Zone()), Addr: a.Addr().As16()}
}

func zoneID(zone string) uint32 {
	if i, err := net.InterfaceByName(zone); zone != "" && err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(n)
}

func addrPortOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// rawName is room for a sockaddr_in or a sockaddr_in6, aligned as they are.
type rawName [7]uint32

const (
	nameLen4 = unix.SizeofSockaddrInet4
	nameLen6 = unix.SizeofSockaddrInet6
)

// decode reads what the kernel wrote. The scope of an IPv6 address is left out:
// a zone would make two texts of one address.
func (r *rawName) decode() netip.AddrPort {
	b := (*[nameLen6]byte)(unsafe.Pointer(r))
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b[0:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port)
	}
	return netip.AddrPort{}
}

// encode writes a as the kernel wants it and returns the length.
func (r *rawName) encode(a netip.AddrPort) uint32 {
	*r = rawName{}
	b := (*[nameLen6]byte)(unsafe.Pointer(r))
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.Addr().Is4() {
		binary.NativeEndian.PutUint16(b[0:], unix.AF_INET)
		v4 := a.Addr().As4()
		copy(b[4:], v4[:])
		return nameLen4
	}
	binary.NativeEndian.PutUint16(b[0:], unix.AF_INET6)
	v6 := a.Addr().As16()
	copy(b[8:], v6[:])
	return nameLen6
}

// Control messages: a header of 16 octets (length with header, level, type), the
// data, and padding to 8.
const (
	cmsgHdr      = unix.SizeofCmsghdr
	cmsgPktinfo4 = cmsgHdr + 16 // in_pktinfo has 12
	cmsgPktinfo6 = cmsgHdr + 24 // in6_pktinfo has 20
	cmsgSegment  = cmsgHdr + 8
	controlSize  = cmsgPktinfo6 + cmsgSegment
)

// control is the room for the control messages of one message, aligned to 8.
type control [controlSize / 8]uint64

func (c *control) bytes() *[controlSize]byte { return (*[controlSize]byte)(unsafe.Pointer(c)) }

func putCmsgHeader(b []byte, dataLen int, level, typ uint32) {
	binary.NativeEndian.PutUint64(b[0:], uint64(cmsgHdr+dataLen))
	binary.NativeEndian.PutUint32(b[8:], level)
	binary.NativeEndian.PutUint32(b[12:], typ)
}

// putSource writes the control message that makes a datagram leave from a, and
// returns its length.
func (c *control) putSource(a netip.Addr) int {
	b := c.bytes()
	if a.Is4() {
		clear(b[:cmsgPktinfo4])
		putCmsgHeader(b[:], unix.SizeofInet4Pktinfo, unix.IPPROTO_IP, unix.IP_PKTINFO)
		v4 := a.As4()
		copy(b[cmsgHdr+4:], v4[:]) // ipi_spec_dst, behind the interface
		return cmsgPktinfo4
	}
	clear(b[:cmsgPktinfo6])
	putCmsgHeader(b[:], unix.SizeofInet6Pktinfo, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO)
	v6 := a.As16()
	copy(b[cmsgHdr:], v6[:]) // before the interface
	return cmsgPktinfo6
}

// putSegment writes at off the control message that makes a train of datagrams
// of size octets, and returns its length.
func (c *control) putSegment(off int, size uint16) int {
	b := c.bytes()[off : off+cmsgSegment]
	clear(b)
	putCmsgHeader(b, 2, unix.SOL_UDP, unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(b[cmsgHdr:], size)
	return cmsgSegment
}

// parse reads the control messages of a received slot: the size of the datagrams
// of a train (0 when it is none) and the address they were sent to.
func (c *control) parse(n uint64) (segment int, local netip.Addr) {
	b := c.bytes()[:min(n, controlSize)]
	for len(b) >= cmsgHdr {
		size := binary.NativeEndian.Uint64(b)
		if size < cmsgHdr || size > uint64(len(b)) {
			return segment, local
		}
		data := b[cmsgHdr:size]
		switch [2]uint32{binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])} {
		case [2]uint32{unix.SOL_UDP, unix.UDP_GRO}:
			segment = int(binary.NativeEndian.Uint32(data))
		case [2]uint32{unix.IPPROTO_IP, unix.IP_PKTINFO}:
			local = netip.AddrFrom4([4]byte(data[4:8])) // ipi_spec_dst: ours, also when ipi_addr is a broadcast
		case [2]uint32{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO}:
			local = netip.AddrFrom16([16]byte(data[:16]))
		}
		b = b[min((size+7)&^7, uint64(len(b))):]
	}
	return segment, local
}
