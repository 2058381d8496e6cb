package words

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/recognize"
)

// budgeted are services of which each room has ten minutes an hour.
func budgeted(t *testing.T, path string, log *bytes.Buffer) *Services {
	t.Helper()
	c := config.Default().Transcription
	c.Budget = config.Budget{Room: 10, Tenant: 100, Period: time.Hour}
	s, err := NewServices(c, nil, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.Keep(path)
	return s
}

func budgetOf(t *testing.T, s *Services, room string) recognize.Budget {
	t.Helper()
	c, err := s.choose(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	return c.Budget
}

// TestMinutesOutliveTheProcess: whether it ends or is killed a minute later, used minutes stay used until their period is
// over, also of rooms where nobody has spoken since.
func TestMinutesOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, log := filepath.Join(t.TempDir(), Minutes), &bytes.Buffer{}
		killed := budgeted(t, path, log)
		defer killed.Close() // long after
		for room, d := range map[string]time.Duration{"a@x": 11 * time.Minute, "b@x": 4 * time.Minute, "c@y": 97 * time.Minute} {
			budgetOf(t, killed, room).Spend(d, time.Now())
		}
		budgetOf(t, killed, "d@x")
		time.Sleep(saveEvery + time.Second)
		synctest.Wait()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		if err := os.WriteFile(path+".part", []byte("half"), 0o600); err != nil { // as who is killed leaves it
			t.Fatal(err)
		}

		ended := budgeted(t, path, log)
		if !budgetOf(t, ended, "a@x").Spent(time.Now()) || budgetOf(t, ended, "b@x").Spent(time.Now()) {
			t.Error("the minutes of a room are not what they were")
		}
		budgetOf(t, ended, "b@x").Spend(7*time.Minute, time.Now())
		ended.Close()

		third := budgeted(t, path, log)
		if !budgetOf(t, third, "b@x").Spent(time.Now()) || budgetOf(t, third, "d@x").Spent(time.Now()) {
			t.Error("what was used before the end is not kept")
		}
		if b := budgetOf(t, third, "e@y"); b.Spent(time.Now()) {
			t.Error("a tenant has used what it has not")
		} else if b.Spend(4*time.Minute, time.Now()); !b.Spent(time.Now()) {
			t.Error("a tenant has its minutes anew") // of c@y, where nobody spoke in the second process
		}
		third.Close()

		time.Sleep(time.Hour)
		fourth := budgeted(t, path, log)
		defer fourth.Close()
		for _, room := range []string{"a@x", "b@x", "c@y"} {
			if budgetOf(t, fourth, room).Spent(time.Now()) {
				t.Errorf("the period of %s does not end", room)
			}
		}
		if log.Len() > 0 {
			t.Error(log)
		}
	})
}

// TestMinutesOfADamagedFile: what is no file of ours is said once, and all begins anew; so it is where the disk takes nothing.
func TestMinutesOfADamagedFile(t *testing.T) {
	for name, text := range map[string]string{
		"garbage": "\x00\x01", "half": `{"room a@x":{"seconds":9000,"si`, "a list": `[1]`, "another": `{"room a@x":"9000"}`, "empty": "",
		"much": strings.Repeat(" ", maxMinutes+1),
	} {
		path, log := filepath.Join(t.TempDir(), Minutes), &bytes.Buffer{}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := budgeted(t, path, log)
		for _, room := range []string{"a@x", "b@x"} {
			if budgetOf(t, s, room).Spent(time.Now()) {
				t.Errorf("%s: spent", name)
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "counted anew") {
			t.Errorf("%s: %s", name, log)
		}
		budgetOf(t, s, "a@x").Spend(11*time.Minute, time.Now())
		s.Close()
		s = budgeted(t, path, log)
		if !budgetOf(t, s, "a@x").Spent(time.Now()) {
			t.Errorf("%s: it is not mended", name)
		}
		s.Close()
	}
	for name, text := range map[string]string{
		"less than nothing": `{"room a@x":{"seconds":-1e300,"since":"2026-11-26T00:00:00Z"}}`,
		"for ever":          `{"room a@x":{"seconds":1e300,"since":"2026-11-26T00:00:00Z"}}`, "since ever": `{"room a@x":{"seconds":900}}`,
	} {
		path := filepath.Join(t.TempDir(), Minutes)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := budgeted(t, path, &bytes.Buffer{})
		if budgetOf(t, s, "a@x").Spent(time.Now()) {
			t.Errorf("%s: spent", name)
		}
		s.Close()
	}
	log := &bytes.Buffer{}
	s := budgeted(t, filepath.Join(t.TempDir(), "none", Minutes), log)
	budgetOf(t, s, "a@x").Spend(time.Minute, time.Now())
	s.Close()
	if !strings.Contains(log.String(), "not kept") {
		t.Errorf("the disk takes nothing, and nobody is told: %s", log)
	}
}

// TestMinutesOfAClockPutBack: a period does not become longer by it.
func TestMinutesOfAClockPutBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), Minutes)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	if err := os.WriteFile(path, []byte(`{"room a":{"seconds":5,"since":"2036-11-26T00:00:00Z"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := readMinutes(path, now, time.Hour)
	if err != nil || len(all) != 1 || !all["room a"].Since.Equal(now) {
		t.Errorf("%v %v", all, err)
	}
}
