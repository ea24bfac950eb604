//go:build linux

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	shakers   = 4    // handshakes under way at a time
	idleCount = 5000 // connections of the idle section
	idleFirst = 50   // and before it is looked: what the first need once

	targetTCPKB = 12.0
	targetTLSKB = 32.0
)

// keyKinds are the keys that servers show.
var keyKinds = []struct{ name, file string }{{"ECDSA P-256", "p256"}, {"RSA 2048", "rsa"}}

// makeKeys writes a certificate of each kind.
func (b *bench) makeKeys() error {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	two, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for i, key := range []crypto.Signer{p256, two} {
		t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench.example"}, DNSNames: []string{"bench.example"},
			NotBefore: b.began.Add(-time.Hour), NotAfter: b.began.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
		cert, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
		if err != nil {
			return err
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		for ext, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: cert}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(b.path(keyKinds[i].file+ext), pem.EncodeToMemory(block), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// handshakes compares what a handshake of TLS 1.3 costs the two programs, with each kind of key, all of it and resumed.
func (b *bench) handshakes() error {
	t := table{title: "TLS 1.3 handshakes for each second of CPU of the program that is connected to", columns: []string{"key", "session", "carillon", "kamailio", "ratio", "quartiles"}}
	for _, kind := range keyKinds {
		us, err := b.startCarillonStreams(kind.file)
		if err != nil {
			b.stop(us)
			return err
		}
		k, err := b.startKamailioStreams(kind.file)
		if err == nil {
			err = b.handshakesWith(&t, kind.name, us, k)
		}
		b.stop(us)
		b.stop(k)
		if err != nil {
			return err
		}
	}
	b.tables = append(b.tables, t)
	b.note("handshakes with RSA: a profile of transport.BenchmarkHandshake has 77 %% of what a new one costs the server in crypto/rsa (0.67 ms a signature, where openssl speed has 0.21), " +
		"16 %% in the key exchange, 3 %% in calls of the system; nothing of ours is above 1 %%. There is nothing to be saved but by the key: one on P-256 costs a quarter.")
	return nil
}

func (b *bench) handshakesWith(t *table, key string, us, k *peer) error {
	for _, p := range []*peer{us.over("TLS", streamProxy+1, 1), k.over("TLS", streamPeer+1, 1)} {
		if err := b.ready(b.farm, p); err != nil {
			return err
		}
	}
	for _, resume := range []bool{false, true} {
		var ours, theirs, ratio []float64
		for range (b.rounds + 1) / 2 {
			a, err := b.shake(us, streamProxy+1, resume)
			if err != nil {
				return err
			}
			c, err := b.shake(k, streamPeer+1, resume)
			if err != nil {
				return err
			}
			ours, theirs, ratio = append(ours, a), append(theirs, c), append(ratio, a/c)
		}
		session := map[bool]string{false: "new", true: "resumed"}[resume]
		t.rows = append(t.rows, []string{key, session, thousands(median(ours)), thousands(median(theirs)), fmt.Sprintf("%.2f", median(ratio)), quartiles(ratio)})
	}
	return nil
}

// shake gives the handshakes of a peer for each second of its CPU.
func (b *bench) shake(p *peer, port int, resume bool) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, "--inside", fmt.Sprintf("--shake=127.0.0.1:%d", port), fmt.Sprintf("--resume=%t", resume), fmt.Sprintf("--shake-secs=%.1f", b.secs))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	before := cpuSeconds(p.cmd.Process.Pid)
	if err := startOn(cmd, []int{generatorCPU()}); err != nil {
		return 0, err
	}
	var r shaken
	if err := errors.Join(json.NewDecoder(out).Decode(&r), cmd.Wait()); err != nil {
		return 0, fmt.Errorf("handshakes with %s: %w", p.name, err)
	}
	spent := cpuSeconds(p.cmd.Process.Pid) - before
	if r.Done == 0 || resume && r.Resumed < r.Done*9/10 || !resume && r.Resumed > 0 {
		return 0, fmt.Errorf("handshakes with %s: %d, %d of them resumed, %d failed: %s", p.name, r.Done, r.Resumed, r.Failed, r.Why)
	}
	if r.Failed > 0 {
		b.judge("handshakes", p, result{Kinds: map[string]int{"handshake": int(r.Failed)}})
	}
	return float64(r.Done) / spent, nil
}

// shaken is what the process that shakes hands tells.
type shaken struct {
	Done, Resumed, Failed int64
	Why                   string
}

// shakeHands opens connections, says CRLF twice and waits for the answer, and closes them. Where sessions are to be taken up again, each
// of the shakers has its own, from the connection before.
func shakeHands(addr string, resume bool, secs float64) {
	var r shaken
	var why atomic.Value
	end := time.Now().Add(time.Duration(secs * float64(time.Second)))
	var wg sync.WaitGroup
	for range shakers {
		wg.Go(func() {
			c := &tls.Config{InsecureSkipVerify: true, ServerName: "bench.example", MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}
			if resume {
				c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			}
			for n := 0; time.Now().Before(end); n++ {
				resumed, err := shakeOnce(addr, c)
				switch {
				case err != nil:
					atomic.AddInt64(&r.Failed, 1)
					why.Store(err.Error())
				case resumed:
					atomic.AddInt64(&r.Resumed, 1)
					fallthrough
				default:
					atomic.AddInt64(&r.Done, 1)
				}
			}
		})
	}
	wg.Wait()
	r.Why, _ = why.Load().(string)
	json.NewEncoder(os.Stdout).Encode(r)
}

func shakeOnce(addr string, c *tls.Config) (resumed bool, err error) {
	conn, err := dialTLS(addr, c)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	return conn.ConnectionState().DidResume, ping(conn)
}

func dialTLS(addr string, c *tls.Config) (*tls.Conn, error) {
	raw, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(5 * time.Second))
	conn := tls.Client(raw, c)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// ping sends the keep-alive of RFC 5626 and reads its answer, and before it the tickets of TLS 1.3.
func ping(conn net.Conn) error {
	if _, err := conn.Write([]byte("\r\n\r\n")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 2))
	return err
}

// idleConnections measures what Carillon holds for connections that have had an answer to an OPTIONS and are silent.
func (b *bench) idleConnections() error {
	t := table{title: fmt.Sprintf("Idle connections: resident memory of %s of them, each", thousands(idleCount)), columns: targetColumns}
	for _, over := range []struct {
		name   string
		port   int
		target float64
	}{{"TCP", streamProxy, targetTCPKB}, {"TLS", streamProxy + 1, targetTLSKB}} {
		us, err := b.startCarillonStreams("p256")
		if err == nil {
			err = b.ready(b.farm, us.over(over.name, over.port, 1))
		}
		var kb float64
		if err == nil {
			kb, err = b.idle(us, over.name, over.port)
		}
		b.stop(us)
		if err != nil {
			return err
		}
		t.add(over.name+", KB", fmt.Sprintf("%.1f", kb), "", fmt.Sprintf("at most %.0f", over.target), kb <= over.target)
	}
	b.tables = append(b.tables, t)
	return nil
}

func (b *bench) idle(p *peer, transport string, port int) (kb float64, err error) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil && limit.Max < idleCount+100 {
		return 0, fmt.Errorf("%d files may be open, and %d are needed: see ulimit -n", limit.Max, idleCount+100)
	}
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	var before float64
	for i := range idleFirst + idleCount {
		if i == idleFirst {
			time.Sleep(time.Second)
			if before, err = rssMB(p.cmd.Process.Pid); err != nil {
				return 0, err
			}
		}
		c, err := speakOnce(i, transport, fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return 0, fmt.Errorf("idle connection %d over %s: %w", i, transport, err)
		}
		all = append(all, c)
	}
	time.Sleep(3 * time.Second) // what handshakes needed is given back by then, as far as it is
	after, err := rssMB(p.cmd.Process.Pid)
	return (after - before) * 1024 / idleCount, err
}

// speakOnce opens a connection and has an OPTIONS answered by a server.
func speakOnce(n int, transport, addr string) (net.Conn, error) {
	var c net.Conn
	var err error
	if transport == "TLS" {
		c, err = dialTLS(addr, &tls.Config{InsecureSkipVerify: true, ServerName: "bench.example"})
	} else {
		c, err = net.DialTimeout("tcp", addr, 5*time.Second)
	}
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(c, "OPTIONS sip:idle@calls.example SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bKidle%d\r\nMax-Forwards: 70\r\nFrom: <sip:bench@calls.example>;tag=idle%d\r\n"+
		"To: <sip:idle@calls.example>\r\nCall-ID: idle-%d@calls.example\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", transport, c.LocalAddr(), n, n, n); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	k, err := c.Read(answer)
	if err == nil && !strings.HasPrefix(string(answer[:k]), "SIP/2.0 200") {
		err = fmt.Errorf("the answer is %q", answer[:k])
	}
	return c, err
}

// cpuSeconds is the CPU of all threads of a process and of its children, as the scheduler counts it.
func cpuSeconds(pid int) (s float64) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		stat, _ := os.ReadFile(task + "/schedstat")
		if f := strings.Fields(string(stat)); len(f) > 0 {
			ns, _ := strconv.ParseFloat(f[0], 64)
			s += ns / 1e9
		}
		children, _ := os.ReadFile(task + "/children")
		for _, c := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(c); err == nil {
				s += cpuSeconds(child)
			}
		}
	}
	return s
}
