package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"jigasi/internal/xlog"
)

const (
	scriptOutput = "scripts.log"
	maxOutput    = 64 << 10 // of all scripts of a session, that are kept
	afterKill    = time.Second / 2
)

// runScripts runs those that have not run, one after the other, and notes that they did, whatever became of them.
func (a *Archive) runScripts(ctx context.Context, l *ledger, name string) {
	for i, path := range a.opt.Scripts {
		step := "script " + strconv.Itoa(i) + " " + path
		if l.has(step) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		n, err := a.script(ctx, l.dir, path, name)
		if ctx.Err() != nil {
			return // it was us who cut it off
		}
		a.counts.Scripts.Add(1)
		if err != nil {
			a.counts.ScriptErrors.Add(1)
			a.log.Error("a script failed", "script", path, "session", name, "output_bytes", n, "took", time.Since(began), xlog.Err, err)
		} else {
			a.log.Info("a script ran", "script", path, "session", name, "output_bytes", n, "took", time.Since(began))
		}
		if err := l.did(step); err != nil {
			a.log.Warn("a script may run again", "script", path, "session", name, xlog.Err, err)
		}
	}
}

// script runs a program with the session's directory as its only argument: no shell, an environment of ours, a group of
// its own that is killed with all its children at the end, whether it ended by itself or not.
func (a *Archive) script(ctx context.Context, dir *os.Root, path, name string) (output int64, err error) {
	where, err := filepath.Abs(filepath.Join(a.opt.Dir, name))
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.opt.ScriptLimit)
	defer cancel()
	out := &bounded{}
	if f, err := dir.OpenFile(scriptOutput, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		defer func() { _ = f.Close() }()
		if info, err := f.Stat(); err == nil {
			out.w, out.room = f, maxOutput-info.Size()
		}
	}
	c := exec.CommandContext(ctx, path, where)
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = afterKill
	c.Cancel = func() error { return killGroup(c.Process.Pid) }
	if err := c.Start(); err != nil {
		return 0, err
	}
	err = c.Wait()
	_ = killGroup(c.Process.Pid) // children that it left; there may be none
	if ctx.Err() != nil {
		err = errors.Join(errors.New("it took too long and was killed"), err)
	}
	return out.n, err
}

func killGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// bounded takes any amount of output and keeps the first of it.
type bounded struct {
	w    io.Writer // nil keeps nothing
	room int64
	n    int64
}

// Write implements io.Writer; it never fails, so that no script does because of us.
func (b *bounded) Write(p []byte) (int, error) {
	b.n += int64(len(p))
	if b.w != nil && b.room > 0 {
		n, err := b.w.Write(p[:min(int64(len(p)), b.room)])
		b.room -= int64(n)
		if err != nil {
			b.w = nil
		}
	}
	return len(p), nil
}
