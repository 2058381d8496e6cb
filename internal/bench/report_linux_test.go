package bench

import (
	"strings"
	"testing"
)

func TestFillReplacesTheFiguresAndNothingElse(t *testing.T) {
	page := "before\n" + figuresBegin + "\nold\n" + figuresEnd + "\nafter\n"
	got, err := fill([]byte(page), figuresBegin, figuresEnd, "new")
	if err != nil {
		t.Fatal(err)
	}
	s := string(got)
	if !strings.HasPrefix(s, "before\n") || !strings.HasSuffix(s, "\nafter\n") || strings.Contains(s, "old") || !strings.Contains(s, "\nnew\n") {
		t.Errorf("the page is %q", s)
	}
	again, err := fill(got, figuresBegin, figuresEnd, "new")
	if err != nil || string(again) != s {
		t.Errorf("filled twice it is %q, %v", again, err)
	}
	if _, err := fill([]byte("no marks"), figuresBegin, figuresEnd, "new"); err == nil {
		t.Error("a page without marks is written")
	}
}
