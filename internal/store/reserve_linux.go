package store

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// databaseAhead is what the database file owns beyond its end.
const databaseAhead = 16 << 20

// reserve gives the database file its blocks before it grows into them, where the
// file system can.
func (d disk) reserve() {
	f, err := os.OpenFile(filepath.Join(d.dir, memberDir, "snap", "db"), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, info.Size()+databaseAhead)
	}
}

// keepBallast makes the ballast if it is not there and the disk has plenty, where
// the file system can.
func (d disk) keepBallast() {
	path := filepath.Join(d.dir, ballastFile)
	if _, err := os.Stat(path); err == nil {
		return
	}
	if free, err := d.freeBytes(); err != nil || free < ballast+diskReserve+outReserve {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_ = unix.Fallocate(int(f.Fd()), 0, 0, ballast) // if it cannot, the file is empty, and not tried again
}
