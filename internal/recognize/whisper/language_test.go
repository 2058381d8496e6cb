package whisper

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jigasi/internal/recognize"

	"github.com/coder/websocket"
)

// TestLanguages: skynet ends the socket of the whole room when one speaker has a language that Whisper has not been taught, such
// as the Upper Sorbian of Jitsi's list: such a speaker goes to the next service. Others are named as Whisper does.
func TestLanguages(t *testing.T) {
	heads := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			_, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if len(b) > headerSize {
				heads <- strings.TrimRight(string(b[:headerSize]), "\x00")
			}
		}
	}))
	defer s.Close()
	sv, err := New(Options{URL: "ws" + strings.TrimPrefix(s.URL, "http")})
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
