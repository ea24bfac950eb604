//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The ring that the kernel fills: 128 blocks of 1 MB take several seconds of the fastest test.
const (
	blockBytes  = 1 << 20
	blocks      = 128
	frameBytes  = 1 << 11
	retireMS    = 10 // a block that is not full is handed over after so long
	arenaBytes  = 4 << 20
	etherHeader = 14
)

// Packet is one UDP datagram seen on the loopback interface.
type Packet struct {
	At       time.Time
	Src, Dst netip.AddrPort
	Data     []byte
}

// Capture records every UDP datagram on the loopback interface from its start to the end of the test.
type Capture struct {
	Names Names // of the parties, for ladders

	t     testing.TB
	fd    int
	ring  []byte
	fence *net.UDPConn

	mu      sync.Mutex
	grown   *sync.Cond // packets or fenced grew
	packets []Packet
	fenced  uint64 // the newest fence seen
	arena   []byte

	sent    uint64
	stopped atomic.Bool
	done    chan struct{}
}

// StartCapture opens the capture. It needs CAP_NET_RAW, which root and the tests' own namespace have; without it the
// test is skipped, or fails where nothing may be missing. Datagrams from or to one of the ignored IPv4 addresses are
// left out.
func StartCapture(t testing.TB, ignored ...netip.Addr) *Capture {
	t.Helper()
	fd, err := openRing(ignored)
	if err != nil {
		Missing(t, fmt.Sprintf("the right to capture on lo (%v)", err), "run as root, or allow unprivileged user namespaces")
	}
	ring, err := unix.Mmap(fd, 0, blockBytes*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		t.Fatalf("capture: mmap: %v", err)
	}
	fence, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatalf("capture: fence socket: %v", err)
	}
	c := &Capture{Names: make(Names), t: t, fd: fd, ring: ring, fence: fence, done: make(chan struct{})}
	c.grown = sync.NewCond(&c.mu)
	go c.read()
	t.Cleanup(c.close)
	return c
}

func openRing(ignored []netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: nothing until bind
	if err != nil {
		return -1, err
	}
	fail := func(what string, err error) (int, error) {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", what, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fail("PACKET_VERSION", err)
	}
	// On lo every packet passes twice; the way out is enough to leave out.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fail("PACKET_IGNORE_OUTGOING", err)
	}
	if err := attachFilter(fd, ignored); err != nil {
		return fail("filter", err)
	}
	request := &unix.TpacketReq3{
		Block_size: blockBytes, Block_nr: blocks, Frame_size: frameBytes, Frame_nr: blockBytes / frameBytes * blocks,
		Retire_blk_tov: retireMS,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, request); err != nil {
		return fail("PACKET_RX_RING", err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return fail("interface", err)
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: lo.Index}); err != nil {
		return fail("bind", err)
	}
	return fd, nil
}

// attachFilter keeps UDP over IPv4 and IPv6 (without extension headers), except the ignored IPv4 addresses.
func attachFilter(fd int, ignored []netip.Addr) error {
	const etherType, ipv4Proto, ipv6Proto, ipv4Src, ipv4Dst, whole = 12, 23, 20, 26, 30, 1 << 18
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherType, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: ipv6Proto, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 1},
		bpf.RetConstant{Val: whole},
		bpf.RetConstant{Val: 0},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 2},
		bpf.LoadAbsolute{Off: ipv4Proto, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	for _, off := range []uint32{ipv4Src, ipv4Dst} {
		program = append(program, bpf.LoadAbsolute{Off: off, Size: 4})
		for _, a := range ignored {
			raw := a.As4()
			program = append(program,
				bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(raw[:]), SkipTrue: 1}, bpf.RetConstant{Val: 0})
		}
	}
	program = append(program, bpf.RetConstant{Val: whole})
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// read takes the blocks in turn as the kernel hands them over.
func (c *Capture) read() {
	defer close(c.done)
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	for at := 0; ; at = (at + 1) % blocks {
		block := c.ring[at*blockBytes : (at+1)*blockBytes]
		header := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[8])) // behind version and offset of the private area
		status := (*uint32)(unsafe.Pointer(&header.Block_status))
		for atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
			if c.stopped.Load() {
				return
			}
			unix.Poll(fds, 100)
		}
		c.take(block, header)
		atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
	}
}

func (c *Capture) take(block []byte, header *unix.TpacketHdrV1) {
	c.mu.Lock()
	defer c.mu.Unlock()
	off := header.Offset_to_first_pkt
	for range header.Num_pkts {
		frame := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[off]))
		start := off + uint32(frame.Mac)
		c.add(time.Unix(int64(frame.Sec), int64(frame.Nsec)), block[start:start+frame.Snaplen])
		off += frame.Next_offset
	}
	c.grown.Broadcast()
}

// add keeps one frame; the caller holds c.mu.
func (c *Capture) add(at time.Time, frame []byte) {
	src, dst, data, ok := decode(frame)
	if !ok {
		return
	}
	if n, ok := bytes.CutPrefix(data, []byte(fenceMark)); ok && dst == c.fenceAddr() {
		c.fenced = binary.BigEndian.Uint64(n)
		return
	}
	if len(c.arena)+len(data) > cap(c.arena) {
		c.arena = make([]byte, 0, max(arenaBytes, len(data)))
	}
	c.arena = append(c.arena, data...)
	kept := c.arena[len(c.arena)-len(data):]
	c.packets = append(c.packets, Packet{At: at, Src: src, Dst: dst, Data: kept[:len(kept):len(kept)]})
}

// decode takes an Ethernet frame apart; ok is false for all but UDP.
func decode(frame []byte) (src, dst netip.AddrPort, data []byte, ok bool) {
	if len(frame) < etherHeader+20+8 {
		return src, dst, nil, false
	}
	ip := frame[etherHeader:]
	var from, to netip.Addr
	var udp []byte
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		from, to = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		udp = ip[int(ip[0]&15)*4:]
	case unix.ETH_P_IPV6:
		if len(ip) < 48 {
			return src, dst, nil, false
		}
		from, to = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
		udp = ip[40:]
	}
	if len(udp) < 8 {
		return src, dst, nil, false
	}
	src = netip.AddrPortFrom(from, binary.BigEndian.Uint16(udp))
	dst = netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
	size := int(binary.BigEndian.Uint16(udp[4:]))
	if size < 8 || size > len(udp) {
		size = len(udp)
	}
	return src, dst, udp[8:size], true
}

const fenceMark = "carillon e2e fence "

func (c *Capture) fenceAddr() netip.AddrPort {
	return c.fence.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Sync returns when everything that was on the wire before the call has been recorded.
func (c *Capture) Sync() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	want := c.sent
	mark := binary.BigEndian.AppendUint64([]byte(fenceMark), want)
	if _, err := c.fence.WriteToUDPAddrPort(mark, c.fenceAddr()); err != nil {
		c.t.Fatalf("capture: fence: %v", err)
	}
	late := time.AfterFunc(Patience, c.grown.Broadcast)
	defer late.Stop()
	for end := time.Now().Add(Patience); c.fenced < want; c.grown.Wait() {
		if time.Now().After(end) {
			c.t.Fatalf("capture: the fence did not come back in %v", Patience)
		}
	}
}

// Packets returns what was recorded so far. It fails the test if the kernel could not hand over all: a test that
// judges by the capture must not judge by half of it.
func (c *Capture) Packets() []Packet {
	c.t.Helper()
	c.Sync()
	if stats, err := unix.GetsockoptTpacketStatsV3(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil && stats.Drops > 0 {
		c.t.Errorf("capture: the ring lost %d of %d packets; ladders have gaps", stats.Drops, stats.Packets)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packets[:len(c.packets):len(c.packets)]
}

// Await returns when a recorded packet satisfies found, looking at each once, from the first of the capture on.
func (c *Capture) Await(what string, found func(Packet) bool) Packet {
	c.t.Helper()
	late := time.AfterFunc(Patience, c.grown.Broadcast)
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for next, end := 0, time.Now().Add(Patience); ; c.grown.Wait() {
		for ; next < len(c.packets); next++ {
			if found(c.packets[next]) {
				return c.packets[next]
			}
		}
		if time.Now().After(end) {
			c.t.Fatalf("capture: not seen in %v: %s", Patience, what)
		}
	}
}

// shownCalls is how many ladders a failing test draws of itself.
const shownCalls = 12

func (c *Capture) close() {
	if c.t.Failed() {
		c.showFew()
	}
	c.stopped.Store(true)
	<-c.done
	c.fence.Close()
	unix.Munmap(c.ring)
	unix.Close(c.fd)
}

// showFew draws all ladders of a failing test that had but a few calls. Where there were many, Faults shows the right
// ones.
func (c *Capture) showFew() {
	calls := c.Calls()
	var ladders []string
	for _, id := range calls.IDs {
		if m := calls.ByID[id][0].Method(); m != "OPTIONS" && m != "KDMQ" {
			ladders = append(ladders, c.Names.Ladder(calls.ByID[id]))
		}
	}
	if len(ladders) <= shownCalls {
		c.t.Log("on the wire:\n" + strings.Join(ladders, ""))
	}
}
