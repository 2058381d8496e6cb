package whisper

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/prove"

	"github.com/coder/websocket"
)

// TestLanguages: skynet ends the socket of the whole room when one speaker has a language that Whisper has not been taught, such
// as the Upper Sorbian of Jitsi's list: such a speaker goes to the next service. Others are named as Whisper does.
func TestLanguages(t *testing.T) { synctest.Test(t, languages) }

func languages(t *testing.T) {
	heads := make(chan string, 10)
	s := prove.Near(t, nil, func(ctx context.Context, c *websocket.Conn, _ *http.Request, _ prove.Fault, _ int) {
		for {
			_, b, err := c.Read(ctx)
			if err != nil || len(b) == 1 { // goodbye
				return
			}
			if len(b) > headerSize {
				heads <- strings.TrimRight(string(b[:headerSize]), "\x00")
			}
		}
	})
	sv, err := New(Options{URL: s.URL, Transport: s.Via})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]string{"nb-NO": "no", "no-NO": "no", "fil-PH": "tl", "he-IL": "he", "zh-TW": "zh", "yue": "yue", "": "en", "en-GB": "en", "hsb-DE": "", "xx": ""} {
		st, err := sv.Open(t.Context(), recognize.Who{Session: "room", ID: "a", Language: tag})
		if want == "" {
			if !errors.Is(err, recognize.ErrLanguage) || !strings.Contains(err.Error(), "transcription.fallback") {
				t.Errorf("%s: %v", tag, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Write(make([]byte, 640)); err != nil {
			t.Error(err)
		}
		if head := <-heads; head != "a|"+want {
			t.Errorf("%s: %q", tag, head)
		}
		st.Close()
		for range st.Results() {
		}
	}
}
