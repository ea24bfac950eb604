package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// An address that the machine gets while the balancer runs, as keepalived brings one, is
// the balancer's own: it answers OPTIONS there itself, and from there.
func TestAddressThatCameLater(t *testing.T) {
	if lab.StandIn() {
		t.Skip("about Carillon alone")
	}
	lab.RequireIsolation(t)
	port := lab.Addr(t, "127.0.0.1").Port()
	server := lab.Addr(t, "127.0.0.1") // nobody is there
	lab.StartBalancer(t, lab.Setup{Listen: []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port)}, Servers: []netip.AddrPort{server}, Args: []string{"--no-monitor"}})
	if out, err := exec.Command("ip", "addr", "add", "192.0.2.77/32", "dev", "lo").CombinedOutput(); err != nil {
		lab.Missing(t, fmt.Sprintf("an address for lo: %v: %s", err, out), "apt-get install iproute2, and root")
	}
	t.Cleanup(func() { exec.Command("ip", "addr", "del", "192.0.2.77/32", "dev", "lo").Run() })
	client, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 77), Port: int(port)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	buf := make([]byte, 65536)
	for i := 0; ; i++ {
		if i == 100 {
			t.Fatal("the new address is not the balancer's own")
		}
		text := fmt.Sprintf("OPTIONS sip:192.0.2.77:%d SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bKlater%d;rport\nMax-Forwards: 70\n"+
			"From: <sip:a@a.test>;tag=a\nTo: <sip:b@b.test>\nCall-ID: later-%d\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n", port, client.LocalAddr(), i, i)
		if _, err := client.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
			t.Fatal(err)
		}
		client.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := client.Read(buf); err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 ") {
			return
		}
	}
}
