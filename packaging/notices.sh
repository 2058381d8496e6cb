#!/bin/sh
# Prints the licences of all modules that the program contains: what is shipped has to bear them.
# usage: notices.sh [GOFLAGS...]   such as -tags libopus
set -eu
cd "$(dirname "$0")/.."
echo "jigasi contains the following modules, and, where 'jigasi version' says libopus, libopus of Xiph.Org (BSD)."
${GO:-go} list "$@" -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/jigasi | LC_ALL=C sort -u |
	while read -r path version dir; do
		printf '\n======== %s %s\n' "$path" "$version"
		found=no
		for f in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
			if [ -f "$f" ]; then cat "$f"; found=yes; fi
		done
		test $found = yes || { echo "no licence in $path" >&2; exit 1; }
	done
printf '\n======== the Go standard library\n'
cat "$(${GO:-go} env GOROOT)/LICENSE"
