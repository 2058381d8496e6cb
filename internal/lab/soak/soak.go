// Package soak says how often the tests of promises repeat: a number that suits every change, or the
// full one of `make soak`.
package soak

import "os"

// Full reports whether the full counts are asked for (JIGASI_SOAK=1).
func Full() bool { return os.Getenv("JIGASI_SOAK") == "1" }

// Count is usual, or full where the full counts are asked for.
func Count(usual, full int) int {
	if Full() {
		return full
	}
	return usual
}
