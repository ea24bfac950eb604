//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	targetIdleMB   = 40.0
	targetGrowthMB = 10.0
	targetStart    = time.Second
	farmPort       = 17900 // the large pool's servers are addresses of 127.0.0.0/8 on one port
	farmFirst      = "127.16.0.1"
)

// rssMB is the resident memory of a process.
func rssMB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// memory measures what Carillon keeps: at rest, with many calls up, and with a large pool.
func (b *bench) memory() error {
	if err := b.openFarm(); err != nil {
		return err
	}
	t := table{title: "Memory and start", columns: targetColumns}
	if err := b.callsUp(&t); err != nil {
		return err
	}
	if err := b.largePool(&t); err != nil {
		return err
	}
	b.tables = append(b.tables, t)
	return nil
}

func (b *bench) callsUp(t *table) error {
	p, err := b.startCarillon(1, firstProxy, []int{proxyCPU}, farmList(serversPort, servers))
	defer b.stop(p)
	if err == nil {
		err = b.ready(b.farm, p)
	}
	if err != nil {
		return err
	}
	time.Sleep(time.Second) // what the start needed is given back
	idle, err := rssMB(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	t.add("resident at rest, MB", fmt.Sprintf("%.1f", idle), "", fmt.Sprintf("at most %.0f", targetIdleMB), idle <= targetIdleMB)
	r, err := b.farm.run(p.words(fmt.Sprintf("calls=%d", b.held), "park=1", "window=64", "timeout-ms=5000")...)
	if err != nil {
		return err
	}
	if w := r.wrong(); w != "" || r.Parked != b.held {
		b.failed("memory: %d of %d calls were up: %s", r.Parked, b.held, w)
	}
	growth := float64(r.RSSParked)/1024 - idle
	t.add(fmt.Sprintf("growth with %s calls up, MB", thousands(float64(b.held))), fmt.Sprintf("%.1f", growth), "", fmt.Sprintf("at most %.0f", targetGrowthMB), growth <= targetGrowthMB)
	return nil
}

// largePool starts Carillon with a pool of b.plan.farm servers, all of them answering, until an INVITE gets its 200.
func (b *bench) largePool(t *table) error {
	farm, err := startLoad(b.path("sipgen"), generatorCPU(), fmt.Sprintf("--servers=%s:%d", farmFirst, farmPort), fmt.Sprintf("--nservers=%d", b.plan.farm), "--by-address=1",
		"--callers=127.0.0.1:16900", "--ncallers=1")
	if err != nil {
		return err
	}
	defer farm.stop()
	first := net.ParseIP(farmFirst).To4()
	list := make([]string, b.plan.farm)
	for i := range list {
		n := int(first[2])<<16 + int(first[3]) + i // the carry of the last octet goes up to the second
		list[i] = fmt.Sprintf("%d.%d.%d.%d:%d", first[0], int(first[1])+n>>16, n>>8&255, n&255, farmPort)
	}
	var took []float64
	var rss float64
	for i := range 3 {
		p, d, err := b.startUntilAnswer(firstProxy+1+i, list)
		if err == nil {
			rss, err = rssMB(p.cmd.Process.Pid)
		}
		b.stop(p)
		if err != nil {
			return err
		}
		took = append(took, d.Seconds())
	}
	t.add(fmt.Sprintf("start with %s servers in a pool, until a call is answered, s", thousands(float64(b.plan.farm))), fmt.Sprintf("%.2f", median(took)), "", fmt.Sprintf("below %.0f", targetStart.Seconds()), median(took) < targetStart.Seconds())
	t.rows = append(t.rows, []string{"resident with that pool, MB", fmt.Sprintf("%.1f", rss), "", "", ""})
	return nil
}

// startUntilAnswer starts Carillon and sends an INVITE every 5 ms until one of them is answered by a server.
func (b *bench) startUntilAnswer(port int, list []string) (*peer, time.Duration, error) {
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	began := time.Now()
	p, err := b.startCarillon(1, port, []int{proxyCPU}, list)
	if err != nil {
		return p, 0, err
	}
	last := "nothing came"
	reply := make([]byte, 4096)
	for n := 0; time.Since(began) < 20*time.Second; n++ {
		if _, err := conn.WriteTo(firstInvite(n, conn.LocalAddr().String()), to); err != nil {
			return p, 0, err
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		got, _, err := conn.ReadFrom(reply)
		if err != nil {
			continue
		}
		if bytes.HasPrefix(reply[:got], []byte("SIP/2.0 200")) {
			return p, time.Since(began), nil
		}
		last, _, _ = strings.Cut(string(reply[:got]), "\r\n")
	}
	return p, 0, fmt.Errorf("with %d servers no call was answered within 20 s: %s", len(list), last)
}

func firstInvite(n int, from string) []byte {
	return fmt.Appendf(nil, "INVITE sip:first@calls.example SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKfirst%d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:bench@calls.example>;tag=bench%d\r\nTo: <sip:first@calls.example>\r\nCall-ID: first-%d@calls.example\r\n"+
		"CSeq: 1 INVITE\r\nContact: <sip:bench@%s>\r\nContent-Length: 0\r\n\r\n", from, n, n, n, from)
}
