// Package transport moves datagrams between UDP sockets and buffers. It knows
// nothing of SIP.
//
// The life of a worker:
//
//	sockets, err := transport.ListenUDP(addr, 1, transport.Options{GRO: true})
//	...
//	s := sockets[0]                      // one reader at a time
//	in, err := transport.NewBatch(transport.MaxBatch)
//	out := transport.NewOut(0, 0)
//	for {
//		if _, err := s.Recv(in, 500*time.Millisecond); err != nil {
//			return                       // net.ErrClosed: somebody called s.Close
//		}
//		for s.ErrPending() { ... s.RecvErr(quote) ... }
//		for in.Next() {
//			d := in.Datagram()
//			room := out.Room(len(d.Data) + 512)
//			if room == nil {
//				s.Flush(out)
//				room = out.Room(len(d.Data) + 512)
//			}
//			out.Add(append(room, d.Data...), to, d.Local, tag)
//		}
//		s.Flush(out)
//	}
//
// On Linux (amd64, arm64) one call of the kernel reads or writes a whole batch,
// trains of equal datagrams cross the kernel as one (UDP_GRO, UDP_SEGMENT), and
// nothing is allocated. Elsewhere a plain implementation over package net does
// the same, datagram by datagram. docs/adr/0004-udp-io.md has the reasons and
// the measurements.
//
// A worker should not be locked to its thread, and GOMAXPROCS should be NumCPU and
// the number of workers together: each worker then keeps a processor of Go's
// scheduler of its own while it waits in the kernel, the first milliseconds, which
// halves its cost when there is little to do. With fewer it works all the same.
package transport

import (
	"net/netip"
	"syscall"
	"time"
)

const (
	// MaxDatagram is the largest datagram a receive slot takes, in octets. No
	// UDP datagram is larger, so nothing is ever truncated.
	MaxDatagram = 65535
	// MaxBatch is the largest number of receive slots of a Batch. A slot holds
	// one datagram, or with Options.GRO one train of them.
	MaxBatch = 64
	// DefaultSpin is how long Recv polls at the most before it blocks, when Options.Spin
	// is 0. It does as long as most waits are shorter; else it polls for LeastSpin.
	DefaultSpin = 60 * time.Microsecond
	// LeastSpin is how long Recv polls where that pays seldom.
	LeastSpin = 5 * time.Microsecond
)

// Options say how sockets are opened. The zero value is usable.
type Options struct {
	// RecvBuf and SendBuf are the kernel's buffers in octets, as asked for: 0
	// leaves the system's default. Beyond net.core.rmem_max and wmem_max they
	// need CAP_NET_ADMIN; without it the kernel gives its maximum, silently.
	RecvBuf, SendBuf int
	// GRO takes trains of equal datagrams of one sender in one slot.
	GRO bool
	// NoGSO sends each datagram by itself, never a train.
	NoGSO bool
	// ReusePort joins whoever holds the port already, if they allow it and are
	// the same user. Without it a held port is an error.
	ReusePort bool
	// Spin is how long Recv polls at the most before it blocks: 0 means DefaultSpin, or none on
	// a machine with one CPU or when GOMAXPROCS is 1. Below 0 it never polls and gives its
	// processor (P) up at once, as befits a socket on which little comes.
	Spin time.Duration
	// Quiet leaves out of errors who holds a port: to find that out takes a look at all open files of the machine.
	Quiet bool
}

// Datagram is one received datagram. Data belongs to the Batch: it is valid
// until its next Recv.
type Datagram struct {
	Data []byte
	From netip.AddrPort // never an IPv4-mapped IPv6 address, never with a zone
	// Local is the address that the datagram was sent to. Valid iff the socket
	// is bound to a wildcard address; handed to Out.Add it makes the answer
	// leave from there.
	Local netip.Addr
}

// ICMPError is one message of the network about a datagram of ours that did not
// arrive. Only those which RFC 3261 section 18.4 wants treated as a transport
// failure are reported: destination unreachable and parameter problem.
type ICMPError struct {
	Dest       netip.AddrPort // where our datagram was going
	Offender   netip.Addr     // who says so; the zero Addr when unknown
	Errno      syscall.Errno  // ECONNREFUSED (port), EHOSTUNREACH, ENETUNREACH, ...
	Type, Code uint8          // of ICMP or ICMPv6, by the family of Dest
	// Payload is the beginning of our datagram as far as it was quoted (mostly
	// 500 octets or so, at least none), in the buffer given to RecvErr.
	Payload []byte
}

// Failure is a datagram that Flush could not send. Data is valid until the next
// Add on its Out.
type Failure struct {
	To    netip.AddrPort
	Tag   uint64
	Errno syscall.Errno
	Data  []byte
}
