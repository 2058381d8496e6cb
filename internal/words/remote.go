package words

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"jigasi/internal/asap"
	"jigasi/internal/config"
	"jigasi/internal/recognize/socket"
)

const (
	remoteLimit  = 3 * time.Second // a session waits for it
	remoteAnswer = 64 << 10
	remoteOld    = time.Hour // as long the last answer of a room counts while the server fails
	remoteRooms  = 1000      // remembered
)

// A remote asks the operator's server which service a room uses.
type remote struct {
	c      config.RemoteChoice
	signer *asap.Signer // nil is no login
	client *http.Client

	mu    sync.Mutex
	known map[string]answer
}

type answer struct {
	service string
	at      time.Time
}

func newRemote(c config.RemoteChoice) (*remote, error) {
	r := &remote{c: c, known: map[string]answer{}, client: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 10, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if c.Key == "" || c.KeyName == "" || c.Audience == "" {
		return r, nil
	}
	var err error
	if r.signer, err = asap.New(c.Key.Reveal(), c.KeyName, "jitsi", c.Audience); err != nil {
		return nil, fmt.Errorf("transcription.remote.key %w", err)
	}
	return r, nil
}

// ask gives our name of the service of a room.
func (r *remote) ask(ctx context.Context, room string) (string, error) {
	now := time.Now()
	r.mu.Lock()
	last, ok := r.known[room]
	r.mu.Unlock()
	if ok && now.Sub(last.at) < r.c.Cache {
		return last.service, nil
	}
	ctx, cancel := context.WithTimeout(ctx, remoteLimit)
	defer cancel()
	service, err := r.get(ctx, room)
	if err != nil {
		if ok && now.Sub(last.at) < remoteOld {
			return last.service, nil
		}
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= remoteRooms {
		r.forget(now)
	}
	r.known[room] = answer{service, now}
	return service, nil
}

// forget makes room for answers: the old ones go, else all of them.
func (r *remote) forget(now time.Time) {
	for k, a := range r.known {
		if now.Sub(a.at) >= r.c.Cache {
			delete(r.known, k)
		}
	}
	if len(r.known) >= remoteRooms {
		clear(r.known)
	}
}

// get makes the request. Its error tells nothing of the answer.
func (r *remote) get(ctx context.Context, room string) (string, error) {
	address := strings.ReplaceAll(r.c.URL, "{tenant}", url.PathEscape(tenant(room)))
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address+sep+"conferenceFullName="+url.QueryEscape(room), nil)
	if err != nil {
		return "", errors.New("its address is none")
	}
	q.Header.Set("Content-Type", "application/json")
	if r.signer != nil {
		token, err := r.signer.Token(time.Now())
		if err != nil {
			return "", err
		}
		q.Header.Set("Authorization", "Bearer "+token)
	}
	w, err := r.client.Do(q)
	if err != nil {
		return "", fmt.Errorf("it cannot be reached: %w", socket.Plain(err))
	}
	defer func() { _ = w.Body.Close() }()
	if w.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %d", w.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(w.Body, remoteAnswer))
	var body struct {
		Type string `json:"transcriberType"`
		Old  string `json:"transcriber"`
	}
	if err != nil || json.Unmarshal(data, &body) != nil {
		return "", errors.New("its answer is not JSON")
	}
	if body.Type == "" {
		body.Type = body.Old
	}
	name, ok := config.SpeechService(body.Type)
	if !ok {
		return "", errors.New("its answer names no speech service that is known here")
	}
	return name, nil
}
