package app_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"jigasi/internal/config"
	"jigasi/internal/lab"
)

// lines keeps a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Which of several files was read is what an operator asks first.
func TestTheLogNamesTheConfiguration(t *testing.T) {
	var log lines
	startWith(t, lab.Options{}, slog.New(slog.NewTextHandler(&log, nil)), func(c *config.Config) { c.Path = "/etc/jigasi/jigasi.yaml" })
	if !strings.Contains(log.String(), "config=/etc/jigasi/jigasi.yaml") {
		t.Errorf("the log does not name the file:\n%s", log.String())
	}
}
