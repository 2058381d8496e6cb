package recording

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// A file is a recording on the disk. It is made by its first sound. A nil file takes everything and keeps nothing.
type file struct {
	r      *Recorder
	name   string
	opened func() // after it was made
	f      *os.File
	form   form
}

// A form lays sound out in a file.
type form interface {
	write(pos int64, pcm []int16) error // in order of pos; what lies between is silence
	flush() error
	renew() error // the header
	end() error
}

func (f *file) write(pos int64, pcm []int16) error {
	if f == nil {
		return nil
	}
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	return f.form.write(pos, pcm)
}

func (f *file) open() error {
	mode, dir := os.FileMode(0o600), os.FileMode(0o700)
	if f.r.o.Readable {
		mode, dir = 0o644, 0o711
	}
	if err := os.MkdirAll(f.r.o.Dir, dir); err != nil {
		return err
	}
	made, err := os.OpenFile(filepath.Join(f.r.o.Dir, f.name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	out := &counted{made, f.r}
	if f.r.o.Format == "opus" {
		f.form, err = newOgg(out)
	} else {
		f.form, err = newWAV(out)
	}
	if err != nil {
		return errors.Join(err, made.Close(), os.Remove(made.Name()))
	}
	f.f = made
	if f.opened != nil {
		f.opened()
	}
	return nil
}

func (f *file) flush() error {
	if f == nil || f.f == nil {
		return nil
	}
	return f.form.flush()
}

func (f *file) renew() error {
	if f == nil || f.f == nil {
		return nil
	}
	return f.form.renew()
}

func (f *file) close() error {
	if f == nil || f.f == nil {
		return nil
	}
	return errors.Join(f.form.end(), f.f.Sync(), f.f.Close())
}

// counted is a file whose bytes are counted.
type counted struct {
	io.WriterAt
	r *Recorder
}

func (c *counted) WriteAt(b []byte, off int64) (int, error) {
	n, err := c.WriterAt.WriteAt(b, off)
	c.r.wrote(int64(n))
	return n, err
}

const headerLen = 44

// wav is 16-bit mono PCM behind a header that says how much.
type wav struct {
	w    io.WriterAt
	at   int64 // position of buf
	buf  []byte
	size int64 // of the sound that is on the disk
}

func newWAV(w io.WriterAt) (*wav, error) {
	v := &wav{w: w}
	return v, v.renew()
}

func (v *wav) write(pos int64, pcm []int16) error {
	if pos != v.at+int64(len(v.buf)/2) {
		if err := v.flush(); err != nil {
			return err
		}
		v.at = pos
	}
	for _, s := range pcm {
		v.buf = binary.LittleEndian.AppendUint16(v.buf, uint16(s))
	}
	return nil
}

// flush writes what waits. What the disk does not take is silence.
func (v *wav) flush() error {
	if len(v.buf) == 0 {
		return nil
	}
	n, err := v.w.WriteAt(v.buf, headerLen+2*v.at)
	v.size = max(v.size, 2*v.at+int64(n))
	v.at, v.buf = v.at+int64(len(v.buf)/2), v.buf[:0]
	return err
}

func (v *wav) renew() error {
	_, err := v.w.WriteAt(header(v.size), 0)
	return err
}

func (v *wav) end() error { return errors.Join(v.flush(), v.renew()) }

// header is that of a file with so much sound; what is beyond 4 GiB cannot be said.
func header(size int64) []byte {
	n := uint32(min(size&^1, 0xffffffff-headerLen))
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), n+headerLen-8)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	b = binary.LittleEndian.AppendUint32(b, Rate)
	b = binary.LittleEndian.AppendUint32(b, 2*Rate)
	b = append(b, "\x02\x00\x10\x00data"...)
	return binary.LittleEndian.AppendUint32(b, n)
}

var errNoWAV = errors.New("not a recording of ours")

// Repair gives a WAV file whose recorder was killed a header that says how long it is.
func Repair(dir *os.Root, name string) error {
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var old [headerLen]byte
	_, err = f.ReadAt(old[:], 0)
	switch {
	case errors.Is(err, io.EOF) && info.Size() < headerLen: // not even that
	case err != nil:
		return err
	case string(old[:4]) != "RIFF" || string(old[36:40]) != "data":
		return errNoWAV
	}
	right := header(max(0, info.Size()-headerLen))
	if string(right) == string(old[:]) {
		return nil
	}
	if _, err := f.WriteAt(right, 0); err != nil {
		return err
	}
	return f.Sync()
}

// freeSpace is how much a disk has left for us.
func freeSpace(dir string) (int64, error) {
	for ; ; dir = filepath.Dir(dir) { // it may not be there yet
		var s syscall.Statfs_t
		err := syscall.Statfs(dir, &s)
		if err == nil {
			return int64(s.Bavail) * int64(s.Bsize), nil
		}
		if !errors.Is(err, syscall.ENOENT) || dir == filepath.Dir(dir) {
			return 0, err
		}
	}
}
