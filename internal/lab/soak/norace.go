//go:build !race

package soak

const slower = 1
