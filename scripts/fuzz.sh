#!/bin/sh
# Runs every native fuzz target for FUZZTIME (default 10s), one after the other.
#
# On a loaded machine `go test -fuzz` may stop a worker that is in the middle of an input when the time
# is up, and call that a failure: "context deadline exceeded", without an input that fails. That is no finding
# (golang/go#48591); any other failure is. Making inputs that are new shorter takes a minute each where nobody says
# otherwise, which is more than there is.
set -eu
time=${FUZZTIME:-10s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fuzz() {
	echo "fuzz $1 $2"
	if go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel 2 </dev/null >"$out" 2>&1; then
		tail -n 2 "$out"
		return
	fi
	cat "$out"
	if grep -q 'context deadline exceeded' "$out" && ! grep -Eq 'Failing input written|panic:|fuzzing process hung|_test\.go:' "$out"; then
		echo "fuzz $1 $2: out of time, nothing found"
		return
	fi
	exit 1
}

for pkg in $(go list ./...); do
	dir=$(go list -f '{{.Dir}}' "$pkg")
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/func //' | sort -u); do
		fuzz "$pkg" "$target"
	done
done
