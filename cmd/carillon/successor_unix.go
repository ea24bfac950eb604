//go:build unix

package main

import (
	"os"
	"syscall"
)

// replaceSignals ask the process to be replaced by a new one.
var replaceSignals = []os.Signal{syscall.SIGUSR2}
