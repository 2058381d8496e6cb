package deposit

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"jigasi/internal/xlog"
)

// S3Options name a bucket and who may write to it.
type S3Options struct {
	Endpoint string // such as https://s3.eu-central-1.amazonaws.com, without the bucket
	Region   string // "" is us-east-1
	Bucket   string
	Prefix   string // of all keys; "" is none
	KeyID    string
	Secret   xlog.Secret
	Client   Client
}

// An S3 is a bucket. The requests are those of AWS's REST interface, with the bucket in the path and signed by
// Signature Version 4, which all compatible stores take.
type S3 struct {
	opt  S3Options
	base *url.URL
}

// NewS3 makes a bucket's client. Nothing is asked of the store.
func NewS3(o S3Options) (*S3, error) {
	base, err := parse(o.Endpoint)
	switch {
	case err != nil:
		return nil, err
	case o.Bucket == "" || strings.Contains(o.Bucket, "/"):
		return nil, errors.New("a bucket is needed, by its name")
	case o.KeyID == "" || o.Secret == "":
		return nil, errors.New("the id of an access key and its secret are needed")
	}
	o.Region = cmp.Or(o.Region, "us-east-1")
	return &S3{o, base}, nil
}

// Name implements archive.Place.
func (s *S3) Name() string { return "s3" }

// Put stores a file. It is read twice, because its hash is signed.
func (s *S3) Put(ctx context.Context, dir, file string, body io.ReadSeeker, size int64) error {
	h := sha256.New()
	n, err := io.Copy(h, body)
	if err != nil {
		return err
	}
	if n != size {
		return errors.New("the file has changed")
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.do(ctx, http.MethodPut, dir, file, body, size, hex.EncodeToString(h.Sum(nil)))
}

// Delete removes a file.
func (s *S3) Delete(ctx context.Context, dir, file string) error {
	empty := sha256.Sum256(nil)
	return s.do(ctx, http.MethodDelete, dir, file, nil, 0, hex.EncodeToString(empty[:]))
}

func (s *S3) do(ctx context.Context, method, dir, file string, body io.Reader, size int64, hash string) error {
	r, err := request(ctx, method, join(s.base, s.opt.Bucket, s.opt.Prefix, dir, file), body, size)
	if err != nil {
		return err
	}
	if method == http.MethodPut {
		r.Header.Set("Content-Type", mime(file))
	}
	r.Header.Set("X-Amz-Content-Sha256", hash)
	s.sign(r, hash, time.Now())
	status, answer, err := s.opt.Client.Do(r)
	switch {
	case err != nil:
		return err
	case status >= 200 && status < 300, method == http.MethodDelete && status == http.StatusNotFound && !strings.Contains(string(answer), "NoSuchBucket"):
		return nil
	}
	return refusal("the store refuses it", status, answer)
}

const (
	algorithm = "AWS4-HMAC-SHA256"
	amzTime   = "20060102T150405Z"
)

// sign adds the signature over the method, the path, the headers that are there and the hash of the body.
func (s *S3) sign(r *http.Request, hash string, now time.Time) {
	now = now.UTC()
	r.Header.Set("X-Amz-Date", now.Format(amzTime))
	headers := map[string]string{"host": r.URL.Host}
	for k, v := range r.Header {
		headers[strings.ToLower(k)] = strings.TrimSpace(strings.Join(v, ","))
	}
	var names []string
	for k := range headers {
		names = append(names, k)
	}
	slices.Sort(names)
	var list strings.Builder
	for _, k := range names {
		list.WriteString(k + ":" + headers[k] + "\n")
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, list.String(), signed, hash}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{now.Format("20060102"), s.opt.Region, "s3", "aws4_request"}, "/")
	key := []byte("AWS4" + s.opt.Secret.Reveal())
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, strings.Join([]string{algorithm, now.Format(amzTime), scope, hex.EncodeToString(sum[:])}, "\n")))
	r.Header.Set("Authorization", algorithm+" Credential="+s.opt.KeyID+"/"+scope+",SignedHeaders="+signed+",Signature="+signature)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
