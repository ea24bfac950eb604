//go:build !unix

package main

import "os"

// replaceSignals are none: sockets do not change hands here.
var replaceSignals []os.Signal
