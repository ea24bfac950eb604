package store

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes the lock of a file, which ends with the process; taken: another has it. It is on octets beyond the
// content, which others read to tell who has it.
func tryLock(f *os.File) (taken bool, err error) {
	beyond := windows.Overlapped{OffsetHigh: math.MaxInt32}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &beyond)
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION), err
}

// freeBytes is what this process may still write.
func (d disk) freeBytes() (int64, error) {
	dir, err := windows.UTF16PtrFromString(d.dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(dir, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64)), nil
}
