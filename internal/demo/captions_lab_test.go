//go:build lab

package demo

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestCaptionsOfWords: with an engine, what somebody says in words is read.
func TestCaptionsOfWords(t *testing.T) {
	var out, errs bytes.Buffer
	if status := Run([]string{"--for", "2500ms", "--captions"}, &out, &errs, os.Getenv); status != 0 {
		t.Fatalf("status %d\n%s%s", status, out.String(), errs.String())
	}
	if want := "caption  Anna: " + sentence; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, out.String())
	}
}
