//go:build linux && (amd64 || arm64)

package transport

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Go's scheduler interrupts whoever waits by signals. That is no end of the wait: a worker that took it for one went to rest
// with messages on their way.
func TestSignalsEndNoWait(t *testing.T) {
	const wait = 200 * time.Millisecond
	for name, opt := range map[string]Options{"polling": {}, "asleep": {Spin: -1}} {
		t.Run(name, func(t *testing.T) {
			s, b := open(t, lo4, opt), newBatch(t, 1)
			thread, done := make(chan int), make(chan time.Duration)
			go func() {
				runtime.LockOSThread()
				thread <- unix.Gettid()
				start := time.Now()
				if n, err := s.Recv(b, wait); n != 0 || err != nil {
					t.Errorf("Recv gave %d, %v", n, err)
				}
				done <- time.Since(start)
			}()
			tid := <-thread
			for tick := time.NewTicker(2 * time.Millisecond); ; {
				select {
				case <-tick.C:
					if err := unix.Tgkill(unix.Getpid(), tid, unix.SIGURG); err != nil && err != unix.ESRCH {
						t.Fatal(err)
					}
					continue
				case took := <-done:
					if took < wait/2 { // the kernel counts in ticks
						t.Errorf("it waited for %v of %v", took, wait)
					}
				}
				tick.Stop()
				break
			}
		})
	}
}
