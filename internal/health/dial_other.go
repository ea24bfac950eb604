//go:build !linux

package health

import "syscall"

func dialControl(string, string, syscall.RawConn) error { return nil }
