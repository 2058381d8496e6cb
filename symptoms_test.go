package jigasi_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSymptomsAreSaid: what docs/troubleshooting.md says that the program says, it says.
func TestSymptomsAreSaid(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		code.Write(src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(code.String(), "")
	foreign := map[string]bool{ // words of libraries
		"certificate signed by unknown authority": true, "HTTP status 404": true, "expected handshake response status code 101": true,
	}
	doc, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile(`"([^"]+)"`)
	found := 0
	for line := range strings.Lines(string(doc)) {
		symptom, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		if !ok || !strings.HasPrefix(line, "|") {
			continue
		}
		for _, q := range quoted.FindAllStringSubmatch(symptom, -1) {
			if found++; !foreign[q[1]] && !strings.Contains(said, q[1]) {
				t.Errorf("nothing says %q", q[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("%d sayings were looked for", found)
	}
}
