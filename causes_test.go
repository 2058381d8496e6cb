package jigasi_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCausesSayWhatToDo: the text of a cause that an operator can mend says what to look at or to set.
func TestCausesSayWhatToDo(t *testing.T) {
	text := regexp.MustCompile(`Code: cause\.(NoMedia|MediaFailed|AuthFailed|Unavailable|NoInvite|NoBridge|Timeout|NoCodec|NoRoom)\b[^}]*?Text: (.*)`)
	said := map[string]bool{ // by the meeting or by people, or with an error that says it
		`fmt.Sprintf(`: true, `text})`: true, // made of several
		`"No invite from conference focus"})`: true, // what Jigasi says, and monitoring looks for
	}
	seen := 0
	err := filepath.WalkDir("internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/lab/") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range text.FindAllStringSubmatch(string(src), -1) {
			seen++
			if what := strings.TrimSpace(m[2]); !said[what] && !strings.Contains(what, ": ") && !strings.HasSuffix(what, " +") {
				t.Errorf("%s: %s is told by %s, and not what to do", path, m[1], what)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 25 {
		t.Errorf("only %d texts were found", seen)
	}
}
