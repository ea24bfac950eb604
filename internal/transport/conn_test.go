package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/alloctest"
	"github.com/carillon-sip/carillon/internal/selfsigned"
)

var loop4 = netip.MustParseAddrPort("127.0.0.1:0")

// echoing serves a listener: it gives back what comes, until a peer is done.
func echoing(t testing.TB, secure bool, opt StreamOptions, config *tls.Config) *StreamListener {
	t.Helper()
	l, err := ListenStream(loop4, secure, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if config != nil {
		l.SetTLS(config)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveEcho(c, time.Hour)
		}
	}()
	return l
}

func serveEcho(c *Conn, idle time.Duration) {
	if c.Start() != nil {
		return
	}
	for {
		b := make([]byte, 1024)
		for {
			n, err := c.Read(b)
			if err != nil {
				c.Close(ReadReason(err))
				return
			}
			if n == 0 {
				break
			}
			c.Queue(b[:n])
			c.Flush()
			if bytes.Contains(b[:n], []byte("end")) {
				c.End(FramingLost)
				return
			}
			if c.Drained() {
				break
			}
		}
		if err := c.Wait(time.Now().Add(idle)); err != nil {
			c.Close(ReadReason(err))
			return
		}
	}
}

func certificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	certPEM, keyPEM, err := selfsigned.Make(name, []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	block, _ := pem.Decode(certPEM)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(leaf)
	return cert, pool
}

// eventually waits for what another goroutine or the kernel is about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// The deadline that stands on a socket may be one of an earlier wait. When it passes just before what has come is read, the
// connection goes on.
func TestReadAfterAnEarlierDeadline(t *testing.T) {
	l, err := ListenStream(loop4, false, StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ListenerClosed)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.arm(time.Now().Add(-time.Second))
	b := make([]byte, 16)
	if n, err := c.Read(b); string(b[:n]) != "one" || err != nil {
		t.Fatalf("Read gave %q and %v", b[:n], err)
	}
	if err := c.Wait(time.Now().Add(time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Wait for nothing gave %v", err)
	}
}

func closedFor(t testing.TB, l *StreamListener, r Reason, n uint64) {
	t.Helper()
	eventually(t, "closed for "+r.String(), func() bool { return l.Counters().Read().Closed[r] == n })
	eventually(t, "none open", func() bool { return l.Counters().Read().Open == 0 })
}

func TestConnEchoes(t *testing.T) {
	cert, pool := certificate(t, "a.example")
	for name, secure := range map[string]bool{"tcp": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			l := echoing(t, secure, StreamOptions{}, &tls.Config{Certificates: []tls.Certificate{cert}})
			var config *tls.Config
			if secure {
				config = &tls.Config{RootCAs: pool, ServerName: "a.example"}
			}
			opt := StreamOptions{}.WithDefaults()
			var n ConnCounters
			c := NewDial(netip.MustParseAddr("127.0.0.9"), l.LocalAddr(), config, &opt, &n)
			want := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
			c.Queue(want[:5]) // before it is open
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if c.Local.Addr() != netip.MustParseAddr("127.0.0.9") {
				t.Errorf("from %s", c.Local)
			}
			go func() {
				for rest := want[5:]; len(rest) > 0; {
					k := min(len(rest), 7777)
					c.Queue(rest[:k])
					c.Flush()
					rest = rest[k:]
				}
			}()
			var got []byte
			b := make([]byte, 4096)
			for len(got) < len(want) {
				if err := c.Wait(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err, len(got))
				}
				for {
					k, err := c.Read(b)
					if err != nil {
						t.Fatal(err)
					}
					if got = append(got, b[:k]...); k == 0 || c.Drained() {
						break
					}
				}
			}
			if !bytes.Equal(got, want) {
				t.Error("other octets came back")
			}
			c.Close(ListenerClosed)
			closedFor(t, l, PeerClosed, 1)
		})
	}
}

// A peer that does not read loses its connection, and whoever sends to it never waits.
func TestConnSlowPeer(t *testing.T) {
	l, err := ListenStream(loop4, false, StreamOptions{MaxQueue: 100_000, Write: time.Hour}) // a sender who waits would not come back
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil || c.Start() != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1000)
	for range 100_000 {
		ok := c.Queue(b)
		c.Flush()
		if !ok {
			break
		}
	}
	if c.Closed() != SlowPeer {
		t.Errorf("closed: %s", c.Closed())
	}
	closedFor(t, l, SlowPeer, 1)
}

func TestConnWriteTimeout(t *testing.T) {
	l, _ := ListenStream(loop4, false, StreamOptions{MaxQueue: 64 << 20, Write: 50 * time.Millisecond})
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil || c.Start() != nil {
		t.Fatal(err)
	}
	c.Queue(make([]byte, 32<<20))
	c.Flush()
	closedFor(t, l, WriteTimeout, 1)
}

func TestConnIdle(t *testing.T) {
	l, _ := ListenStream(loop4, false, StreamOptions{})
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go serveEcho(c, 50*time.Millisecond)
	closedFor(t, l, Idle, 1)
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

// An earlier deadline does not end a later wait.
func TestConnWaitLater(t *testing.T) {
	l, _ := ListenStream(loop4, false, StreamOptions{})
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil || c.Start() != nil {
		t.Fatal(err)
	}
	if err := c.Wait(time.Now().Add(10 * time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- c.Wait(time.Now().Add(10 * time.Second)) }()
	peer.Write([]byte("x"))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A deadline that passes between Wait and Read, as that of the handshake may, does not end the connection.
func TestConnReadPastDeadline(t *testing.T) {
	l, _ := ListenStream(loop4, false, StreamOptions{})
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil || c.Start() != nil {
		t.Fatal(err)
	}
	peer.Write([]byte("x"))
	later := time.Now().Add(10 * time.Second)
	if err := c.Wait(later); err != nil {
		t.Fatal(err)
	}
	c.arm(time.Now().Add(-time.Second))
	b := make([]byte, 10)
	if n, err := c.Read(b); n != 1 || err != nil {
		t.Errorf("%d octets, %v", n, err)
	}
}

// The last words reach a peer that has sent more than was read.
func TestConnEnd(t *testing.T) {
	l := echoing(t, false, StreamOptions{}, nil)
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	peer.Write([]byte("the end" + strings.Repeat("x", 100_000)))
	got, err := io.ReadAll(io.LimitReader(peer, 7))
	if err != nil || string(got) != "the end" {
		t.Errorf("%q %v", got, err)
	}
	closedFor(t, l, FramingLost, 1)
}

func TestConnLimits(t *testing.T) {
	l := echoing(t, false, StreamOptions{MaxConns: 3, MaxPerSource: 2}, nil)
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
		c, err := d.Dial("tcp", l.LocalAddr().String())
		if err != nil {
			return nil // reset at once
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	alive := func(c net.Conn) bool {
		if c == nil {
			return false
		}
		c.Write([]byte("x"))
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	first := dial("127.0.0.2:0")
	for i, want := range []bool{true, true} {
		c := first
		if i > 0 {
			c = dial("127.0.0.2:0")
		}
		if alive(c) != want {
			t.Error("connection", i)
		}
	}
	if alive(dial("127.0.0.2:0")) {
		t.Error("a third one from one source")
	}
	if !alive(dial("127.0.0.3:0")) || alive(dial("127.0.0.4:0")) {
		t.Error("of two more sources one should be served")
	}
	first.Close()
	eventually(t, "a place is free", func() bool { return l.Counters().Read().Open == 2 })
	eventually(t, "and taken", func() bool { return alive(dial("127.0.0.2:0")) })
	if st := l.Counters().Read(); st.Closed[TooManyFromSource] != 1 || st.Closed[TooMany] < 1 {
		t.Errorf("%+v", st)
	}
}

func TestConnTLS(t *testing.T) {
	a, poolA := certificate(t, "a.example")
	b, poolB := certificate(t, "b.example")
	config := &tls.Config{Certificates: []tls.Certificate{a, b}}
	config.SetSessionTicketKeys([][32]byte{{1}})
	l := echoing(t, true, StreamOptions{}, config)
	dial := func(c *tls.Config) (*tls.Conn, error) { return tls.Dial("tcp", l.LocalAddr().String(), c) }
	t.Run("SNI", func(t *testing.T) {
		for name, pool := range map[string]*x509.CertPool{"a.example": poolA, "b.example": poolB} {
			c, err := dial(&tls.Config{RootCAs: pool, ServerName: name})
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
	})
	t.Run("resumption over a reload", func(t *testing.T) {
		cache := tls.NewLRUClientSessionCache(1)
		for i, version := range []uint16{tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS12} {
			if i == 2 {
				cache = tls.NewLRUClientSessionCache(1)
			}
			c, err := dial(&tls.Config{RootCAs: poolA, ServerName: "a.example", ClientSessionCache: cache, MaxVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("x"))
			io.ReadFull(c, make([]byte, 1)) // the ticket comes before it
			if c.ConnectionState().DidResume != (i%2 == 1) {
				t.Errorf("connection %d resumed: %v", i, i%2 == 0)
			}
			c.Close()
			again := &tls.Config{Certificates: []tls.Certificate{a}}
			again.SetSessionTicketKeys([][32]byte{{2}, {1}})
			l.SetTLS(again)
		}
	})
	t.Run("reload", func(t *testing.T) {
		old, err := dial(&tls.Config{RootCAs: poolA, ServerName: "a.example"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetTLS(&tls.Config{Certificates: []tls.Certificate{b}})
		if _, err := dial(&tls.Config{RootCAs: poolB, ServerName: "b.example"}); err != nil {
			t.Error(err)
		}
		old.Write([]byte("x"))
		if _, err := io.ReadFull(old, make([]byte, 1)); err != nil {
			t.Error("a connection of before:", err)
		}
		old.Close()
	})
	t.Run("plain", func(t *testing.T) {
		c, err := net.Dial("tcp", l.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("REGISTER sip:a SIP/2.0\r\n"))
		eventually(t, "not TLS", func() bool { return l.Counters().Read().Closed[NotTLS] == 1 })
	})
	t.Run("silence", func(t *testing.T) {
		l := echoing(t, true, StreamOptions{Handshake: 100 * time.Millisecond}, config)
		c, err := net.Dial("tcp", l.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		eventually(t, "handshake timeout", func() bool { return l.Counters().Read().Closed[HandshakeTimeout] == 1 })
	})
	t.Run("client certificate", func(t *testing.T) {
		l.SetTLS(&tls.Config{Certificates: []tls.Certificate{b}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: poolB})
		c, err := dial(&tls.Config{RootCAs: poolB, ServerName: "b.example"})
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil {
			t.Error("none was wanted")
		}
		eventually(t, "bad certificate", func() bool { return l.Counters().Read().Closed[BadCertificate] == 1 })
	})
}

// A record that is not of the session ends it, for a fault of TLS and not of the network.
func TestConnForgedRecord(t *testing.T) {
	cert, pool := certificate(t, "a.example")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		l := echoing(t, true, StreamOptions{}, &tls.Config{Certificates: []tls.Certificate{cert}})
		peer, err := net.Dial("tcp", l.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		c := tls.Client(peer, &tls.Config{RootCAs: pool, ServerName: "a.example", MaxVersion: version})
		c.Write([]byte("x"))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		peer.Write(append([]byte{0x17, 3, 3, 0, 32}, make([]byte, 32)...))
		closedFor(t, l, HandshakeFailed, 1)
	}
}

// What a connection holds that has spoken and is idle, both sides of it, in octets of heap and stacks.
func TestConnIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 1,000 connections")
	}
	cert, pool := certificate(t, "a.example")
	for name, limit := range map[string]int64{"tcp": 12 << 10, "tls": 32 << 10} {
		t.Run(name, func(t *testing.T) {
			secure := name == "tls"
			l := echoing(t, secure, StreamOptions{}, &tls.Config{Certificates: []tls.Certificate{cert}})
			const n = 500
			peers := make([]net.Conn, n)
			before := heapAndStacks()
			for i := range peers {
				c, err := net.Dial("tcp", l.LocalAddr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				peers[i] = c
			}
			for i, c := range peers {
				if secure {
					c = tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "a.example"})
					peers[i] = c
				}
				c.Write(make([]byte, 1500))
				if _, err := io.ReadFull(c, make([]byte, 1500)); err != nil {
					t.Fatal(err)
				}
			}
			each := (heapAndStacks() - before) / n
			t.Logf("%d octets for a connection, with what its peer in this test has", each)
			if secure {
				limit *= 2 // the peer is one of crypto/tls too
			}
			if each > limit {
				t.Errorf("%d octets, want at most %d", each, limit)
			}
		})
	}
}

func heapAndStacks() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse) // what earlier tests left may go meanwhile, so that differences can be below 0
}

func TestConnAllocates0(t *testing.T) {
	l, _ := ListenStream(loop4, false, StreamOptions{})
	defer l.Close()
	peer, err := net.Dial("tcp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := l.Accept()
	if err != nil || c.Start() != nil {
		t.Fatal(err)
	}
	msg, b := make([]byte, 900), make([]byte, 4096)
	if a := alloctest.PerRun(200, func() {
		c.Queue(msg)
		c.Flush()
		if _, err := io.ReadFull(peer, b[:900]); err != nil {
			t.Fatal(err)
		}
		peer.Write(msg)
		for n := 0; n < 900; {
			if err := c.Wait(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			k, err := c.Read(b)
			if n += k; err != nil {
				t.Fatal(err)
			}
		}
	}); a > 0 {
		t.Errorf("%v allocations", a)
	}
}
