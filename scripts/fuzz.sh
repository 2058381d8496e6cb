#!/bin/sh
# Runs every native fuzz target for FUZZTIME (default 10s), one after the other.
set -eu
time=${FUZZTIME:-10s}
go list ./... | while read -r pkg; do
	dir=$(go list -f '{{.Dir}}' "$pkg")
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/func //' | sort -u | while read -r target; do
		echo "fuzz $pkg $target"
		go test "$pkg" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel 2 </dev/null
	done
done
