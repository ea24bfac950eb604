package handover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func pair(t testing.TB) (a, b *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err = FromFile(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// Messages come as they were sent, with their files, also with more files than the kernel takes at a time.
func TestMessages(t *testing.T) {
	a, b := pair(t)
	limit := time.Now().Add(20 * time.Second)
	a.Limit(limit)
	b.Limit(limit)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var fds []int
	for range 2*filesAtATime + 7 {
		fds = append(fds, int(w.Fd()))
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		a.Send(Hello, nil)
		a.Send(Sockets, big, fds...)
		a.Send(Table, []byte("after"), fds[:1]...)
	}()
	for _, want := range []struct {
		kind  Kind
		data  []byte
		files int
	}{{Hello, nil, 0}, {Sockets, big, len(fds)}, {Table, []byte("after"), 1}} {
		m, err := b.Expect(want.kind)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Data, want.data) || len(m.Files) != want.files {
			t.Fatalf("%v: %d octets and %d files, want %d and %d", m.Kind, len(m.Data), len(m.Files), len(want.data), want.files)
		}
		for _, f := range m.Files {
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Fatalf("%v: a file that programs would inherit: %v", m.Kind, err)
			}
		}
		m.CloseFiles()
	}
	go a.Send(Go, nil)
	if _, err := b.Expect(Told); err == nil {
		t.Error("another kind was taken for the one that was to come")
	}
	a.Close()
	if _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the other side: %v", err)
	}
}

// Another version is refused in words.
func TestOtherVersion(t *testing.T) {
	a, b := pair(t)
	go a.unix.Write([]byte{byte(Hello), Version + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	if _, err := b.Receive(); !errors.Is(err, ErrVersion) {
		t.Errorf("it was understood: %v", err)
	}
}

// A time goes to another process and back as it was, with what the time of day has no part in.
func TestMoment(t *testing.T) {
	if MomentOf(time.Time{}) != 0 || !Moment(0).Time().IsZero() {
		t.Error("no time becomes one")
	}
	rapid.Check(t, func(t *rapid.T) {
		was := time.Now().Add(time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "from now")))
		got := MomentOf(was).Time()
		if got.Sub(was) != 0 || !strings.Contains(got.String(), " m=") { // of the monotonic clock
			t.Fatalf("%v, was %v", got, was)
		}
	})
}

// What is sent without data was sent, or not at all: nobody may take for not sent what the other side reads.
func TestSendWithoutData(t *testing.T) {
	a, b := pair(t)
	for range 1000 {
		a.Limit(time.Now().Add(20 * time.Microsecond)) // about as long as it takes
		want := []Kind{Told}
		if a.Send(Go, nil) == nil {
			want = []Kind{Go, Told}
		}
		a.Limit(time.Now().Add(20 * time.Second))
		b.Limit(time.Now().Add(20 * time.Second))
		if err := a.Send(Told, nil); err != nil {
			t.Fatal(err)
		}
		for _, k := range want {
			if _, err := b.Expect(k); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What is read is what was written, and what is cut short is seen to be.
func TestOctets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octets := rapid.SliceOf(rapid.Byte())
		s := Stream{Own: rapid.Bool().Draw(t, "own"), Wanted: rapid.Bool().Draw(t, "wanted"), Relay: rapid.Bool().Draw(t, "relay"),
			Group: rapid.Uint32().Draw(t, "group"), Number: rapid.Uint64().Draw(t, "number"), Rest: octets.Draw(t, "rest"), Unsent: octets.Draw(t, "unsent"),
			Underway: rapid.SliceOf(rapid.Uint64()).Draw(t, "underway")}
		var w Writer
		s.Append(&w)
		r := Reader{B: w.B}
		got := r.Stream()
		if r.Failed || len(r.B) != 0 || got.Own != s.Own || got.Wanted != s.Wanted || got.Relay != s.Relay || got.Group != s.Group || got.Number != s.Number ||
			!bytes.Equal(got.Rest, s.Rest) || !bytes.Equal(got.Unsent, s.Unsent) || len(got.Underway) != len(s.Underway) || got.Remote != s.Remote {
			t.Fatalf("%+v, was %+v", got, s)
		}
		r = Reader{B: w.B[:rapid.IntRange(0, len(w.B)-1).Draw(t, "cut")]}
		if r.Stream(); !r.Failed {
			t.Fatal("what was cut short was read")
		}
	})
}

// A door is for its user alone, is not opened over another that somebody answers at, and over one of a process that is gone.
func TestDoor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "door")
	d, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	answered := make(chan *Conn, 1)
	go func() {
		c, _ := d.Answer()
		answered <- c
	}()
	c, err := Knock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other := <-answered
	defer other.Close()
	if pid := other.PID(); pid != os.Getpid() {
		t.Errorf("process %d knocks, want %d", pid, os.Getpid())
	}
	if _, err := Open(path, false); err == nil {
		t.Error("a second process opened it")
	}
	next, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	d.Leave()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("who leaves took the door away: %v", err)
	}
	next.ln.Close() // it died
	// what another process of our number left behind on the way, as happens where all have the number 1
	hidden := filepath.Join(filepath.Dir(path), fmt.Sprint(".", os.Getpid()))
	if err := os.WriteFile(hidden, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("who ends leaves the door: %v", err)
	}
}

// What the successor does not listen at any more refuses who connects, as soon as both let go of it.
func TestListenersPruned(t *testing.T) {
	var l, successor Listeners
	defer l.Close()
	defer successor.Close()
	addrs := map[string]string{}
	for _, name := range []string{"api", "metrics"} {
		ln, err := l.Listen(name, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[name] = ln.Addr().String()
		ln.Close()
	}
	m := welcomed(t, &l)
	if err := successor.Take(m); err != nil {
		t.Fatal(err)
	}
	ln, err := successor.Listen("api", addrs["api"])
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	successor.Prune()
	l.Close()
	for name, addr := range addrs {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		if (err == nil) != (name == "api") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who connects while nobody serves waits for the next one who does, in this process or another.
func TestListeners(t *testing.T) {
	var l, successor Listeners
	defer l.Close()
	defer successor.Close()
	ln, err := l.Listen("api", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	m := welcomed(t, &l)
	ln.Close()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	defer c.Close()
	if err := successor.Take(m); err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, want := range []string{addr, "127.0.0.1:0"} {
		if ln, err = successor.Listen("api", want); err != nil {
			t.Fatal(err)
		}
		if got := ln.Addr().String(); got != addr {
			t.Fatalf("%s for %s, want %s", got, want, addr)
		}
		if want == addr {
			s, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		ln.Close()
	}
	if ln, err = successor.Listen("api", "[::1]:0"); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if ln.Addr().String() == addr {
		t.Error("another address was wanted")
	}
}

// welcomed is the message with the listeners, as a successor gets it.
func welcomed(t *testing.T, l *Listeners) *Message {
	t.Helper()
	data, fds, err := l.Message()
	if err != nil {
		t.Fatal(err)
	}
	a, b := pair(t)
	go a.Send(Welcome, data, fds...)
	m, err := b.Expect(Welcome)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
