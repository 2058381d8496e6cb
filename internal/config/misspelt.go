package config

import (
	"slices"
	"strings"
)

// others are variables with our prefix that are no settings of the container.
var others = []string{"JIGASI_MAX_MEMORY", "JIGASI_OPTS", "JIGASI_HOST", "JIGASI_HOSTNAME", "JIGASI_SIPUSER", "JIGASI_SIPPWD"}

// Misspelt finds variables of an environment (name=value each) that look like settings and are none. Where the
// container's variables are not what configures the gateway it finds nothing.
func Misspelt(environ []string, env func(string) string) []Finding {
	if !isDocker(env) {
		return nil
	}
	known := append(slices.Clone(others), sidecar...)
	for _, v := range variables {
		known = append(known, v.name)
	}
	var out []Finding
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "JIGASI_") || slices.Contains(known, name) {
			continue
		}
		best, distance := "", 1+len(name)/5
		for _, k := range known {
			if d := edits(name, k); d < distance {
				best, distance = k, d
			}
		}
		text := "is no variable of the gateway and has no effect"
		if best != "" {
			text += "; did you mean " + best + "?"
		}
		out = append(out, Finding{Warning, "environment", 0, name, text})
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return out
}
