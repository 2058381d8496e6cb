//go:build race

package soak

// slower is how much less runs at once: the race detector has sound take several times as long as it lasts.
const slower = 2
