// Package callerid asks a service of the operator's over HTTP whose a telephone number is, for the name and the picture that a
// meeting shows (PARTICIPANT_INFO_CALLBACK_URL of Jigasi).
//
// The request is a GET; {0} in the address stands for the number. The answer is
//
//	{"success": true, "result": {"user": {"name": "Joe Bob", "avatar": "https://...", "email": "joe@..."}}}
//
// or {"success": false}. Whatever else comes is an error, which holds neither the number nor the address. Nothing
// is asked twice.
package callerid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	limit      = 5 * time.Second // for all of it
	maxAnswer  = 64 << 10
	maxHops    = 3
	maxName    = 100 // runes
	maxAddress = 2048
)

// A Person is whose a number is; what is not known is empty.
type Person struct{ Name, Avatar, Email string }

// A Service knows numbers. It is safe for concurrent use.
type Service struct {
	url    string
	client *http.Client
}

// New makes a service; {0} in its URL is the number.
func New(pattern string) *Service {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.MaxIdleConnsPerHost, transport.IdleConnTimeout, transport.MaxResponseHeaderBytes = 2, 30*time.Second, maxAnswer
	return &Service{url: pattern, client: &http.Client{Transport: transport, Timeout: limit, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxHops:
			return errors.New("too many redirects")
		case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
			return errors.New("a redirect away from https")
		}
		return nil
	}}}
}

// Find tells whose a number is. A number that the service does not know gives nobody, and no error.
func (s *Service) Find(ctx context.Context, number string) (Person, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.ReplaceAll(s.url, "{0}", url.QueryEscape(number)), nil)
	if err != nil {
		return Person{}, errors.New("the address of the service that knows callers is none")
	}
	r.Header.Set("Accept", "application/json")
	res, err := s.client.Do(r)
	if err != nil {
		return Person{}, fmt.Errorf("the service that knows callers does not answer: %w", plain(err))
	}
	defer func() { _ = res.Body.Close() }() // it was read
	if res.StatusCode != http.StatusOK {
		return Person{}, fmt.Errorf("the service that knows callers answers %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return Person{}, errors.New("the answer of the service that knows callers is cut off, or too long")
	}
	return read(body)
}

// plain is what went wrong, without the address that the library puts into it.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

func read(body []byte) (Person, error) {
	var a struct {
		Success bool `json:"success"`
		Result  struct {
			User struct {
				Name   string `json:"name"`
				Avatar string `json:"avatar"`
				Email  string `json:"email"`
			} `json:"user"`
		} `json:"result"`
	}
	if json.Unmarshal(body, &a) != nil {
		return Person{}, errors.New("the service that knows callers answers by something else than JSON")
	}
	if !a.Success {
		return Person{}, nil
	}
	u := a.Result.User
	return Person{Name: line(u.Name), Avatar: picture(u.Avatar), Email: line(u.Email)}, nil
}

// line is a text in one line that a presence can hold.
func line(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > maxName {
		s = string(r[:maxName])
	}
	return s
}

// picture is the address of one that browsers may load, or "".
func picture(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxAddress || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
