package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme: the README's first configuration is good, its commands exist, and so does all it points to.
func TestReadme(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readme)
	if block == nil {
		t.Fatal("no configuration")
	}
	if n := strings.Count(block[1], "\n"); n > 16 {
		t.Errorf("the first configuration has %d lines", n)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "jigasi.yaml"), block[1])
	write(t, filepath.Join(dir, "sip.password"), "SECRET\n")
	write(t, filepath.Join(dir, "xmpp.password"), "SECRET\n")
	p := jigasi(t, dir, nil, "check-config", "jigasi.yaml")
	if status := p.end(t); status != 0 || !strings.Contains(p.said(), "good, 0 warnings") {
		t.Error(status, p.said())
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("make ([a-z]+)").FindAllStringSubmatch(readme, -1) {
		if !strings.Contains(string(makefile), "\n"+m[1]+":") {
			t.Errorf("the Makefile has no %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestFirstConfiguration: what the Debian package writes is the same, with the files where it wants them.
func TestFirstConfiguration(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile("../../packaging/debian/first.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "jigasi.yaml"), strings.ReplaceAll(string(first), "/etc/jitsi/jigasi", dir))
	write(t, filepath.Join(dir, "sip.password"), "SECRET\n")
	write(t, filepath.Join(dir, "xmpp.password"), "SECRET\n")
	p := jigasi(t, dir, nil, "check-config", dir)
	if status := p.end(t); status != 0 || !strings.Contains(p.said(), "good, 0 warnings") {
		t.Error(status, p.said())
	}
}
