package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"jigasi/internal/export"
	"jigasi/internal/recognize"
	"jigasi/internal/scribe"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// second measures the bridge's own feed: WebSockets with JSON, over loopback, from a process of their own.
func (r *wordsRun) second(ctx context.Context) error {
	for _, load := range []struct{ rooms, people, speaking int }{{10, talkers, talkers}, {10, talkers, talkers}, {1, 200, 20}} {
		if err := r.feed(ctx, load.rooms, load.people, load.speaking); err != nil {
			return err
		}
	}
	return nil
}

// beside starts a program on the other processor.
func (r *wordsRun) beside(c *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var mine unix.CPUSet
	_ = unix.SchedGetaffinity(0, &mine) // it was set by us
	if err := pinThread(r.Other); err != nil {
		return err
	}
	err := c.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &mine))
}

// theFeed is the second door in the figures.
const theFeed = "bridge's feed"

// bridge starts one, and learns from it when its clock began.
func (r *wordsRun) bridge(c *exec.Cmd, read *reader) error {
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.beside(c); err != nil {
		return err
	}
	var began int64
	if _, err := fmt.Fscanln(out, &began); err != nil {
		return err
	}
	read.fed(time.Unix(0, began))
	return nil
}

func (r *wordsRun) feed(ctx context.Context, rooms, people, speaking int) error {
	before, err := r.measureFloor(ctx, rooms*speaking)
	if err != nil {
		return err
	}
	runtime.GC()
	var idle runtime.MemStats
	runtime.ReadMemStats(&idle)
	quiet := runtime.NumGoroutine()
	service, read := &sink{}, &reader{}
	s, err := export.New(export.Options{
		Service: func(string) recognize.Service { return service }, Language: "en", Speakers: people, Idle: 4 * time.Second,
		Publishers: func(string) []scribe.Publisher { return []scribe.Publisher{read} },
	})
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bridge := exec.CommandContext(ctx, r.Self, "-words-feed", fmt.Sprintf("ws://%s/transcribe/", s.Addr()), "-calls", fmt.Sprintf("%d,%d,%d", rooms, people, speaking))
	if err := r.bridge(bridge, read); err != nil {
		return fmt.Errorf("bench: the bridge: %w", err)
	}
	row := wordRow{door: theFeed, rooms: rooms}
	if people > talkers {
		row.door = fmt.Sprintf(theFeed+", %d people, %d speaking", people, speaking)
	}
	err = r.watchFeed(ctx, &row, service, read, rooms*speaking)
	row.goroutines, row.heap = row.goroutines-quiet, max(0, row.heap-int(idle.HeapInuse/1024))
	cancel()
	_ = bridge.Wait() // it was ended
	end, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	_ = s.Close(end) // what it lost is in the row
	if err != nil {
		return err
	}
	after, err := r.measureFloor(context.WithoutCancel(ctx), rooms*speaking)
	if err != nil {
		return err
	}
	row.floor = (before + after) / 2
	if row.sinkSeconds < 0.5 {
		return fmt.Errorf("bench: %.2f of the sound came to the sink", row.sinkSeconds)
	}
	r.add(row)
	fmt.Fprintf(r.Out, "  %d goroutines and %d KiB of heap more than before\n", row.goroutines, row.heap)
	return nil
}

// watchFeed measures what so many speakers cost, once those who are silent have left.
func (r *wordsRun) watchFeed(ctx context.Context, row *wordRow, service *sink, read *reader, speaking int) error {
	if err := wait(ctx, 5*wordSettle); err != nil {
		return err
	}
	cpu, began := processTime(), time.Now()
	service.bytes.Store(0)
	read.take()
	err := wait(ctx, r.Load)
	seconds := time.Since(began).Seconds()
	delays, _ := read.take()
	row.p50, row.p95 = median(delays), percentile(delays, 0.95)
	row.cpu = us(processTime()-cpu) / (float64(speaking) * seconds * 50)
	row.sinkSeconds = float64(service.bytes.Load()) / (2 * recognize.Rate) / (seconds * float64(speaking))
	runtime.GC()
	var busy runtime.MemStats
	runtime.ReadMemStats(&busy)
	row.goroutines, row.heap = runtime.NumGoroutine(), int(busy.HeapInuse/1024)
	return err
}

// FeedWords is the bridge of the second door, until ctx is done: so many rooms of so many people, of whom so many
// speak all the time and the others once. load is "rooms,people,speaking". It prints when its clock begins.
func FeedWords(ctx context.Context, out io.Writer, url, load string) error {
	var n [3]int
	for i, s := range strings.SplitN(load, ",", 3) {
		v, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("bench: %q is no load", load)
		}
		n[i] = v
	}
	var loops [][][]byte
	for v := range voices {
		p, err := utterances(v)
		if err != nil {
			return err
		}
		loops = append(loops, p)
	}
	began := time.Now().Add(time.Second)
	fmt.Fprintln(out, began.UnixNano())
	var all sync.WaitGroup
	var first error
	var once sync.Once
	for room := range n[0] {
		all.Go(func() {
			if err := feedRoom(ctx, url+strconv.Itoa(room), began, loops, n[1], n[2]); err != nil && ctx.Err() == nil {
				once.Do(func() { first = err })
			}
		})
	}
	all.Wait()
	return first
}

// onceSpoken is how many packets those say who do not speak all the time.
const onceSpoken = 25

func feedRoom(ctx context.Context, url string, began time.Time, loops [][][]byte, people, speaking int) error {
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 20)
	go func() { // what comes back is for the room
		for {
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
		}
	}()
	number := 0
	for i := range people {
		number++
		text := fmt.Sprintf(`{"event":"start","sequenceNumber":"%d","start":{"tag":"%08x-a0","mediaFormat":{"encoding":"opus","sampleRate":48000,"channels":2},"customParameters":{"endpointId":"%08x"}}}`, number, i, i)
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			return err
		}
	}
	clock := time.NewTimer(0)
	defer clock.Stop()
	for slot := 0; ; slot++ {
		clock.Reset(time.Until(began.Add(time.Duration(slot) * interval)))
		select {
		case <-clock.C:
		case <-ctx.Done():
			return nil
		}
		for i := range people {
			if i >= speaking && slot >= onceSpoken {
				break
			}
			number++
			loop := loops[i%len(loops)]
			text := fmt.Appendf(nil, `{"event":"media","sequenceNumber":"%d","media":{"tag":"%08x-a0","chunk":"%d","timestamp":"%d","payload":"%s","audioLevel":30,"vad":true}}`,
				number, i, slot, slot*960, base64.StdEncoding.EncodeToString(loop[(slot+i*37)%len(loop)]))
			if err := c.Write(ctx, websocket.MessageText, text); err != nil {
				return err
			}
		}
	}
}
