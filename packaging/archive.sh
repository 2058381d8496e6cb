#!/bin/sh
# Packs a binary with what belongs to it: jigasi-VERSION-OS-ARCH.tar.gz
# usage: archive.sh BINARY VERSION OS ARCH NOTICES OUTFOLDER
set -eu
binary=$1 version=$2 os=$3 arch=$4 notices=$5 out=$6
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)}
name=jigasi-$version-$os-$arch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$name" "$work/$name/docs"
install -m 0755 "$binary" "$work/$name/jigasi"
install -m 0755 "$here"/scripts/*.sh "$work/$name/"
install -m 0644 "$top/README.md" "$top/CHANGELOG.md" "$work/$name/"
install -m 0644 "$top"/docs/*.md "$top/docs/jigasi.yaml" "$work/$name/docs/"
install -m 0644 "$notices" "$work/$name/LICENSES"
mkdir -p "$out"
tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -C "$work" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
echo "$out/$name.tar.gz"
