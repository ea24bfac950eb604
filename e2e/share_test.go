package e2e

import (
	"fmt"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/e2e/lab"
)

// A hundred thousand Call-IDs over servers with weights: each server's part is within 5 % of its share of the hash, and
// the hash's shares are those of the weights.
func TestShares(t *testing.T) {
	if lab.StandIn() {
		t.Skip("the stand-in has no weights")
	}
	calls := 100_000
	if testing.Short() {
		calls = 40_000
	}
	ratios := []int{1, 2, 3, 4}
	var objects lab.Objects
	var servers []*lab.Answerer
	for i, ratio := range ratios {
		a := lab.Addr(t, fmt.Sprintf("127.0.0.%d", 11+i))
		servers = append(servers, lab.StartAnswerer(t, a, false))
		objects.Servers = append(objects.Servers, lab.PoolServer{Addr: a, Ratio: ratio})
	}
	objects.Listen = lab.Addrs(t, "127.0.0.1")
	file := t.TempDir() + "/lb.yaml"
	objects.Write(t, file)
	b := lab.StartBalancer(t, lab.Setup{Listen: objects.Listen, File: file})
	b.AwaitServers(len(servers))

	received := func() int {
		total := 0
		for _, s := range servers {
			total += int(s.Requests.Load())
		}
		return total
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(lab.Addr(t, "127.0.0.2")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := range calls {
		for end := time.Now().Add(lab.Patience); n-received() > 100 && time.Now().Before(end); {
			runtime.Gosched()
		}
		conn.WriteToUDPAddrPort(numbered(conn.LocalAddr().String(), b.Addr, n, 0), b.Addr)
	}
	lab.Until(t, "all requests forwarded", func() bool { return received() >= calls })

	shares := b.Metrics()
	for i, s := range servers {
		got := float64(s.Requests.Load()) / float64(calls)
		fair := float64(ratios[i]) / 10
		share := -1.0
		for name, value := range shares {
			if strings.HasPrefix(name, "carillon_server_share{") && strings.Contains(name, s.Addr.String()) {
				share = value
			}
		}
		t.Logf("server%d, weight %d: %.4f of the calls, %.4f of the hash", i+1, ratios[i], got, share)
		if math.Abs(got-share) > 0.05*share || math.Abs(share-fair) > 0.05*fair {
			t.Errorf("server%d: %.4f of the calls and %.4f of the hash; its weight says %.4f", i+1, got, share, fair)
		}
	}
}
