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
