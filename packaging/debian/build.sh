#!/bin/sh
# Builds a Debian package with dpkg-deb alone.
# usage: build.sh BINARY VERSION ARCH NOTICES OUTFOLDER
#   NOTICES is the file with the licences of what the binary contains.
set -eu
binary=$1 version=$2 arch=$3 notices=$4 out=$5
here=$(cd "$(dirname "$0")/.." && pwd)
top=$(cd "$here/.." && pwd)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
put() { install -D -m "$1" "$2" "$root$3"; }

put 0755 "$binary" /usr/bin/jigasi
for s in jigasi graceful_shutdown reconfigure_xmpp collect-dump-logs; do put 0755 "$here/scripts/$s.sh" "/usr/share/jigasi/$s.sh"; done
ln -s ../../bin/jigasi "$root/usr/share/jigasi/jigasi"
put 0644 "$here/debian/first.yaml" /usr/share/jigasi/jigasi.yaml.first
put 0644 "$top/docs/jigasi.yaml" /usr/share/jigasi/jigasi.yaml.sample
put 0644 "$here/debian/config" /etc/jitsi/jigasi/config
put 0644 "$here/debian/logrotate" /etc/logrotate.d/jigasi
put 0644 "$here/jigasi.service" /lib/systemd/system/jigasi.service
for f in "$top/README.md" "$top/CHANGELOG.md" "$top"/docs/*.md; do put 0644 "$f" "/usr/share/doc/jigasi/$(basename "$f")"; done
put 0644 "$notices" /usr/share/doc/jigasi/copyright

install -d "$root/DEBIAN"
for s in postinst prerm postrm; do install -m 0755 "$here/debian/$s" "$root/DEBIAN/$s"; done
printf '%s\n' /etc/jitsi/jigasi/config /etc/logrotate.d/jigasi >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<EOF
Package: jigasi
Version: $version
Architecture: $arch
Maintainer: the jigasi project <jigasi@localhost>
Installed-Size: $(du -sk --apparent-size "$root" | cut -f1)
Depends: passwd, init-system-helpers (>= 1.52)
Recommends: curl
Section: net
Priority: optional
Description: telephones in Jitsi Meet meetings
 A gateway between SIP telephony and Jitsi Meet: callers dial into a meeting, and
 a meeting dials out. It takes the place of the Java program of the same name and
 reads its configuration unchanged.
EOF
(cd "$root" && find etc usr lib -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
dpkg-deb --root-owner-group "-Z${DEB_COMPRESSION:-xz}" --build "$root" "$out/jigasi_${version}_$arch.deb"
