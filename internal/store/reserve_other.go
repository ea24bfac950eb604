//go:build !linux

package store

// reserve: the file system has no way to do it.
func (d disk) reserve() {}

func (d disk) keepBallast() {}
