package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program writes a script and gives its path. No process of another test may begin meanwhile: it would hold the file open for
// writing, and what is open for writing cannot be run.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// ended runs a session of a room to its end, with all that follows.
func ended(t *testing.T, a *Archive, room string) *Session {
	t.Helper()
	s := meet(t, a, room, time.Now(), "hello")
	end(t, s)
	until(t, "the work", func() bool {
		_, err := os.Stat(filepath.Join(a.opt.Dir, s.name, ledgerName))
		return errors.Is(err, os.ErrNotExist)
	})
	return s
}

// TestT32_ScriptIsHarmless: no shell reads what comes from a meeting, and none of our environment is handed on.
func TestT32_ScriptIsHarmless(t *testing.T) {
	t.Setenv("JIGASI_SECRET", "canary")
	out, bait := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "p")
	a := open(t, Options{Dir: t.TempDir(), Forms: []string{"txt"}, Scripts: []string{program(t, `{ echo "$#"; echo "$1"; env; ls "$1"; } >`+out+"\n")}})
	s := ended(t, a, "$(touch "+bait+")`touch "+bait+"`;touch "+bait+"\n|touch "+bait)
	if _, err := os.Stat(bait); err == nil {
		t.Error("the name of a room was run")
	}
	got := string(read(t, out))
	lines := strings.Split(got, "\n")
	if lines[0] != "1" || lines[1] != filepath.Join(a.opt.Dir, s.name) || !filepath.IsAbs(lines[1]) {
		t.Error(got)
	}
	if strings.Contains(got, "canary") || strings.Contains(got, "HOME=") || !strings.Contains(got, s.file+".txt") {
		t.Error(got)
	}
	if a.counts.Scripts.Load() != 1 || a.counts.ScriptErrors.Load() != 0 {
		t.Error(a.counts.Scripts.Load())
	}
}

// TestT32_ScriptIsKilled: one that does not end is killed with its children, also with one that it left behind.
func TestT32_ScriptIsKilled(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	a := open(t, Options{
		Dir: t.TempDir(), ScriptLimit: 300 * time.Millisecond,
		Scripts: []string{program(t, "sleep 1000 & echo $! >>"+pids+"; sleep 1000\n"), program(t, "sleep 1000 & echo $! >>"+pids+"; exit 3\n"), program(t, "trap '' TERM INT; echo $$ >>"+pids+"; while :; do sleep 1; done\n"), "/not/there"},
	})
	ended(t, a, "r")
	list := strings.Fields(string(read(t, pids)))
	if len(list) != 3 {
		t.Fatal(list)
	}
	for _, s := range list {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the end of "+s, func() bool { return gone(pid) })
	}
	if a.counts.ScriptErrors.Load() != 4 {
		t.Error(a.counts.ScriptErrors.Load())
	}
}

// gone reports whether a process has ended, reaped or not.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// TestT32_OutputIsBounded: what it says is kept, up to a bound, where only we read it, and not logged.
func TestT32_OutputIsBounded(t *testing.T) {
	t.Parallel()
	loud := program(t, "head -c 10000000 /dev/zero | tr '\\0' x; echo over >&2\n")
	a := open(t, Options{Dir: t.TempDir(), Scripts: []string{loud, loud}})
	s := ended(t, a, "r")
	if n := size(t, filepath.Join(a.opt.Dir, s.name, scriptOutput)); n != maxOutput {
		t.Errorf("%d bytes are kept", n)
	}
	if a.counts.ScriptErrors.Load() != 0 {
		t.Error("a loud script failed")
	}
	said := ended(t, open(t, Options{Dir: t.TempDir(), Scripts: []string{program(t, "echo done\n")}}), "r")
	if got := string(read(t, filepath.Join(said.a.opt.Dir, said.name, scriptOutput))); got != "done\n" {
		t.Error(got)
	}
}

// TestT32_FewAtOnce: many sessions that end together run two scripts at a time.
func TestT32_FewAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := open(t, Options{Dir: t.TempDir(), Scripts: []string{program(t, fmt.Sprintf("mkdir %[1]s/$$; ls %[1]s | wc -l >>%[1]s.log; sleep 0.05; rmdir %[1]s/$$\n", dir))}})
	for range 8 {
		end(t, meet(t, a, "r", time.Now()))
	}
	until(t, "all scripts", func() bool { return a.counts.Scripts.Load() == 8 })
	for _, n := range strings.Fields(string(read(t, dir+".log"))) {
		if n != "1" && n != "2" {
			t.Fatalf("%s scripts ran at once", n)
		}
	}
}

// TestT28_RoomsAreNoNames: no name of a room or a person becomes a name on the disk, and nothing outside is touched.
func TestT28_RoomsAreNoNames(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "transcripts")
	a := open(t, Options{Dir: dir, Forms: []string{"txt", "json"}})
	rooms := []string{
		"../../x", "..", ".", "/etc/passwd", "a\x00b", "CON", "NUL.txt", strings.Repeat("a", 300), "a/b/c", `..\..\x`, "a\nb", "", " ", "~root", "$HOME", "%2e%2e%2f", "transcript_", "-rf", "*", "é\u202egnp",
	}
	for _, room := range rooms {
		end(t, meet(t, a, room, time.Now(), "hello"))
	}
	for _, line := range tree(t, dir) {
		name := strings.Fields(line)[1]
		if parts := strings.Split(name, "/"); len(parts) > 2 || strings.Contains(name, "hello") {
			t.Error(line)
		}
	}
	if all := tree(t, dir); len(all) != 4*len(rooms) {
		t.Errorf("%d names for %d rooms", len(all), len(rooms))
	}
	if left, err := os.ReadDir(top); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

// TestT28_Links: a symbolic link in the place of a session, or in one, is not followed out of the directory.
func TestT28_Links(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "transcript_secret.txt")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &place{files: map[string]string{}, err: errors.New("not yet")}
	a := open(t, Options{Dir: dir, Forms: []string{"txt"}, Places: []Place{p}})
	s := meet(t, a, "r", time.Now(), "hello")
	if err := os.Symlink(secret, filepath.Join(dir, s.name, s.file+".srt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, s.name, s.file+".txt.part")); err != nil {
		t.Fatal(err)
	}
	end(t, s)
	p.fail(nil)
	until(t, "copying", func() bool { _ = a.finish(t.Context(), s.name); return p.count() == 2 })
	for _, text := range p.files {
		if strings.Contains(text, "secret") {
			t.Error("a file from outside was copied")
		}
	}
	other := "2024-11-22T15:04:05.123456Z_00000000-0000-4000-8000-000000000000"
	if err := os.Symlink(outside, filepath.Join(dir, other)); err != nil {
		t.Fatal(err)
	}
	if err := a.Erase(t.Context(), other); err == nil {
		t.Error("a link was erased")
	}
	until(t, "erasing", func() bool { return a.Erase(t.Context(), s.name) == nil })
	if string(read(t, secret)) != "secret" {
		t.Error("it was written to")
	}
}
