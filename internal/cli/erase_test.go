package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jigasi/internal/transcript"
)

// kept is a transcript of a room that began so many days ago.
func kept(t *testing.T, dir, room string, days int) string {
	t.Helper()
	at := time.Now().AddDate(0, 0, -days)
	name := transcript.Name(at)
	j := transcript.NewJournal(filepath.Join(dir, name, "transcript_"+transcript.Name(at)+".jsonl"))
	if err := j.Append(transcript.Entry{Kind: transcript.Start, At: at, Room: room}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestErase(t *testing.T) {
	top := t.TempDir()
	dir, conf := filepath.Join(top, "transcripts"), filepath.Join(top, "jigasi.yaml")
	if err := os.WriteFile(conf, []byte("transcription: {directory: "+dir+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, standup, other := kept(t, dir, "standup@conf", 40), kept(t, dir, "standup@conf", 2), kept(t, dir, "other@conf", 2)
	if err := os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	erase := func(want int, args ...string) string {
		t.Helper()
		status, out, errs := run(Transcript, noEnv, append([]string{"erase", "--config=" + conf}, args...)...)
		if status != want {
			t.Fatalf("%v: status %d, %s%s", args, status, out, errs)
		}
		return out + errs
	}
	if got := erase(2); !strings.Contains(got, "usage: jigasi transcript erase") {
		t.Error(got)
	}
	if got := erase(0, "--dry-run", "--older=30"); got != old+"\n" {
		t.Error(got)
	}
	if got := erase(0, "--older=30"); got != old+"\n" {
		t.Error(got)
	}
	if got := erase(0, "--older=30"); got != "" {
		t.Error(got)
	}
	if got := erase(0, "--room=standup", "--older=1"); got != standup+"\n" {
		t.Error(got)
	}
	if got := erase(1, "..", "notes"); !strings.Contains(got, "0 of the 2") {
		t.Error(got)
	}
	if got := erase(0, filepath.Join(dir, other)); got != other+"\n" {
		t.Error(got)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "notes" {
		t.Error(left, err)
	}
	if got := erase(2, "--wrong"); !strings.Contains(got, "flag provided but not defined") {
		t.Error(got)
	}
	if err := os.WriteFile(conf, []byte("transcription: {directory: "+dir+", keep_days: -1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := erase(1, "--older=0"); !strings.Contains(got, "keep_days") {
		t.Error(got)
	}
}
