package ua

import (
	"net"
	"net/netip"
	"sync"
)

// echo sends RTP back to where it came from, so that who calls from a softphone hears himself. One socket serves all
// calls of a server: it answers to the source of each packet and keeps nothing. It is no amplifier, since it returns
// what it got, and only what looks like RTP.
type echo struct {
	conn *net.UDPConn
	addr netip.AddrPort
	wg   sync.WaitGroup
}

// rtpHeaderBytes is the least an RTP packet has (RFC 3550 section 5.1).
const rtpHeaderBytes = 12

func listenEcho(ip netip.Addr) (*echo, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, err
	}
	e := &echo{conn: conn, addr: localAddr(conn)}
	e.wg.Go(e.run)
	return e, nil
}

func (e *echo) run() {
	var buf [2048]byte
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return // closed
		}
		if n >= rtpHeaderBytes && buf[0]>>6 == 2 {
			_, _ = e.conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}
}

func (e *echo) close() {
	e.conn.Close()
	e.wg.Wait()
}
