package quick

import (
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/selfsigned"
)

// certificate is one that stands for any, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	certPEM, keyPEM, err := selfsigned.Make("a.example", []string{"a.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(certPEM), string(keyPEM)
}

func TestSet(t *testing.T) {
	cert, key := certificate(t)
	for _, c := range []struct{ listen, servers, want string }{
		{"udp://0.0.0.0:5060", "10.0.0.1:5060 10.0.0.2", "default: udp 0.0.0.0:5060 -> 10.0.0.1:5060 10.0.0.2:5060 SAME"},
		{"udp://:5070", "udp://[::1]:5061 udp://2001:db8::1", "default: udp 0.0.0.0:5070 udp [::]:5070 -> [::1]:5061 [2001:db8::1]:5060 UDP"},
		{"127.0.0.1 UDP://[::1] ::2", "10.0.0.1", "default: udp 127.0.0.1:5060 udp [::1]:5060 udp [::2]:5060 -> 10.0.0.1:5060 SAME"},
		{"127.0.0.1:0 127.0.0.1:5061", "10.0.0.1", "default: udp 127.0.0.1:0 udp 127.0.0.1:5061 -> 10.0.0.1:5060 SAME"},
		{"10.0.0.1:1 10.0.0.2:2 10.0.0.3:1", "10.0.0.9", "default: udp 10.0.0.1:1 udp 10.0.0.3:1 -> 10.0.0.9:5060 SAME; default-2: udp 10.0.0.2:2 -> 10.0.0.9:5060 SAME"},
		{"10.0.0.1 10.0.0.1:5060", "10.0.0.9", "default: udp 10.0.0.1:5060 -> 10.0.0.9:5060 SAME"},
		{"udp://10.0.0.1 tcp://10.0.0.1 tls://10.0.0.1", "tcp://10.0.0.9", "default: tcp 10.0.0.1:5060 udp 10.0.0.1:5060 tls 10.0.0.1:5061 -> 10.0.0.9:5060 TCP"},
		{"tls://:5061", "tls://10.0.0.9", "default: tls 0.0.0.0:5061 tls [::]:5061 -> 10.0.0.9:5061 TLS"},
		{"tcp://10.0.0.1 udp://10.0.0.2", "10.0.0.9", "default: tcp 10.0.0.1:5060 -> 10.0.0.9:5060 SAME; default-2: udp 10.0.0.2:5060 -> 10.0.0.9:5060 SAME"},
		{"", "", "--listen: missing: expected an address such as udp://0.0.0.0:5060\n--server: missing: expected the address of a server such as 10.0.0.1:5060"},
		{"ws://0.0.0.0:5060", "sip.example.com", "--server sip.example.com: \"sip.example.com\" is a DNS name, which is not supported yet; give its IP addresses\n" +
			"--listen ws://0.0.0.0:5060: \"ws\" is no transport: must be udp, tcp or tls"},
		{"udp://0.0.0.0:x", "10.0.0.1:70000", "--server 10.0.0.1:70000: port \"70000\" of 10.0.0.1 is wrong: must be 1 to 65535\n" +
			"--listen udp://0.0.0.0:x: port \"x\" of 0.0.0.0 is wrong: must be 1 to 65535"},
		{"udp://:5060", "10.0.0.1 tcp://10.0.0.2", "--server tcp://10.0.0.2: the servers of a pool are all spoken to over one transport: give all of them the same, or none"},
		{"udp://10.0.0.1", "10.0.0.2 10.0.0.1:5060", "--server 10.0.0.1:5060: is a --listen address too: the balancer would send to itself"},
		{"127.0.0.1", "10.0.0.1 10.0.0.1:5060", "Pool/default: servers[1]: 10.0.0.1:5060 is servers[0] already"},
	} {
		var o Options
		if strings.Contains(c.listen, "tls:") {
			o = Options{Certificate: cert, Key: key}
		}
		s, err := Set(strings.Fields(c.listen), strings.Fields(c.servers), o)
		got := fmt.Sprint(err)
		if err == nil {
			got = text(s)
			if _, err := object.Load("again", s.YAML(object.Full)); err != nil {
				t.Errorf("%s, %s: %v", c.listen, c.servers, err)
			}
			if w := s.Warnings(); len(w) > 0 {
				t.Errorf("%s, %s: %v", c.listen, c.servers, w)
			}
		}
		if got != c.want {
			t.Errorf("%s, %s:\n got %s\nwant %s", c.listen, c.servers, got, c.want)
		}
	}
}

func text(s *object.Set) string {
	var out []string
	for i := range s.VirtualServices {
		vs := s.VirtualServices[i]
		text := vs.Name + ":"
		for _, l := range s.Listens(vs) {
			transport := "udp"
			switch {
			case l.TLS:
				transport = "tls"
			case l.TCP:
				transport = "tcp"
			}
			text += " " + transport + " " + l.Addr.String()
		}
		text += " ->"
		p := s.Pool(vs.PoolRef)
		for j := range p.Servers {
			text += " " + p.ServerAddr(j).String()
		}
		to := strings.TrimPrefix(p.ServerTransport, "SERVER_TRANSPORT_")
		if p.SSLProfileRef != "" {
			to = "TLS"
		}
		out = append(out, text+" "+to)
	}
	return strings.Join(out, "; ")
}

func TestOptions(t *testing.T) {
	listen, servers := []string{"127.0.0.1"}, []string{"127.0.0.2"}
	s, err := Set(listen, servers, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Pool("default")
	if p.LBAlgorithm != object.ConsistentHash || p.LBAlgorithmHash != object.HashCallID || s.HealthMonitor(p.HealthMonitorRefs[0]).Type != object.MonitorSIP {
		t.Errorf("%+v", p)
	}
	if !s.ApplicationProfile("default").SIPServiceProfile.RecordRoute || s.NetworkProfile("default").Profile.Type != object.ProtocolUDPProxy {
		t.Error("profiles")
	}
	if s, err = Set(listen, servers, Options{Algorithm: object.Random, Hash: object.HashURI, NoMonitor: true}); err != nil {
		t.Fatal(err)
	}
	if p := s.Pool("default"); p.LBAlgorithm != object.Random || p.LBAlgorithmHash != object.HashURI || p.HealthMonitorRefs != nil {
		t.Errorf("%+v", p)
	}
	for servers, want := range map[string]object.SIPTransport{"127.0.0.2": object.SIPOverUDP, "tcp://127.0.0.2": object.SIPOverTCP, "tls://127.0.0.2": object.SIPOverTLS} {
		if s, err = Set(listen, []string{servers}, Options{}); err != nil || s.HealthMonitor("default").SIPMonitor.Transport != want {
			t.Errorf("%s: %v, %+v", servers, err, s)
		}
	}
	if _, err = Set([]string{"tls://127.0.0.1"}, servers, Options{}); err == nil || !strings.Contains(err.Error(), "--cert") {
		t.Errorf("no certificate: %v", err)
	}
	if _, err = Set(listen, servers, Options{Key: "key"}); err == nil || err.Error() != "--cert: is for clients over TLS: there is no --listen tls://" {
		t.Errorf("a key for nobody: %v", err)
	}
}
