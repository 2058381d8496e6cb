package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"jigasi/internal/config"
)

// stopLimit is how long the goodbyes may take once the gateway is told to end.
const stopLimit = 8 * time.Second

// Run is the gateway from the command line to its end. It returns the exit status: 0 after
// a shutdown, 1 for a configuration that cannot be or a port that is taken.
//
// The first SIGTERM, SIGINT or HTTP request drains: no new calls, those that run end by themselves,
// at most limits.drain. A second signal ends at once.
func Run(args []string, version string, stderr io.Writer, env func(string) string) int {
	return run(args, Options{Version: version}, stderr, env)
}

// run is Run with what is not configuration; it sets the log and what is called on a request to stop.
func run(args []string, o Options, stderr io.Writer, env func(string) string) int {
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "."
	}
	cfg, findings, err := config.Load(args, env, cwd)
	if cfg.Path == "" {
		findings = append(findings, config.Misspelt(os.Environ(), env)...)
	}
	for _, f := range findings {
		if f.Severity > config.Info || err != nil {
			fmt.Fprintln(stderr, f)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if env("GOGC") == "" { // a call makes garbage when it begins and ends, and none while it lasts: collecting is cheap
		debug.SetGCPercent(33)
	}
	heedMemory(env, os.ReadFile)
	log := newLog(cfg.Log, stderr)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	defer dumps(stderr)()
	asked := make(chan struct{}, 1)
	o.Log, o.OnRequest = log, func() {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
	a, err := New(cfg, o)
	if err == nil {
		err = a.Start()
	}
	if err != nil {
		log.Error("the gateway does not start", "err", err)
		return 1
	}
	systemd := supervise(env, func() int64 { return a.clock.Stats().Ticks }, log)
	defer systemd.close()
	select {
	case s := <-signals:
		log.Info("asked to stop", "signal", s.String())
	case <-asked:
		log.Info("asked to stop over HTTP")
	}
	systemd.stopping()
	return a.stop(signals, cfg.Limits.Drain)
}

// dumps has SIGQUIT write what all goroutines do, and the process go on: a Java program answers so, and operators who
// ask this one as they did would end all calls.
func dumps(w io.Writer) (stop func()) {
	asked, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, syscall.SIGQUIT)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-asked:
				_ = pprof.Lookup("goroutine").WriteTo(w, 1) // nobody reads it then
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(asked)
		close(done)
		wg.Wait()
	}
}

// stop drains and closes. A signal meanwhile cuts the drain short.
func (a *App) stop(again <-chan os.Signal, limit time.Duration) int {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	go func() {
		select {
		case <-again:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := a.Drain(ctx); err != nil {
		a.log.Warn("hanging up the calls that are left", "calls", len(a.Calls()))
	}
	end, done := context.WithTimeout(context.Background(), stopLimit)
	defer done()
	if err := a.Close(end); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("stopping", "err", err)
	}
	return 0
}

func newLog(c config.Log, w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(c.Level)) // checked by config
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
