package socket

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"jigasi/internal/recognize"
)

// ErrRequest says that the service does not take what it was asked.
var ErrRequest = errors.New("the service answers")

// Status is the error of an answer that is none of success, with what to do about it, and nothing that the server has
// written. Who is refused for who he is need not try again soon, nor who is told when.
func Status(answer *http.Response) error {
	switch code := answer.StatusCode; code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: it answers %d: set its key below transcription in jigasi.yaml", recognize.ErrCredential, code)
	case http.StatusPaymentRequired:
		return &recognize.Later{After: time.Minute, Err: fmt.Errorf("the service answers %d: its account has no credit left", code)}
	case http.StatusTooManyRequests:
		return &recognize.Later{After: after(answer), Err: fmt.Errorf("the service answers %d: its account allows no more at once, or its quota is used up", code)}
	case http.StatusServiceUnavailable:
		return &recognize.Later{After: after(answer), Err: fmt.Errorf("the service answers %d", code)}
	case http.StatusBadRequest:
		return fmt.Errorf("%w %d: it does not know the model, or something else that stands below transcription in jigasi.yaml", ErrRequest, code)
	case http.StatusNotFound:
		return fmt.Errorf("the service answers %d: the path of its address, or the model, is wrong below transcription in jigasi.yaml", code)
	default:
		return fmt.Errorf("the service answers %d", code)
	}
}

// after is how long the service wants to be left alone, where it says so in seconds or by a date.
func after(answer *http.Response) time.Duration {
	value := answer.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(value, 10, 16); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return time.Until(at)
	}
	return 0
}
