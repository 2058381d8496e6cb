// Package deepgram is Deepgram's live API as a speech service: one WebSocket for each speaker. Every
// result says which sound it covers.
package deepgram

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"jigasi/internal/codec"
	"jigasi/internal/recognize"
	"jigasi/internal/recognize/socket"
	"jigasi/internal/xlog"
)

// Options are what the service needs.
type Options struct {
	URL       string // default Deepgram's
	Key       xlog.Secret
	Model     string            // default nova-3
	Opus      bool              // send sound as it came
	Transport http.RoundTripper // to the service; nil is http.DefaultTransport
}

// A Service is Deepgram's.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service {
	o.URL, o.Model = cmp.Or(o.URL, "wss://api.deepgram.com/v1/listen"), cmp.Or(o.Model, "nova-3")
	return &Service{o}
}

// Needs are those of Deepgram, which closes a stream after 10 s without sound.
func (s *Service) Needs() recognize.Needs {
	return recognize.Needs{Chunk: 100 * time.Millisecond, Idle: 5 * time.Second, Pace: true, Opus: s.o.Opus}
}

// regional are the tags that Deepgram has with a region. It refuses every other that has one, such as the de-DE and it-IT
// of browsers.
var regional = map[string]bool{
	"da-DK": true, "de-CH": true, "en-AU": true, "en-GB": true, "en-IN": true, "en-NZ": true, "en-US": true, "es-419": true, "fr-CA": true,
	"ko-KR": true, "nl-BE": true, "pt-BR": true, "pt-PT": true, "sv-SE": true, "th-TH": true,
	"zh-CN": true, "zh-HK": true, "zh-Hans": true, "zh-Hant": true, "zh-TW": true,
}

// language is a tag as Deepgram has it.
func language(tag string) string {
	if regional[tag] {
		return tag
	}
	switch primary := recognize.Primary(tag); primary {
	case "":
		return "en"
	case "nb", "nn":
		return "no"
	case "fil":
		return "tl"
	default:
		return primary
	}
}

// Open opens a stream.
func (s *Service) Open(ctx context.Context, w recognize.Who) (recognize.Stream, error) {
	query := url.Values{
		"model": {s.o.Model}, "language": {language(w.Language)}, "encoding": {"linear16"}, "sample_rate": {"16000"}, "channels": {"1"},
		"interim_results": {"true"}, "smart_format": {"true"}, "endpointing": {"300"},
	}
	d := &dialect{}
	if s.o.Opus {
		query.Set("encoding", "opus")
		query.Set("sample_rate", "48000")
		var err error
		if d.enc, err = codec.NewOpusEncoder(codec.OpusOptions{Rate: recognize.Rate, Bitrate: 32000, Complexity: 5}); err != nil {
			return nil, err
		}
	}
	header := http.Header{"Authorization": {"Token " + s.o.Key.Reveal()}}
	address := s.o.URL + "?" + query.Encode()
	if strings.Contains(s.o.URL, "?") {
		address = s.o.URL + "&" + query.Encode()
	}
	stream, err := socket.Dial(ctx, s.o.Transport, address, header, d)
	if errors.Is(err, socket.ErrRequest) { // what we ask for is always the same, but for these
		return nil, fmt.Errorf("%w: Deepgram knows no %q of the model %q: see transcription.deepgram.model", recognize.ErrLanguage, language(w.Language), s.o.Model)
	}
	if err != nil {
		return nil, err
	}
	if s.o.Opus {
		return opusStream{stream, d}, nil
	}
	return stream, nil
}

// An opusStream takes packets, too.
type opusStream struct {
	*socket.Stream
	d *dialect
}

// WriteOpus sends a packet as it came.
func (s opusStream) WriteOpus(packet []byte) error {
	if err := s.d.rest(s.Stream); err != nil {
		return err
	}
	return s.Binary(packet)
}

// A dialect is the protocol.
type dialect struct {
	bye atomic.Bool
	enc *codec.OpusEncoder // nil: sound is PCM
	pcm []int16            // less than a packet
	out [codec.MaxOpus]byte
}

func (*dialect) Hello(socket.Sender) error { return nil }

// Sound sends PCM, or makes packets of it where everything else is packets.
func (d *dialect) Sound(s socket.Sender, pcm []byte) error {
	if d.enc == nil {
		return s.Binary(pcm)
	}
	for ; len(pcm) > 1; pcm = pcm[2:] {
		if d.pcm = append(d.pcm, int16(binary.LittleEndian.Uint16(pcm))); len(d.pcm) < recognize.Rate/50 {
			continue
		}
		if err := d.packet(s); err != nil {
			return err
		}
	}
	return nil
}

// rest sends what is less than a packet, made whole with silence.
func (d *dialect) rest(s socket.Sender) error {
	if len(d.pcm) == 0 {
		return nil
	}
	d.pcm = append(d.pcm, make([]int16, recognize.Rate/50-len(d.pcm))...)
	return d.packet(s)
}

func (d *dialect) packet(s socket.Sender) error {
	n, err := d.enc.Encode(d.out[:], d.pcm)
	if err != nil {
		return err
	}
	d.pcm = d.pcm[:0]
	return s.Binary(d.out[:n])
}

func (d *dialect) Bye(s socket.Sender) error {
	if err := d.rest(s); err != nil {
		return err
	}
	d.bye.Store(true)
	return s.Text([]byte(`{"type":"CloseStream"}`))
}

// Quiet is never: the summary comes.
func (*dialect) Quiet() time.Duration { return 0 }

type message struct {
	Type     string  `json:"type"`
	Start    float64 `json:"start"`
	Duration float64 `json:"duration"`
	IsFinal  bool    `json:"is_final"`
	Channel  struct {
		Alternatives []struct {
			Transcript string  `json:"transcript"`
			Confidence float64 `json:"confidence"`
			Words      []struct {
				Start float64 `json:"start"`
				End   float64 `json:"end"`
			} `json:"words"`
		} `json:"alternatives"`
	} `json:"channel"`
}

func (d *dialect) Heard(b []byte) ([]recognize.Result, bool, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(b, &kind) != nil {
		return nil, false, socket.ErrMessage
	}
	switch kind.Type {
	case "Results":
	case "Metadata": // the summary, behind the last result
		return nil, d.bye.Load(), nil
	default: // SpeechStarted, UtteranceEnd, and what is yet to come
		return nil, false, nil
	}
	var m message
	if json.Unmarshal(b, &m) != nil {
		return nil, false, socket.ErrMessage
	}
	r := recognize.Result{Final: m.IsFinal, Start: seconds(m.Start), End: seconds(m.Start + m.Duration)}
	if len(m.Channel.Alternatives) > 0 {
		a := m.Channel.Alternatives[0]
		r.Text, r.Confidence = a.Transcript, a.Confidence
		if len(a.Words) > 0 {
			r.Start = seconds(a.Words[0].Start)
		}
	}
	return []recognize.Result{r}, false, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
