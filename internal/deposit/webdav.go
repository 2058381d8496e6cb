package deposit

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"jigasi/internal/xlog"
)

// WebDAVOptions name a collection and who may write to it.
type WebDAVOptions struct {
	URL      string // of a collection that is there
	User     string // "" is no login
	Password xlog.Secret
	Client   Client
}

// A WebDAV is a collection of a WebDAV server.
type WebDAV struct {
	opt  WebDAVOptions
	base *url.URL
}

// NewWebDAV makes a collection's client. Nothing is asked of the server.
func NewWebDAV(o WebDAVOptions) (*WebDAV, error) {
	base, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	return &WebDAV{o, base}, nil
}

// Name implements archive.Place.
func (d *WebDAV) Name() string { return "webdav" }

// Put stores a file in a collection of that name, which is made.
func (d *WebDAV) Put(ctx context.Context, dir, file string, body io.ReadSeeker, size int64) error {
	switch status, answer, err := d.do(ctx, "MKCOL", join(d.base, dir), nil, 0, ""); {
	case err != nil:
		return err
	case status == http.StatusMethodNotAllowed: // it is there
	case status >= 300:
		return refusal("the server makes no collection", status, answer)
	}
	status, answer, err := d.do(ctx, http.MethodPut, join(d.base, dir, file), body, size, mime(file))
	if err == nil && status >= 300 {
		err = refusal("the server refuses it", status, answer)
	}
	return err
}

// Delete removes a file, and with the last one nothing more: an empty collection tells only when there was a meeting.
func (d *WebDAV) Delete(ctx context.Context, dir, file string) error {
	status, answer, err := d.do(ctx, http.MethodDelete, join(d.base, dir, file), nil, 0, "")
	if err == nil && status >= 300 && status != http.StatusNotFound {
		err = refusal("the server does not delete it", status, answer)
	}
	return err
}

func (d *WebDAV) do(ctx context.Context, method string, u *url.URL, body io.Reader, size int64, kind string) (int, []byte, error) {
	r, err := request(ctx, method, u, body, size)
	if err != nil {
		return 0, nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if d.opt.User != "" {
		r.SetBasicAuth(d.opt.User, d.opt.Password.Reveal())
	}
	return d.opt.Client.Do(r)
}
