package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jigasi/internal/config"
	"jigasi/internal/lab"
	"jigasi/internal/lab/bot"
	"jigasi/internal/lab/sfu"
	"jigasi/internal/recognize/prove"
	"jigasi/internal/stanza"

	"github.com/coder/websocket"
)

const (
	transcriber = "jitsi_meet_transcribe"
	hidden      = "recorder." + lab.Domain
)

// toneServer is a Vosk server that hears tones.
func toneServer(t *testing.T, tones ...float64) string {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		ear := prove.Tones{Of: tones}
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			heard := ear.Hear(b)
			switch {
			case kind == websocket.MessageText && strings.Contains(string(b), "config"):
				continue
			case kind == websocket.MessageText:
				heard = ear.Finish()
			}
			answer := map[string]any{"partial": ""}
			for _, one := range heard {
				answer = map[string]any{"partial": one.Text}
				if one.Final {
					answer = map[string]any{"text": one.Text}
					break
				}
			}
			if kind == websocket.MessageText && len(heard) == 0 {
				answer = map[string]any{"text": ""}
			}
			text, _ := json.Marshal(answer)
			if c.Write(r.Context(), websocket.MessageText, text) != nil {
				return
			}
		}
	}))
	t.Cleanup(h.Close)
	return "ws" + strings.TrimPrefix(h.URL, "http")
}

// shouter is a LibreTranslate server that names the language and shouts.
func shouter(t *testing.T) string {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Q, Source, Target string }
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"translatedText": in.Target + " " + strings.ToUpper(in.Q)})
	}))
	t.Cleanup(h.Close)
	return h.URL + "/translate"
}

// withTranscriber configures the gateway as one that is called as a transcriber.
func withTranscriber(url, translator, dir string) func(*config.Config) {
	return func(cfg *config.Config) {
		withBrewery(cfg)
		c := &cfg.Transcription
		c.Enabled, c.User, c.Password, c.Directory = true, "transcriber@"+hidden, "hidden", dir
		c.Vosk.URL, c.Save = url, []string{"txt", "json"}
		if translator != "" {
			c.Translation.Service, c.Translation.Libre.URL = "libre", translator
		}
		cfg.Meeting.TrustedDomains = []string{hidden}
	}
}

var transcribers = lab.Options{Users: map[string]string{"jigasi@auth." + lab.Domain: "secret", "transcriber@" + hidden: "hidden"}}

// caption is a message to the clients of a room.
type caption struct {
	Type, Event, Language, Text string
	ID                          string `json:"message_id"`
	Timestamp                   int64
	Interim                     *bool `json:"is_interim"`
	Stability                   *float64
	Person                      struct{ ID, Name string } `json:"participant"`
	Transcript                  []struct {
		Text       string
		Confidence *float64
	}
	from string
}

// captions are those that a person in the room has got, in their order.
func captions(t *testing.T, b *bot.Bot) []caption {
	t.Helper()
	var out []caption
	for _, m := range b.Messages() {
		j := m.Kid("http://jitsi.org/jitmeet", "json-message")
		if j == nil || m.Get("type") != "groupchat" {
			continue
		}
		c := caption{from: stanza.ParseJID(m.Get("from")).Resource}
		if err := json.Unmarshal([]byte(j.Text), &c); err != nil {
			t.Fatalf("%s: %v", j.Text, err)
		}
		out = append(out, c)
	}
	return out
}

// finals are the sentences of somebody, from one on.
func finals(t *testing.T, b *bot.Bot, nick string, from int) []string {
	t.Helper()
	var out []string
	for _, c := range captions(t, b)[from:] {
		if c.Type == "transcription-result" && c.Person.ID == nick && !*c.Interim {
			out = append(out, c.Transcript[0].Text)
		}
	}
	return out
}

// call has the focus call a transcriber, and gives its nick.
func (m *meeting) callTranscriber(t *testing.T, room string, headers ...string) string {
	t.Helper()
	res := m.Focus.Dial(room+"@"+m.XMPP.MUC(), transcriber, headers...)
	if res == nil || res.Get("type") != "result" {
		t.Fatalf("dial: %v", res)
	}
	at := stanza.ParseJID(strings.TrimPrefix(res.Kid("urn:xmpp:rayo:1", "ref").Get("uri"), "xmpp:"))
	if at.Local != room || at.Resource == "" {
		t.Errorf("ref is %v", at)
	}
	return at.Resource
}

// speak lets people say their tones, waits until what they say is known, and hushes them until each has a sentence more. It
// gives what is new.
func speak(t *testing.T, ear *bot.Bot, people ...*bot.Bot) map[string][]string {
	t.Helper()
	from := len(captions(t, ear))
	for _, p := range people {
		p.Hush(false)
	}
	for _, p := range people {
		eventually(t, 15*time.Second, "what is being said is shown", func() bool {
			return slices.ContainsFunc(captions(t, ear)[from:], func(c caption) bool { return c.Type == "transcription-result" && c.Person.ID == p.Nick() })
		})
	}
	for _, p := range people {
		p.Hush(true)
	}
	out := map[string][]string{}
	for _, p := range people {
		eventually(t, 15*time.Second, "the sentence ends", func() bool { return len(finals(t, ear, p.Nick(), from)) > 0 })
	}
	eventually(t, 20*time.Second, "nothing more comes", func() bool { // a busy machine cuts sentences in two
		n := len(captions(t, ear))
		time.Sleep(1500 * time.Millisecond)
		return len(captions(t, ear)) == n
	})
	for _, p := range people {
		out[p.Nick()] = finals(t, ear, p.Nick(), from)
	}
	return out
}

func said(t *testing.T, got map[string][]string, who *bot.Bot, want string) {
	t.Helper()
	if list := got[who.Nick()]; len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return s != want }) {
		t.Errorf("%s says %q, want %q", who.Nick(), list, want)
	}
}

// TestTranscriber: a focus calls a transcriber; each speaker is heard apart, through another owner of a stream and another
// bridge; the room reads it, and its translation; and it leaves when nobody wants it any more.
func TestTranscriber(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := start(t, transcribers, withTranscriber(toneServer(t, 620, 880), shouter(t), dir))
	a, b := m.Join("alpha", 620), m.Join("alpha", 880)
	a.Hush(true)
	b.Hush(true)
	a.Show("jitsi_participant_requestingTranscription", "true")
	b.Show("jitsi_participant_translation_language", "fr")
	b.Show("jitsi_participant_transcription_language", "de-DE")
	eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
	if shown := fmt.Sprint(m.Focus.Gateways()); !strings.Contains(shown, "name='supports_transcription' value='true'") || !strings.Contains(shown, "name='supports_sip' value='true'") {
		t.Errorf("the brewery reads %s", shown)
	}
	nick := m.callTranscriber(t, "alpha", "X-outbound-call-initiator-user", "u1")
	if again := m.callTranscriber(t, "alpha"); again != nick {
		t.Errorf("a second transcriber, %s beside %s", again, nick)
	}
	eventually(t, 10*time.Second, "it shows that it transcribes", func() bool { return slices.Equal(a.Status(nick), []string{"ON"}) })
	shown := a.Sees(nick)
	if text := shown.String(); lab.TextOf(shown, "nick") != "Transcriber" || !strings.Contains(text, "jitsi.org/protocol/transcriber") || !strings.Contains(text, "X-outbound-call-initiator-user") || shown.Kid("", "audiomuted") != nil {
		t.Errorf("shows %v", shown)
	}
	got := speak(t, a, a, b)
	said(t, got, a, "t620")
	said(t, got, b, "t880")
	eventually(t, 10*time.Second, "both sentences are translated", func() bool { return len(translated(t, a)) >= 2 })
	checkCaptions(t, a, nick, b.Nick())
	swap := func() {
		m.Focus.Swap("alpha", nick, a.Nick(), b.Nick())
		time.Sleep(500 * time.Millisecond) // what is said now, and not what it was told, has to be attributed
	}
	swap()
	got = speak(t, a, a, b)
	said(t, got, a, "t880")
	said(t, got, b, "t620")
	swap()
	other, err := sfu.New()
	if err != nil {
		t.Fatal(err)
	}
	m.Focus.Move("alpha", other)
	got = speak(t, a, a, b)
	said(t, got, a, "t620")
	said(t, got, b, "t880")
	a.Show("jitsi_participant_requestingTranscription", "false")
	eventually(t, 15*time.Second, "it leaves", func() bool { return slices.Equal(a.Status(nick), []string{"ON", "OFF", "gone"}) })
	eventually(t, 10*time.Second, "the call is over", func() bool { return len(m.app.Calls()) == 0 })
	checkTranscript(t, dir)
}

func translated(t *testing.T, b *bot.Bot) []caption {
	t.Helper()
	return slices.DeleteFunc(captions(t, b), func(c caption) bool { return c.Type != "translation-result" })
}

// checkCaptions: all keys that clients look at, one id for each utterance, and translations with it.
func checkCaptions(t *testing.T, b *bot.Bot, nick, german string) {
	t.Helper()
	ids := map[string]string{}
	for _, c := range captions(t, b) {
		if c.from != nick || c.Event != "SPEECH" || c.ID == "" || c.Person.ID == "" || !strings.HasSuffix(c.Person.Name, "Hz") || time.Since(time.UnixMilli(c.Timestamp)) > time.Minute {
			t.Errorf("%+v", c)
		}
		want := map[bool]string{true: "de-DE", false: "en-US"}[c.Person.ID == german]
		switch {
		case c.Type == "transcription-result" && (c.Language != want || c.Transcript[0].Confidence == nil || c.Interim == nil || c.Stability == nil || c.Text != ""):
			t.Errorf("%+v", c)
		case c.Type == "translation-result" && (c.Language != "fr" || !strings.HasPrefix(c.Text, "fr T") || c.Interim != nil || c.Transcript != nil || ids[c.ID] != c.Person.ID):
			t.Errorf("%+v", c)
		}
		if who, known := ids[c.ID]; known && who != c.Person.ID {
			t.Errorf("%s and %s have one id", who, c.Person.ID)
		}
		ids[c.ID] = c.Person.ID
	}
	if len(ids) < 2 {
		t.Errorf("%d utterances", len(ids))
	}
}

// checkTranscript: one session is kept, with who was there and all that was said.
func checkTranscript(t *testing.T, dir string) {
	t.Helper()
	text := kept(t, dir)
	count(t, text, map[string]int{"Initial people present": 1, "\t620 Hz\n": 1, "\t880 Hz\n": 1, "joined the conference": 2, "in room alpha@conference": 1, "Transcriber": 0})
	for _, line := range []string{"620 Hz: t620", "880 Hz: t880", "620 Hz: t880", "880 Hz: t620"} { // the last two after a swap
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}

// kept is the one transcript, as text.
func kept(t *testing.T, dir string) string {
	t.Helper()
	var text []byte
	eventually(t, 10*time.Second, "the transcript is kept", func() bool {
		files, err := filepath.Glob(dir + "/*/*.txt")
		if err == nil && len(files) == 1 {
			text, err = os.ReadFile(files[0])
		}
		return err == nil && len(text) > 0
	})
	return string(text)
}

// count counts parts of a text.
func count(t *testing.T, text string, want map[string]int) {
	t.Helper()
	for part, n := range want {
		if got := strings.Count(text, part); got != n {
			t.Errorf("%d times %q in\n%s", got, part, text)
		}
	}
}

// TestWhoIsCalled: what a gateway takes and refuses, and what it shows in the brewery, in every combination.
func TestWhoIsCalled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sip, words bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		t.Run(fmt.Sprintf("sip %v, transcription %v", tt.sip, tt.words), func(t *testing.T) {
			t.Parallel()
			m := start(t, transcribers, func(cfg *config.Config) {
				withTranscriber(toneServer(t, 620), "", "")(cfg)
				cfg.SIP.Enabled, cfg.Transcription.Enabled = tt.sip, tt.words
			})
			m.Join("alpha", 620)
			m.Join("alpha", 880)
			eventually(t, 5*time.Second, "the focus sees the gateway", joined(m))
			shown := fmt.Sprint(m.Focus.Gateways())
			for name, want := range map[string]bool{"supports_sip": tt.sip, "supports_transcription": tt.words} {
				if !strings.Contains(shown, fmt.Sprintf("name='%s' value='%v'", name, want)) {
					t.Errorf("the brewery reads %s", shown)
				}
			}
			for to, want := range map[string]bool{"+15551234": tt.sip, transcriber: tt.words} {
				res := m.Focus.Dial("alpha@"+m.XMPP.MUC(), to)
				if res == nil || (res.Get("type") == "result") != want {
					t.Errorf("the dial to %s is answered by %v", to, res)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_ = m.app.Close(ctx) // no last words: it ends soon
		})
	}
}
