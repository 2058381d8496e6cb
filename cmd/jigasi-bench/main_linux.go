// Command jigasi-bench measures what a call costs, as a ratio to the bare codec and crypto work of
// the same packets (docs/performance.md).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"jigasi/internal/bench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	o := bench.Options{Out: os.Stdout}
	calls := flag.String("calls", "", "loads, such as 30,60,90; default what fits a quarter, a half and three quarters of a core")
	flag.DurationVar(&o.Load, "for", 15*time.Second, "length of a load")
	flag.DurationVar(&o.Limit, "limit", 7*time.Minute, "length of the whole")
	flag.StringVar(&o.Binary, "gateway", "", "measure this program; default one built from the sources here")
	flag.StringVar(&o.Page, "page", "docs/performance.md", "where to write the figures; empty for nowhere")
	room := flag.Bool("room", false, "measure many phones in one room instead")
	words := flag.Bool("words", false, "measure transcription instead")
	feed := flag.String("words-feed", "", "be the bridge of -words: send meetings to this URL")
	flag.Parse()
	if *feed != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return bench.FeedWords(ctx, os.Stdout, *feed, *calls)
	}
	if *calls != "" {
		for s := range strings.SplitSeq(*calls, ",") {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				return fmt.Errorf("-calls %q: %q is no number of calls", *calls, s)
			}
			o.Calls = append(o.Calls, n)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cpu, binary, ok := bench.Pinned()
	if *words && !ok {
		return bench.Pin("") // where it works it does not return
	}
	if *words {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return bench.Words(ctx, bench.WordsOptions{Rooms: o.Calls, Page: o.Page, Self: self, Other: cpu, Out: os.Stdout})
	}
	if !ok {
		return prepare(ctx, o.Binary)
	}
	o.Built, o.Binary, o.CPU = o.Binary == "", binary, cpu
	if *room {
		return bench.RunRoom(ctx, o)
	}
	return bench.Run(ctx, o)
}

// prepare builds the gateway if there is none, and has this program begin anew where it belongs.
func prepare(ctx context.Context, gateway string) error {
	if gateway != "" {
		return bench.Pin(gateway)
	}
	fmt.Println("building the gateway")
	gateway, err := bench.Build(ctx, ".")
	if err != nil {
		return err
	}
	err = bench.Pin(gateway) // where it works it does not return
	_ = os.RemoveAll(filepath.Dir(gateway))
	return err
}
