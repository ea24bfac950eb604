package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// Listeners are TCP listeners by name that survive those who serve at them: the successor of the process gets them, and who
// opens one again finds the connections that came meanwhile.
type Listeners struct {
	mu    sync.Mutex
	files map[string]*os.File
	heirs map[string]bool // names that were taken over and that nobody here has opened yet
}

// Listen listens, at what is there under the name if that is of the same address.
func (l *Listeners) Listen(name, addr string) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.heirs, name)
	if f := l.files[name]; f != nil {
		if ln, err := net.FileListener(f); err == nil {
			if same(ln.Addr(), addr) {
				return ln, nil
			}
			ln.Close()
		}
		f.Close()
		delete(l.files, name)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := ln.(*net.TCPListener); ok {
		if f, err := tcp.File(); err == nil {
			l.keep(name, f)
		}
	}
	return ln, nil
}

func (l *Listeners) keep(name string, f *os.File) {
	if l.files == nil {
		l.files = map[string]*os.File{}
	}
	l.files[name] = f
}

// same reports whether a listener is what listening at an address would give.
func same(have net.Addr, addr string) bool {
	a, ok := have.(*net.TCPAddr)
	want, err := net.ResolveTCPAddr("tcp", addr)
	if !ok || err != nil || want.Port != 0 && want.Port != a.Port {
		return false
	}
	if len(want.IP) == 0 || want.IP.IsUnspecified() {
		return a.IP.IsUnspecified()
	}
	return want.IP.Equal(a.IP)
}

// Message is the names, and the files beside them, as Welcome has them. The files stay ours.
func (l *Listeners) Message() (data []byte, fds []int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := []string{}
	for name, f := range l.files {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, nil, err
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return nil, nil, err
		}
		names = append(names, name)
	}
	data, err = json.Marshal(names)
	return data, fds, err
}

// Take takes the listeners of a message over.
func (l *Listeners) Take(m *Message) error {
	var names []string
	if err := json.Unmarshal(m.Data, &names); err != nil || len(names) != len(m.Files) {
		m.CloseFiles()
		return errors.Join(fmt.Errorf("handover: %d names for %d listeners", len(names), len(m.Files)), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heirs = map[string]bool{}
	for i, name := range names {
		l.keep(name, m.Files[i])
		l.heirs[name] = true
	}
	return nil
}

// Prune closes what was taken over and nobody has opened: who connected there would wait for nobody.
func (l *Listeners) Prune() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.heirs {
		l.files[name].Close()
		delete(l.files, name)
	}
	l.heirs = nil
}

// Close lets go of all.
func (l *Listeners) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		f.Close()
	}
	l.files = nil
}
