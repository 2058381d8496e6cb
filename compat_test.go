package jigasi_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// allTests are the names of all tests and fuzz targets of the tree.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	test := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(".", func(at string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(at, "_test.go") {
			return err
		}
		src, err := os.ReadFile(at)
		for _, m := range test.FindAllSubmatch(src, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// TestLimitsAreTested: each row of docs/limits.md names tests that exist.
func TestLimitsAreTested(t *testing.T) {
	have := allTests(t)
	doc, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || strings.HasPrefix(cells[0], "-") || strings.TrimSpace(cells[0]) == "what comes" {
			continue
		}
		rows++
		if counted := strings.TrimSpace(cells[3]); !strings.Contains(counted, "`") && !strings.HasPrefix(counted, "nothing to count: ") {
			t.Errorf("%s: no counter", cells[0])
		}
		tests := strings.FieldsFunc(cells[4], func(r rune) bool { return r == ',' || r == ' ' })
		if len(tests) == 0 {
			t.Errorf("%s: no test", cells[0])
		}
		for _, n := range tests {
			if !have[n] {
				t.Errorf("%s names %s, which does not exist", cells[0], n)
			}
		}
	}
	if rows < 60 {
		t.Errorf("%d rows", rows)
	}
}

// TestCompatibilityIsTested: each row of docs/compat.md that says yes names tests, and each named test exists.
func TestCompatibilityIsTested(t *testing.T) {
	have := allTests(t)
	doc, err := os.ReadFile("docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`^(gateway|conference|transcription) \d+\.\d+$`)
	seen := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name := strings.TrimSpace(cells[0])
		if len(cells) != 4 || !section.MatchString(name) {
			continue
		}
		seen[name] = true
		far, tests := strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		word := strings.FieldsFunc(far, func(r rune) bool { return r == ':' || r == ',' || r == ';' || r == ' ' })[0]
		switch {
		case word != "yes" && word != "partly" && word != "no" && word != "other":
			t.Errorf("%s: %q is none of yes, partly, no and other", name, word)
		case word != "no" && tests == "":
			t.Errorf("%s: %s, and no test shows it", name, word)
		case word != "yes" && word != "no" && far == word:
			t.Errorf("%s: %s, and not how or why", name, word)
		}
		for _, n := range strings.FieldsFunc(tests, func(r rune) bool { return r == ',' || r == ' ' }) {
			if !have[n] {
				t.Errorf("%s names %s, which does not exist", name, n)
			}
		}
	}
	for prefix, most := range map[string][]int{"gateway": {0, 8, 9, 13, 15, 4, 8, 3, 6, 3}, "conference": {0, 7, 3, 10, 10, 9, 5, 3, 6},
		"transcription": {0, 12, 4, 4, 5, 0, 9, 0, 3, 0, 0, 0, 0, 15}} {
		for chapter, last := range most {
			if n := fmt.Sprintf("%s %d.0", prefix, chapter); chapter > 0 && last == 0 && !seen[n] { // a chapter without sections
				t.Errorf("%s has no row", n)
			}
			for i := 1; i <= last; i++ {
				if n := fmt.Sprintf("%s %d.%d", prefix, chapter, i); !seen[n] {
					t.Errorf("%s has no row", n)
				}
			}
		}
	}
}
