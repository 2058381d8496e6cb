package queue

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// A frame is one of STOMP.
type frame struct {
	command string // "" is a heart-beat
	headers [][2]string
	body    string
}

func (f frame) bytes() []byte {
	var b strings.Builder
	b.WriteString(f.command + "\n")
	for _, h := range f.headers {
		b.WriteString(h[0] + ":" + h[1] + "\n")
	}
	b.WriteString("\n" + f.body + "\x00")
	return []byte(b.String())
}

// parse reads a frame leniently: what is none is one of a command that nobody knows.
func parse(b []byte) frame {
	text := strings.ReplaceAll(strings.Trim(string(b), "\r\n\x00"), "\r\n", "\n")
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	f := frame{command: lines[0], body: strings.TrimRight(body, "\x00")}
	for _, l := range lines[1:] {
		if name, v, ok := strings.Cut(l, ":"); ok {
			f.headers = append(f.headers, [2]string{name, v})
		}
	}
	return f
}

// maxBeat bounds what a server can have us wait.
const maxBeat = 10 * time.Minute

// beats are what a CONNECTED agrees on: how often we send, and how often it does; 0 is never.
func (f frame) beats(ours time.Duration) (out, in time.Duration) {
	out, in = ours, ours
	for _, h := range f.headers {
		if h[0] != "heart-beat" {
			continue
		}
		sends, wants, _ := strings.Cut(h[1], ",")
		agree := func(s string) time.Duration {
			n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
			if err != nil || n == 0 {
				return 0
			}
			return min(max(ours, time.Duration(n)*time.Millisecond), maxBeat)
		}
		return agree(wants), agree(sends)
	}
	return out, in
}

// live reads a MESSAGE: whether the meeting is live, and within which time those who wait are to come.
func (f frame) live() (within time.Duration, ok bool) {
	var m struct {
		Status string  `json:"status"`
		Random float64 `json:"randomDelayMs"`
	}
	if json.Unmarshal([]byte(f.body), &m) != nil || m.Status != "live" {
		return 0, false
	}
	return time.Duration(min(max(m.Random, 0), 3_600_000)) * time.Millisecond, true
}
