//go:build !linux || !(amd64 || arm64)

package transport

import (
	"errors"
	"os"
)

var errNoHandover = errors.New("sockets change hands on Linux only")

// Hurry, Wake and Detach are for sockets that change hands, which they don't here.
func (s *Socket) Hurry(bool) {}

// Wake does nothing.
func (s *Socket) Wake(bool) {}

// Descriptor says that there is none to be given.
func (s *Socket) Descriptor(func(fd int)) error { return errNoHandover }

// Own does nothing.
func (s *Socket) Own() {}

// Detach closes the socket.
func (s *Socket) Detach() { s.Close() }

// AdoptUDP says that it cannot be done.
func AdoptUDP(f *os.File, _ Options) (*Socket, error) {
	f.Close()
	return nil, errNoHandover
}
