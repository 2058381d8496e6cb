// Package oracle is the realtime speech of Oracle Cloud (OCI) as a speech service: one WebSocket for
// each speaker, whose first message is a signed login.
package oracle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
)

// Options are what the service needs.
type Options struct {
	URL         string // of the region, such as wss://realtime.aiservice.us-ashburn-1.oci.oraclecloud.com
	Compartment string // its OCID
	ConfigFile  string // default the variable OCI_CONFIG_FILE, else ~/.oci/config
	Profile     string // default DEFAULT
	Interim     time.Duration
	Final       time.Duration     // silence that ends an utterance
	Transport   http.RoundTripper // to the service; nil is http.DefaultTransport
}

// A Service is a region of OCI.
type Service struct{ o Options }

// New makes a Service. The configuration file is read for each stream, so that it can change.
func New(o Options) (*Service, error) {
	if o.Compartment == "" {
		return nil, errors.New("transcription.oracle.compartment is missing: the OCID of a compartment that may use the speech service")
	}
	o.ConfigFile = cmp.Or(o.ConfigFile, os.Getenv("OCI_CONFIG_FILE"))
	if home, err := os.UserHomeDir(); err == nil && o.ConfigFile == "" {
		o.ConfigFile = filepath.Join(home, ".oci", "config")
	}
	o.Profile = cmp.Or(o.Profile, "DEFAULT")
	o.Interim, o.Final = cmp.Or(o.Interim, 500*time.Millisecond), cmp.Or(o.Final, 500*time.Millisecond)
	return &Service{o}, nil
}

// Needs are those of OCI.
func (*Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: 100 * time.Millisecond, Idle: 10 * time.Second}
}

// address is the URL of a stream.
func (s *Service) address(language string) (*url.URL, error) {
	u, err := url.Parse(s.o.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the address of the service is none")
	}
	if u.Port() == "" && u.Scheme == "wss" {
		u.Host += ":443"
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/ws/transcribe/stream"
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	u.RawQuery = "isAckEnabled=false&partialSilenceThresholdInMs=" + ms(s.o.Interim) + "&finalSilenceThresholdInMs=" + ms(s.o.Final) +
		"&languageCode=" + url.QueryEscape(language) + "&encoding=" + url.QueryEscape(encoding)
	return u, nil
}

const encoding = "audio/raw;rate=16000"

// Open opens a stream and logs in.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	u, err := s.address(cmp.Or(w.Language, "en-US"))
	if err != nil {
		return nil, err
	}
	l, err := readLogin(s.o.ConfigFile, s.o.Profile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: see transcription.oracle.config_file", recognize.ErrCredential, err)
	}
	d := &dialect{compartment: s.o.Compartment}
	if d.headers, err = l.sign(u, time.Now()); err != nil {
		return nil, err
	}
	stream, err := socket.Dial(ctx, s.o.Transport, u.String(), http.Header{"Content-Type": {encoding}}, d)
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// A dialect is the protocol.
type dialect struct {
	compartment string
	headers     map[string]string
}

func (d *dialect) Hello(s socket.Sender) error {
	b, err := json.Marshal(map[string]any{"authenticationType": "CREDENTIALS", "compartmentId": d.compartment, "headers": d.headers})
	if err != nil {
		return err
	}
	return s.Text(b)
}

func (*dialect) Sound(s socket.Sender, pcm []byte) error { return s.Binary(pcm) }
func (*dialect) Bye(s socket.Sender) error               { return s.Text([]byte(`{"event":"SEND_FINAL_RESULT"}`)) }

// Quiet is long enough for the last result; nothing says that it was the last.
func (*dialect) Quiet() time.Duration { return 2 * time.Second }

type message struct {
	Event          string          `json:"event"`
	Code           json.RawMessage `json:"code"`
	Transcriptions []struct {
		Text       string   `json:"transcription"`
		Final      bool     `json:"isFinal"`
		StartMS    int64    `json:"startTimeInMs"`
		EndMS      int64    `json:"endTimeInMs"`
		Confidence *float64 `json:"confidence"`
	} `json:"transcriptions"`
}

func (*dialect) Heard(b []byte) ([]recognize.Result, bool, error) {
	var m message
	if json.Unmarshal(b, &m) != nil {
		return nil, false, socket.ErrMessage
	}
	switch m.Event {
	case "RESULT":
	case "ERROR":
		code, err := strconv.Atoi(strings.Trim(string(m.Code), `"`)) // a word is not told
		if err != nil {
			return nil, false, errors.New("the service reports an error")
		}
		if code == http.StatusUnauthorized || code == http.StatusForbidden { // the login is the first message: it is refused like this
			return nil, false, fmt.Errorf("%w: it reports error %d: see transcription.oracle.config_file and compartment, and the policies of that", recognize.ErrCredential, code)
		}
		return nil, false, fmt.Errorf("the service reports error %d", code)
	default: // CONNECT, ACKAUDIO, and what is yet to come
		return nil, false, nil
	}
	if len(m.Transcriptions) == 0 {
		return nil, false, nil
	}
	t := m.Transcriptions[0]
	r := recognize.Result{
		Text: strings.TrimSpace(t.Text), Final: t.Final, Confidence: 1, Stability: 1,
		Start: time.Duration(t.StartMS) * time.Millisecond, End: time.Duration(t.EndMS) * time.Millisecond,
	}
	if t.Confidence != nil {
		r.Confidence = *t.Confidence
	}
	return []recognize.Result{r}, false, nil
}
