package recognize

import (
	"strings"
	"unicode"
)

// A seam is where sound was said again to a service that does not tell what its finals cover: the
// last words before it, which may come once more after it.
type seam []string

const seamWords = 40

// grow adds the words of a final.
func (s *seam) grow(text string) {
	*s = append(*s, strings.Fields(text)...)
	*s = (*s)[max(0, len(*s)-seamWords):]
}

// cut takes off the front of text what the seam holds already. The first word may be the torn end
// of one, and is then no hindrance.
func (s seam) cut(text string) string {
	words := strings.Fields(text)
	for n := min(len(s), len(words)); n > 0; n-- {
		if s.ends(words[:n]) {
			return strings.Join(words[n:], " ")
		}
	}
	for n := min(len(s), len(words)-1); n > 1; n-- {
		if s.ends(words[1 : n+1]) {
			return strings.Join(words[n+1:], " ")
		}
	}
	for i := 0; i+len(words) <= len(s); i++ { // all of it lies before the end
		if same(s[i:i+len(words)], words) {
			return ""
		}
	}
	return text
}

func (s seam) ends(words []string) bool { return same(s[len(s)-len(words):], words) }

func same(a, b []string) bool {
	for i := range a {
		if letters(a[i]) != letters(b[i]) {
			return false
		}
	}
	return true
}

// letters is a word without capitals and punctuation.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}
