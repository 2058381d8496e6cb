// Package soak says how often the tests of promises repeat: a number that suits every change, or the
// full one of `make soak`; and how many tests run at once.
package soak

import (
	"flag"
	"os"
	"runtime"
	"strconv"
)

// Together lets n parallel tests of a package run at once, however few processors there are: for tests that wait for
// people and servers more than they compute. With the race detector it is half as many. TestMain calls it; -parallel has
// precedence.
func Together(n int) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set(strconv.Itoa(max(1, n/slower)))
	}
}

// Full reports whether the full counts are asked for (JIGASI_SOAK=1).
func Full() bool { return os.Getenv("JIGASI_SOAK") == "1" }

// Count is usual, or full where the full counts are asked for.
func Count(usual, full int) int {
	if Full() {
		return full
	}
	return usual
}
