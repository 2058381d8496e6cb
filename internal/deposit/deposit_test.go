package deposit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignature is the worked example of AWS's documentation: "PUT Object" with a storage class.
func TestSignature(t *testing.T) {
	s, err := NewS3(S3Options{
		Endpoint: "https://examplebucket.s3.amazonaws.com", Bucket: "ignored", KeyID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := request(t.Context(), http.MethodPut, join(s.base, "test$file.text"), strings.NewReader("Welcome to Amazon S3."), 21)
	if err != nil {
		t.Fatal(err)
	}
	const hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
	r.Header.Set("Date", "Fri, 24 May 2013 00:00:00 GMT")
	r.Header.Set("X-Amz-Storage-Class", "REDUCED_REDUNDANCY")
	r.Header.Set("X-Amz-Content-Sha256", hash)
	s.sign(r, hash, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	const want = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
		"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// asked is a store that answers as it is told, and keeps what it was asked.
type asked struct {
	status []int
	body   string
	err    error
	log    []string
}

func (a *asked) Do(r *http.Request) (int, []byte, error) {
	sent, _ := io.ReadAll(r.Body)
	a.log = append(a.log, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+string(sent))
	if a.err != nil {
		return 0, nil, a.err
	}
	status := a.status[0]
	if len(a.status) > 1 {
		a.status = a.status[1:]
	}
	return status, []byte(a.body), nil
}

const (
	dir  = "2024-11-22T15:04:05.000000Z_a"
	file = "transcript_2024-11-22T15:04:05.000000Z_b.txt"
)

func TestS3(t *testing.T) {
	c := &asked{status: []int{200}}
	s, err := NewS3(S3Options{Endpoint: "https://store.example.com/", Bucket: "words", Prefix: "/a/b c/", KeyID: "id", Secret: "secret", Client: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(context.Background(), dir, file, strings.NewReader("hello"), 5); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(context.Background(), dir, file); err != nil {
		t.Fatal(err)
	}
	const at = "https://store.example.com/words/a/b%20c/2024-11-22T15%3A04%3A05.000000Z_a/transcript_2024-11-22T15%3A04%3A05.000000Z_b.txt"
	want := []string{"PUT " + at + " text/plain; charset=utf-8 hello", "DELETE " + at + "  "}
	if got := strings.Join(c.log, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	c.status, c.body = []int{403}, "<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>secret words</Message></Error>"
	if err := s.Put(context.Background(), dir, file, strings.NewReader(""), 0); err == nil || err.Error() != "the store refuses it: status 403, SignatureDoesNotMatch" {
		t.Error(err)
	}
	c.status, c.body = []int{404}, "<Error><Code>NoSuchKey</Code></Error>"
	if err := s.Delete(context.Background(), dir, file); err != nil {
		t.Error(err)
	}
	c.body = "<Error><Code>NoSuchBucket</Code></Error>"
	if err := s.Delete(context.Background(), dir, file); err == nil {
		t.Error("a bucket that is not there was taken for an empty one")
	}
	if err := s.Put(context.Background(), dir, file, strings.NewReader("hello"), 6); err == nil {
		t.Error("a file that has changed was stored")
	}
}

func TestWebDAV(t *testing.T) {
	c := &asked{status: []int{201}}
	d, err := NewWebDAV(WebDAVOptions{URL: "https://cloud.example.com/dav/me", User: "me", Password: "secret", Client: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(context.Background(), dir, "x.wav", bytes.NewReader([]byte("sound")), 5); err != nil {
		t.Fatal(err)
	}
	const at = "https://cloud.example.com/dav/me/2024-11-22T15%3A04%3A05.000000Z_a"
	if got, want := strings.Join(c.log, "\n"), "MKCOL "+at+"  \nPUT "+at+"/x.wav audio/wav sound"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, test := range []struct {
		status []int
		ok     bool
	}{{[]int{405, 204}, true}, {[]int{409}, false}, {[]int{201, 507}, false}, {[]int{401}, false}} {
		c.status = test.status
		if err := d.Put(context.Background(), dir, file, strings.NewReader("x"), 1); (err == nil) != test.ok {
			t.Error(test, err)
		}
	}
	for status, ok := range map[int]bool{204: true, 404: true, 423: false} {
		c.status = []int{status}
		if err := d.Delete(context.Background(), dir, file); (err == nil) != ok {
			t.Error(status, err)
		}
	}
	c.err = errors.New("away")
	if err := d.Put(context.Background(), dir, file, strings.NewReader("x"), 1); !errors.Is(err, c.err) {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "ftp://host/", "https://", "https://me:secret@host/", "https://host/?a=b", "https://host/#a", "host"} {
		if _, err := NewWebDAV(WebDAVOptions{URL: bad}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, o := range []S3Options{
		{Endpoint: "x"}, {Endpoint: "https://s3", KeyID: "a", Secret: "b"}, {Endpoint: "https://s3", Bucket: "a/b", KeyID: "a", Secret: "b"}, {Endpoint: "https://s3", Bucket: "a", KeyID: "a"},
	} {
		if _, err := NewS3(o); err == nil {
			t.Error(o)
		}
	}
}
