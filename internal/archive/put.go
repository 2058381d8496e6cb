package archive

import (
	"context"
	"io"
	"os"
	"time"
)

// A Place is where copies are taken to. Putting a file twice is the same as once; deleting one that is not there is no
// error.
type Place interface {
	Name() string // the same after a restart
	Put(ctx context.Context, dir, file string, body io.ReadSeeker, size int64) error
	Delete(ctx context.Context, dir, file string) error
}

const (
	copyLimit = time.Minute // and a second more for each slowest bytes
	slowest   = 100 << 10
)

// put takes one file to a place.
func (a *Archive) put(ctx context.Context, p Place, dir *os.Root, name, file string) error {
	f, err := dir.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, copyLimit+time.Duration(info.Size()/slowest)*time.Second)
	defer cancel()
	return p.Put(ctx, name, file, f, info.Size())
}
