//go:build !linux

package app_test

// openFiles is not counted here.
func openFiles() int { return 0 }

// limitFiles is not done here.
func limitFiles(string) {}
