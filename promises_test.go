package jigasi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promised are the numbers that docs/promises.md has to have.
var promised = strings.Fields(`T01 T02 T03 T04 T05 T06 T07 T08 T09 T10 T11 T12 T13 T14 T15 T16 T17 T18 T19 T20 T21 T22 T23 T24 T25 T26 T30 T31 T33 T35 T36
	T37 T38 T39 T40 T41 T42 T43 T44 T45 T46 T47 T48 T50 T54 T55 T56 T58 T59 T60`)

var (
	aTest     = regexp.MustCompile(`(?m)^func (Test(T\d\d)_\w+)\(`)
	cited     = regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test\\w+)`")
	numberRow = regexp.MustCompile(`^\| (T\d\d) `)
)

// TestPromisesAreTested: each promise names tests that exist and bear its number.
func TestPromisesAreTested(t *testing.T) {
	have := map[string]bool{} // "pkg.Test..." of all tests with a number
	files, err := filepath.Glob("internal/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	deep, _ := filepath.Glob("internal/*/*/*_test.go")
	own, _ := filepath.Glob("*_test.go")
	for _, f := range slices.Concat(files, deep, own) {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(f)), "internal/")
		for _, m := range aTest.FindAllStringSubmatch(string(src), -1) {
			have[strings.TrimPrefix(pkg+"."+m[1], "..")] = true
		}
	}
	doc, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		m := numberRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows[m[1]] = true
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("%s has an empty cell, or other than five: %q", m[1], cells)
		}
		tests := cited.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("%s names no test", m[1])
		}
		for _, c := range tests {
			name := strings.TrimPrefix(c[1]+"."+c[2], ".")
			if !have[name] {
				t.Errorf("%s names %s, which does not exist", m[1], name)
			}
			if !strings.HasPrefix(c[2], "Test"+m[1]+"_") {
				t.Errorf("%s names %s, which bears another number", m[1], name)
			}
		}
	}
	for _, n := range promised {
		if !rows[n] {
			t.Errorf("docs/promises.md has no row for %s", n)
		}
	}
}

// TestT59_RaceFree: CI and `make check` run all packages under the race detector, and leave none out.
func TestT59_RaceFree(t *testing.T) {
	for file, want := range map[string]*regexp.Regexp{
		".ci/run":  regexp.MustCompile(`(?m)^go test -count=1 -race ./\.\.\.$`),
		"Makefile": regexp.MustCompile(`(?m)^\t\$\(GO\) test -race ./\.\.\.$`),
	} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !want.Match(src) {
			t.Errorf("%s does not run the race detector over all packages", file)
		}
	}
	ci, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(ci), "set -euo pipefail") {
		t.Error(".ci/run goes on after a failure")
	}
	for line := range strings.Lines(string(ci)) {
		if strings.Contains(line, "go test") && (strings.Contains(line, "||") || strings.Contains(line, "-short")) {
			t.Errorf(".ci/run forgives: %s", line)
		}
	}
	var racy []string // files that the race detector would not see
	_ = filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		src, err := os.ReadFile(path)
		constraint, _, _ := strings.Cut(string(src), "\n")
		if strings.HasPrefix(constraint, "//go:build") && strings.Contains(constraint, "!race") && strings.Contains(string(src), "\nfunc ") {
			racy = append(racy, path) // a constant may say which build it is
		}
		return err
	})
	if racy != nil {
		t.Errorf("not built under the race detector: %v", racy)
	}
}

// TestT40_NoKnownVulnerability: what go.mod asks for is not older than the versions that mend what is known;
// `make vuln` asks a database. No module may replace another unseen.
func TestT40_NoKnownVulnerability(t *testing.T) {
	src, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	floors := map[string]string{ // module without its major version: the version that mends it
		"github.com/pion/dtls":        "v3.1.4",
		"github.com/pion/stun":        "v3.1.5",
		"github.com/pion/interceptor": "v0.1.39",
		"golang.org/x/net":            "v0.56.0",
		"mellium.im/xmpp":             "v0.22.0",
		"mellium.im/sasl":             "v0.3.1",
		"github.com/emiago/sipgo":     "v1.0.0",
	}
	needed := []string{"github.com/pion/dtls", "github.com/pion/stun", "golang.org/x/net", "github.com/emiago/sipgo"}
	line := regexp.MustCompile(`(?m)^\s(\S+?)(?:/v\d+)? (v\d+\.\d+\.\d+)`)
	for _, m := range line.FindAllStringSubmatch(string(src), -1) {
		floor, ok := floors[m[1]]
		if !ok {
			continue
		}
		if older(t, m[2], floor) {
			t.Errorf("%s %s has a known vulnerability; %s mends it", m[1], m[2], floor)
		}
		needed = slices.DeleteFunc(needed, func(s string) bool { return s == m[1] })
	}
	if len(needed) > 0 {
		t.Errorf("go.mod names no version of %v: it is not held to a floor", needed)
	}
	if regexp.MustCompile(`(?m)^\s*(replace|exclude)\b`).Match(src) {
		t.Error("go.mod replaces or excludes a module")
	}
	if !older(t, "v3.1.3", "v3.1.4") || older(t, "v4.0.1", "v3.1.5") || older(t, "v0.62.0", "v0.56.0") || !older(t, "v0.9.0", "v0.10.0") {
		t.Error("versions are not compared as numbers")
	}
}

func older(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y [3]int
	for s, v := range map[string]*[3]int{a: &x, b: &y} {
		if _, err := fmt.Sscanf(s, "v%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return slices.Compare(x[:], y[:]) < 0
}
