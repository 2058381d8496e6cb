package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"

	"jigasi/internal/recognize/prove"

	"golang.org/x/sys/unix"
)

// terminal is one, and what is seen on it once it was closed.
func terminal(t *testing.T) (tty *os.File, seen func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(master) // it ends with an error, when the other side is closed
		text <- string(b)
	}()
	return tty, func() string { tty.Close(); return <-text }
}

// TestBarOnATerminal: on a terminal one sees how far it is, and in the end what came of it alone; elsewhere only that.
func TestBarOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{wav(t, dir, prove.Say(20), 16000), "--config=" + wordsConfig(t, dir, vosk(t, nil)), "--format=srt"}
	var out, file bytes.Buffer
	tty, seen := terminal(t)
	if status := Transcribe(args, &out, tty, noEnv); status != 0 {
		t.Errorf("status %d", status)
	}
	if text := seen(); !regexp.MustCompile(`(?s)\r\[[= ]{30}\] +\d+%  \d+\.\d of 32\.0 s, .*\r\x1b\[K32\.0 s of sound in .*; 20 utterances`).MatchString(text) {
		t.Errorf("%q", text)
	}
	if status := Transcribe(args, &out, &file, noEnv); status != 0 || bytes.ContainsAny(file.Bytes(), "[\r") {
		t.Errorf("status %d: %q", status, file.String())
	}
}
