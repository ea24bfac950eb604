package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Door is the socket in the file system at which a successor knocks that was not started by this process.
type Door struct {
	ln   *net.UnixListener
	path string
}

// Open opens a door. A file that is left there by a process that is no more is replaced; one at which somebody answers is an
// error, unless that is the one that was taken over from.
func Open(path string, takenOver bool) (*Door, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		if !takenOver {
			return nil, fmt.Errorf("%s: another process answers there", path)
		}
	}
	// It is opened under another name, and moved once nobody else may use it.
	hidden := filepath.Join(filepath.Dir(path), "."+strconv.Itoa(os.Getpid()))
	_ = os.Remove(hidden) // of a process with our number that died here
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err = errors.Join(os.Chmod(hidden, 0o600), os.Rename(hidden, path)); err != nil {
		ln.Close()
		_ = os.Remove(hidden)
		return nil, err
	}
	return &Door{ln, path}, nil
}

// Answer waits for a successor. Who is neither of our user nor root is turned away.
func (d *Door) Answer() (*Conn, error) {
	for {
		c, err := d.ln.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if cred, err := peer(c); err == nil && (cred.Uid == 0 || cred.Uid == uint32(os.Geteuid())) {
			return &Conn{unix: c}, nil
		}
		c.Close()
	}
}

// peer is who is at the other end.
func peer(c *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(ctlErr, err); err != nil {
		return nil, err
	}
	return cred, nil
}

// Leave stops answering and leaves the file, which is the successor's by now.
func (d *Door) Leave() { d.ln.Close() }

// Close stops answering and removes the file.
func (d *Door) Close() {
	d.ln.Close()
	_ = os.Remove(d.path)
}

// Knock connects to the process behind a door.
func Knock(path string) (*Conn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return &Conn{unix: c}, nil
}

// Pair makes a talk with a process that is yet to be started: it is given the file.
func Pair() (*Conn, *os.File, error) {
	ours, theirs, err := Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer ours.Close()
	c, err := FromFile(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// Pipe makes two sockets that are connected with each other.
func Pipe() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// FromFile is the talk over a socket that this process was started with.
func FromFile(f *os.File) (*Conn, error) {
	n, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	c, ok := n.(*net.UnixConn)
	if !ok {
		n.Close()
		return nil, errors.New("handover: the file is no socket of this machine")
	}
	return &Conn{unix: c}, nil
}
