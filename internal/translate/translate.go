// Package translate turns a sentence into another language, whatever service does it. Each service
// has a package of its own below this one; what they share is Post, a bounded request.
package translate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Limit is how long a sentence may take.
const Limit = 3 * time.Second

// A Translator is a translation service. It is safe for concurrent use.
type Translator interface {
	// Translate gives text, which is in the language from (a primary code such as en), in the
	// language to (as the reader asked for it, such as zh-CN). Its error names no word and no secret.
	Translate(ctx context.Context, text, from, to string) (string, error)
}

// ErrNothing says that the service gave no text.
var ErrNothing = errors.New("the service gave no translation")

const maxAnswer = 256 << 10

// Post sends body as JSON and reads the JSON answer into out. Redirects are not followed, and an
// answer is at most 256 KiB. The error tells a status, but nothing of the request or the answer.
func Post(ctx context.Context, client *http.Client, url string, header http.Header, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return errors.New("the address of the service is none")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	w, err := client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the service at %s cannot be reached: %w: does it run, and is its address below transcription.translation right?", r.URL.Host, bottom(err))
	}
	defer func() { _ = w.Body.Close() }()
	if w.StatusCode != http.StatusOK {
		return status(w.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("the answer: %w", bottom(err))
	case len(answer) > maxAnswer:
		return errors.New("the answer is too long")
	case json.Unmarshal(answer, out) != nil:
		return errors.New("the answer is not the JSON of this service")
	}
	return nil
}

// status is the error of an answer that is none of success, with what to do about it.
func status(code int) error {
	text := ""
	switch code {
	case http.StatusBadRequest:
		text = ": it lacks one of the two languages, or the model"
	case http.StatusUnauthorized, http.StatusForbidden:
		text = ": is its key below transcription.translation right?"
	case http.StatusNotFound:
		text = ": is the path of its address below transcription.translation right?"
	case http.StatusPaymentRequired, http.StatusTooManyRequests, statusQuota:
		text = ": its account allows no more at once, or its quota is used up"
	}
	return fmt.Errorf("the service answers %d%s", code, text)
}

// statusQuota is DeepL's word for a quota that is used up.
const statusQuota = 456

// bottom is the cause of an error without the URL around it.
func bottom(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// Client is an HTTP client for Post: ten connections to a service at most, no redirects.
func Client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 10, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Primary is the language of a tag without its region, also of tags as clients write them: en of enGB.
func Primary(tag string) string {
	for i, r := range tag {
		if i > 0 && (r == '-' || r == '_' || r >= 'A' && r <= 'Z' && tag[0] >= 'a') {
			tag = tag[:i]
			break
		}
	}
	return strings.ToLower(tag)
}
