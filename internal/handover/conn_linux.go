package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Limits.
const (
	maxMessage   = 1 << 30 // octets of a message
	maxFiles     = 1 << 20 // beside a message
	filesAtATime = 200     // the kernel takes 253
	headerSize   = 12
)

// Conn is one end of the talk.
type Conn struct {
	unix *net.UnixConn
	send sync.Mutex
}

// Close ends the talk. The other side sees it as the end of this process.
func (c *Conn) Close() error { return c.unix.Close() }

// Limit is when sending and receiving end at the latest; zero: never.
func (c *Conn) Limit(t time.Time) { _ = c.unix.SetDeadline(t) }

// PID is the process at the other end; 0 if that cannot be told.
func (c *Conn) PID() int {
	cred, err := peer(c.unix)
	if err != nil {
		return 0
	}
	return int(cred.Pid)
}

// Send sends a message with descriptors beside it, which stay the sender's. Any goroutine may call it.
func (c *Conn) Send(k Kind, data []byte, fds ...int) error {
	c.send.Lock()
	defer c.send.Unlock()
	var head [headerSize]byte
	head[0], head[1] = byte(k), Version
	binary.LittleEndian.PutUint32(head[4:], uint32(len(data)))
	binary.LittleEndian.PutUint32(head[8:], uint32(len(fds)))
	octets := head[:]
	for {
		n := min(len(fds), filesAtATime)
		if _, _, err := c.unix.WriteMsgUnix(octets, rights(fds[:n]), nil); err != nil {
			return fmt.Errorf("handover: %v: %w", k, err)
		}
		if fds = fds[n:]; len(fds) == 0 {
			break
		}
		octets = head[:1] // descriptors travel beside at least one octet
	}
	if len(data) == 0 {
		return nil // it is on its way: an error from here on would say that it is not
	}
	if _, err := c.unix.Write(data); err != nil {
		return fmt.Errorf("handover: %v: %w", k, err)
	}
	return nil
}

func rights(fds []int) []byte {
	if len(fds) == 0 {
		return nil
	}
	return unix.UnixRights(fds...)
}

// Receive waits for the next message. io.EOF says that the other side is gone.
func (c *Conn) Receive() (*Message, error) {
	var head [headerSize]byte
	m := &Message{}
	if err := c.octets(head[:], m); err != nil {
		m.CloseFiles()
		return nil, err
	}
	m.Kind = Kind(head[0])
	size, files := binary.LittleEndian.Uint32(head[4:]), int(binary.LittleEndian.Uint32(head[8:]))
	if head[1] != Version || size > maxMessage || files > maxFiles {
		m.CloseFiles()
		return nil, fmt.Errorf("handover: %w: version %d, this one speaks %d: a restart between them is a cold one", ErrVersion, head[1], Version)
	}
	for len(m.Files) < files {
		if err := c.octets(head[:1], m); err != nil {
			m.CloseFiles()
			return nil, err
		}
	}
	m.Data = make([]byte, size)
	if _, err := io.ReadFull(c.unix, m.Data); err != nil {
		m.CloseFiles()
		return nil, fmt.Errorf("handover: %v: %w", m.Kind, err)
	}
	return m, nil
}

// octets fills b, and takes what files come with it.
func (c *Conn) octets(b []byte, m *Message) error {
	oob := make([]byte, unix.CmsgSpace(4*filesAtATime))
	for len(b) > 0 {
		n, nOOB, flags, _, err := c.unix.ReadMsgUnix(b, oob)
		if err != nil {
			return err
		}
		if err := m.take(oob[:nOOB]); err != nil {
			return err
		}
		if flags&unix.MSG_CTRUNC != 0 {
			return errors.New("handover: the system has no room for more open files: raise the limit (LimitNOFILE)")
		}
		if n == 0 {
			return io.EOF
		}
		b = b[n:]
	}
	return nil
}

func (m *Message) take(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	for i := range list {
		fds, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			continue // something else
		}
		for _, fd := range fds {
			m.Files = append(m.Files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return nil
}

// Expect waits for a message of one kind.
func (c *Conn) Expect(k Kind) (*Message, error) {
	m, err := c.Receive()
	if err != nil {
		return nil, fmt.Errorf("handover: waiting for %q: %w", k, err)
	}
	if m.Kind != k {
		m.CloseFiles()
		return nil, fmt.Errorf("handover: %q came, where %q was to come", m.Kind, k)
	}
	return m, nil
}

// Dup duplicates a descriptor; the copy is closed by CloseAll.
func Dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// CloseAll closes descriptors that Dup gave.
func CloseAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// Now is the time of a clock that all processes of a machine share, in nanoseconds.
func Now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails on no system that Go runs on
	return t.Nano()
}
