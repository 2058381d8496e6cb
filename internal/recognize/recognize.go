// Package recognize turns one speaker's voice into text, whatever speech service does it.
//
// A Service is what a speech service is; each has a package of its own below this one. A Speaker
// is one person's way to it: it keeps the last seconds of sound, opens a stream when there is
// something to say, never two at once, feeds it, and after a lost stream opens the next and says
// again what no final has covered yet. So a service that fails, stalls or goes away costs time,
// but neither loses a final nor gives it twice (docs/adr/0014).
//
// A Speaker has one goroutine. No result is ever logged.
package recognize

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
)

// Rate is the rate of all sound here, in Hz: 16-bit, mono.
const Rate = 16000

// Unknown is a position that a service does not tell.
const Unknown time.Duration = -1

// A Service is a speech service. Its methods are safe for concurrent use.
type Service interface {
	Needs() Needs
	// Open starts a stream. It returns when the service is ready, has refused, or ctx is done; the
	// stream lives until Close, or until ctx is done. Its error names no spoken word and no secret.
	Open(ctx context.Context, w Who) (Stream, error)
}

// Who is whom a stream is for.
type Who struct {
	Session  string // of all speakers of one meeting
	ID       string // of the speaker in the meeting: the endpoint id
	Language string // BCP 47, as Tag gives it
}

// Needs are how a service wants to be treated. The zero value is good.
type Needs struct {
	Chunk    time.Duration // of sound in each Write; 0 is 200 ms
	Idle     time.Duration // end the stream after so long without sound; 0 is 30 s
	MaxAge   time.Duration // and after so long in any case, best between two utterances; 0 is never
	Keep     time.Duration // of sound to keep for saying it again; 0 is 15 s
	Patience time.Duration // with a service that says nothing while somebody speaks; 0 is 8 s
	Overlap  time.Duration // to say again where finals do not tell what they cover
	Opus     bool          // its streams are OpusStreams
	Pace     bool          // sound must not come much faster than it was spoken: at most twice
}

// A Stream is one conversation with a service about one speaker. Write, CloseSend and Close are
// called by one goroutine, Results is read by the same or another.
type Stream interface {
	// Write sends sound, 16-bit little-endian at Rate. It may block for seconds, and keeps nothing.
	Write(pcm []byte) error
	// Results are in the order of speech, interims before their final. The channel is closed after
	// the last one: after CloseSend when all is said, else when the stream is lost.
	Results() <-chan Result
	// CloseSend says that no more sound follows.
	CloseSend() error
	// Close ends the stream at once; Results is closed soon after.
	Close()
	// Err says, once Results is closed, why; nil where all was said.
	Err() error
}

// A Result is what a service has heard.
type Result struct {
	Text       string
	Final      bool
	Confidence float64
	Stability  float64
	// Start and End are where the words are in the sound of this stream. No later final will cover
	// what lies before the End of a final. Unknown where the service does not tell.
	Start, End time.Duration
}

// Counts count what happens to all speakers of a service.
type Counts struct {
	Speakers  atomic.Int64 // that there are now
	Streams   atomic.Int64 // open now
	Opened    atomic.Int64
	Refused   atomic.Int64 // not opened
	Lost      atomic.Int64 // ended by the service before their time
	Interims  atomic.Int64
	Finals    atomic.Int64
	SentMS    atomic.Int64 // of sound, said again included
	DroppedMS atomic.Int64 // of sound that no service has heard to the end
}

// Tag tidies a language tag as clients send it: "pt_br " becomes pt-BR, the codes that Java has
// kept from before 1989 (iw, in, ji) become today's, and what can be no tag becomes "".
func Tag(s string) string {
	if s = strings.TrimSpace(s); len(s) > 35 { // RFC 5646, 4.4.1
		return ""
	}
	parts := strings.Split(strings.ReplaceAll(s, "_", "-"), "-")
	if len(parts[0]) < 2 || len(parts[0]) > 8 {
		return ""
	}
	for i, p := range parts {
		if p == "" || len(p) > 8 || strings.Trim(strings.ToLower(p), "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return ""
		}
		switch p = strings.ToLower(p); {
		case i > 0 && len(p) == 2:
			p = strings.ToUpper(p)
		case i > 0 && len(p) == 4:
			p = strings.ToUpper(p[:1]) + p[1:]
		}
		parts[i] = p
	}
	if modern, ok := map[string]string{"iw": "he", "in": "id", "ji": "yi"}[parts[0]]; ok {
		parts[0] = modern
	}
	return strings.Join(parts, "-")
}

// Primary is the language of a tag without its region: pt of pt-BR.
func Primary(tag string) string {
	primary, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(primary)
}
