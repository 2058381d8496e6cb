package socket

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"jigasi/internal/recognize"
)

// TestStatus: of each way to be refused the log says what to do, and nothing of the server's words.
func TestStatus(t *testing.T) {
	for code, want := range map[int]string{
		400: "jigasi.yaml", 401: "set its key", 402: "no credit", 403: "set its key", 404: "path of its address", 429: "quota", 500: "answers 500", 503: "answers 503",
	} {
		for again, after := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "soon": 0, "-1": 0, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", again)
				http.Error(w, "spoken words", code)
			}))
			_, err := Connect(t.Context(), nil, "ws"+strings.TrimPrefix(s.URL, "http"), nil)
			s.Close()
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "spoken") || recognize.Permanent(err) != (code == 401 || code == 403) {
				t.Errorf("%d: %v", code, err)
			}
			var later *recognize.Later
			if errors.As(err, &later) != (code == 402 || code == 429 || code == 503) {
				t.Errorf("%d: %v", code, err)
			} else if code == 429 && (later.After > after || later.After < after-time.Minute) {
				t.Errorf("%q: %v", again, later.After)
			}
		}
	}
}

// TestUnreachable: the log has the address of a service that is not there, and no secret of its URL.
func TestUnreachable(t *testing.T) {
	_, err := Connect(t.Context(), nil, "ws://user:topsecret@127.0.0.1:1/path?token=topsecret", nil)
	if err == nil || !strings.Contains(err.Error(), "the service at 127.0.0.1:1 cannot be reached: connection refused: ") || strings.Contains(err.Error(), "topsecret") {
		t.Error(err)
	}
	if _, err = Connect(t.Context(), nil, "ws://", nil); err == nil {
		t.Error("an address that is none")
	}
}
