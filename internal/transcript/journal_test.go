package transcript

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func speech(n int) Entry {
	return Entry{Kind: Speech, At: time.Unix(int64(n), 0).UTC(), Person: alice, ID: strconv.Itoa(n), Text: strings.Repeat("word ", 1+n%50)}
}

func readFile(t *testing.T, path string) []Entry {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// inOrder fails unless the ids are 0 to n-1, each once.
func inOrder(t *testing.T, entries []Entry, n int) {
	t.Helper()
	for i, e := range entries {
		if e.ID != strconv.Itoa(i) {
			t.Fatalf("entry %d is %s", i, e.ID)
		}
	}
	if len(entries) != n {
		t.Fatalf("%d entries, want %d", len(entries), n)
	}
}

// badDisk is a file on a disk that fails on command, as a full, a read-only and a dying one do.
type badDisk struct {
	*os.File
	write, sync error
	part        float64 // of a failing write, what still reaches the disk
	delay       time.Duration
}

func (d *badDisk) WriteAt(b []byte, off int64) (int, error) {
	if d.write == nil {
		return d.File.WriteAt(b, off)
	}
	n, _ := d.File.WriteAt(b[:int(d.part*float64(len(b)))], off)
	return n, d.write
}

func (d *badDisk) Sync() error {
	if d.delay > 0 {
		<-time.After(d.delay)
	}
	if d.sync != nil {
		return d.sync
	}
	return d.File.Sync()
}

// TestT35_DiskFaults: full, read-only and failing disks at random lose no entry and leave a file
// of whole lines; a slow one only takes longer.
func TestT35_DiskFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "j.jsonl")
	disk := &badDisk{}
	j := NewJournal(path)
	fails := 3
	j.open = func(p string) (file, error) {
		if fails--; fails > 0 {
			return nil, syscall.EROFS
		}
		f, err := create(p)
		if err != nil {
			return nil, err
		}
		disk.File = f.(*os.File)
		return disk, nil
	}
	const n = 400
	rnd := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for i := range n {
		disk.write, disk.sync, disk.part, disk.delay = nil, nil, rnd.Float64(), 0
		switch rnd.IntN(8) {
		case 0:
			disk.write = syscall.ENOSPC
		case 1:
			disk.write = syscall.EROFS
		case 2:
			disk.sync = syscall.EIO
		case 3:
			disk.delay = time.Millisecond
		}
		if err := j.Append(speech(i)); err != nil {
			failed++
			if errors.Is(err, ErrLost) || strings.Contains(err.Error(), "word") {
				t.Fatal(err)
			}
		}
	}
	disk.write, disk.sync = nil, nil
	if err := j.Close(); err != nil || j.Pending() != 0 {
		t.Fatal(err, j.Pending())
	}
	if failed < n/5 {
		t.Fatalf("only %d faults", failed)
	}
	inOrder(t, readFile(t, path), n)
}

// TestT35_FullDisk: the kernel itself refuses to let the file grow, in the middle of a line.
func TestT35_FullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(old.Cur)
	path := filepath.Join(t.TempDir(), "j.jsonl")
	j := NewJournal(path)
	limit(1000)
	failed := 0
	for i := range 100 {
		if err := j.Append(speech(i)); errors.Is(err, syscall.EFBIG) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if failed == 0 || len(readFile(t, path)) == 0 {
		t.Fatalf("%d failed, %d kept", failed, len(readFile(t, path)))
	}
	limit(old.Cur)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	inOrder(t, readFile(t, path), 100)
}

// TestT35_NoDirectory: the directory comes later; what waits is bounded, and the bound is said.
func TestT35_NoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := NewJournal(filepath.Join(dir, "j.jsonl"))
	for i := range MaxPending {
		if err := j.Append(speech(i)); err == nil || errors.Is(err, ErrLost) {
			t.Fatal(i, err)
		}
	}
	if err := j.Append(speech(0)); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(speech(MaxPending)); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	inOrder(t, readFile(t, j.Path()), MaxPending+1)
	if err := NewJournal(j.Path()).Append(speech(0)); !errors.Is(err, os.ErrExist) {
		t.Error("a journal was written over:", err)
	}
}

// TestT35_Kill9: a writer is killed again and again; whatever Append has returned for is there, once.
func TestT35_Kill9(t *testing.T) {
	if path := os.Getenv("JOURNAL_CHILD"); path != "" {
		j := NewJournal(path)
		for i := 0; ; i++ {
			if err := j.Append(speech(i)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(i)
		}
	}
	kills := 10
	if os.Getenv("JIGASI_SOAK") != "" {
		kills = 100
	}
	for n := range kills {
		path := filepath.Join(t.TempDir(), "j.jsonl")
		c := exec.Command(os.Args[0], "-test.run=^TestT35_Kill9$")
		c.Env = append(os.Environ(), "JOURNAL_CHILD="+path)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		last, until := -1, 1+rand.IntN(60)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(lines.Text())
			}
			if last == until {
				_ = c.Process.Signal(syscall.SIGKILL)
			}
		}
		_ = c.Wait()
		entries := readFile(t, path)
		if len(entries) < last+1 || len(entries) > last+2 {
			t.Fatalf("kill %d: %d entries, %d were promised", n, len(entries), last+1)
		}
		inOrder(t, entries, len(entries))
	}
}

func TestRead(t *testing.T) {
	entries, err := Read(strings.NewReader(`{"kind":"SPEECH","id":"0"}` + "\n" + `{"kind":"SPEECH","id":"1","te`))
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, entries, 1)
	entries, err = Read(strings.NewReader(`{"kind":"SPEECH","id":"0"}` + "\nsecret words\n" + `{"kind":"SPEECH","id":"1"}` + "\n"))
	if err == nil || err.Error() != "line 2 is no entry" {
		t.Fatal(err)
	}
	inOrder(t, entries, 2)
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.txt")
	if err := Of(meeting()).Save(path, "txt"); err != nil {
		t.Fatal(err)
	}
	if err := Of(meeting()).Save(path, "txt"); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != render(t, Of(meeting()), "txt") {
		t.Error(err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Error(files)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"kind":"SPEECH","id":"0","at":"2024-11-22T15:04:05Z","text":"a"}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _ := Read(strings.NewReader(string(data)))
		for _, format := range Formats {
			if err := Of(entries).In("fr").Write(&strings.Builder{}, format); err != nil && format != "json" {
				t.Fatal(err)
			}
		}
		// What was read can be written, and reads back.
		if len(entries) == 0 {
			return
		}
		j, kept := NewJournal(filepath.Join(t.TempDir(), "j")), 0
		for _, e := range entries {
			if j.Append(e) == nil {
				kept++
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if kept > 0 && len(readFile(t, j.Path())) != kept {
			t.Fatalf("%d entries were written", kept)
		}
	})
}

// TestT35_LongLinesAreBounded: what waits is bounded in bytes as well.
func TestT35_LongLinesAreBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := NewJournal(filepath.Join(dir, "j.jsonl"))
	long := speech(0)
	long.Text = strings.Repeat("x", 4<<20)
	for i := range maxPendingBytes / (4 << 20) {
		if err := j.Append(long); err == nil || errors.Is(err, ErrLost) {
			t.Fatal(i, err)
		}
	}
	if err := j.Append(long); !errors.Is(err, ErrLost) {
		t.Fatal(err)
	}
}
