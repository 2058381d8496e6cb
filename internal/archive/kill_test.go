package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
)

// TestT35_ChainIsKilled: a process that keeps meetings is killed again and again, while they last and while they end;
// the next one writes every form of every meeting, with each sentence that was promised, once.
func TestT35_ChainIsKilled(t *testing.T) {
	if dir := os.Getenv("ARCHIVE_CHILD"); dir != "" {
		chatter(dir)
	}
	t.Parallel()
	kills := 5
	if os.Getenv("JIGASI_SOAK") != "" {
		kills = 100
	}
	for range kills {
		dir := t.TempDir()
		promised := killed(t, dir, 1+rand.IntN(60))
		p := &place{files: map[string]string{}}
		a := open(t, Options{Dir: dir, Forms: []string{"txt", "json"}, Places: []Place{p}})
		until(t, "the rest", func() bool {
			left, _ := filepath.Glob(filepath.Join(dir, "*", ledgerName))
			return len(left) == 0 && a.counts.Waiting.Load() == 0
		})
		said := map[int]int{}
		texts, _ := filepath.Glob(filepath.Join(dir, "*", "*.txt"))
		for _, path := range texts {
			for _, word := range strings.Fields(string(read(t, path))) {
				if n, err := strconv.Atoi(strings.TrimPrefix(word, "word")); err == nil && strings.HasPrefix(word, "word") {
					said[n]++
				}
			}
			if info, err := os.Stat(strings.TrimSuffix(path, "txt") + "json"); err != nil || info.Size() == 0 {
				t.Error(err)
			}
		}
		for n := range promised + 1 {
			if said[n] != 1 {
				t.Fatalf("sentence %d of %d is there %d times", n, promised, said[n])
			}
		}
		if rest, _ := filepath.Glob(filepath.Join(dir, "*", "*.part")); rest != nil || p.count() == 0 {
			t.Error(rest, p.count())
		}
	}
}

// chatter holds meetings of ten sentences, and says which it has kept, until it is killed.
func chatter(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	a, err := New(Options{Dir: dir, Forms: []string{"txt", "json"}, Places: []Place{&place{files: map[string]string{}, err: errors.New("never")}}})
	fail(err)
	a.Start()
	for n := 0; ; {
		start := time.Now()
		s := a.Open("r", start)
		o := scribe.Options{Room: "r", Start: start}
		s.Attach(&o)
		j := o.Journal
		fail(j.Append(transcript.Entry{Kind: transcript.Start, At: start, Room: "r"}))
		fail(opener{s}.Publish(context.Background(), transcript.Entry{Kind: transcript.Start}))
		for range 10 {
			fail(j.Append(transcript.Entry{Kind: transcript.Speech, At: time.Now(), Person: alice, ID: strconv.Itoa(n), Text: fmt.Sprintf("word%d", n)}))
			fmt.Println(n)
			n++
		}
		fail(j.Append(transcript.Entry{Kind: transcript.End, At: time.Now()}))
		fail(j.Close())
		fail(s.End(context.Background()))
	}
}

// killed runs a chatter until it has said so many sentences, and gives the last one that it promised.
func killed(t *testing.T, dir string, sentences int) int {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestT35_ChainIsKilled$")
	c.Env = append(os.Environ(), "ARCHIVE_CHILD="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(lines.Text())
		}
		if last == sentences {
			go func() { // at any moment of what follows
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				_ = c.Process.Signal(syscall.SIGKILL)
			}()
		}
	}
	_ = c.Wait()
	return last
}
