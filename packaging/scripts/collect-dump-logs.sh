#!/bin/sh
# Packs what helps to find out what a running gateway is doing: jigasi-dumps-<time>-<pid>.tgz in the current folder.
# usage: collect-dump-logs.sh [PID]
# JIGASI_URL and JIGASI_REST_TOKEN as in graceful_shutdown.sh. No password is in it; room names and masked numbers are.
set -eu
pid=${1:-$(cat /run/jigasi/jigasi.pid 2>/dev/null || true)}
test -n "$pid" || { echo "which process? collect-dump-logs.sh PID" >&2; exit 1; }
url=${JIGASI_URL:-http://localhost:8788}
stamp=$(date +%Y%m%d-%H%M%S)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/jigasi-dumps-$stamp-$pid
mkdir "$out"
for page in about/version about/health about/stats debug metrics readyz; do
	curl -sS --max-time 10 ${JIGASI_REST_TOKEN:+-H "Authorization: Bearer $JIGASI_REST_TOKEN"} \
		"$url/$page" >"$out/$(echo "$page" | tr / -)" 2>&1 || true
done
for f in status limits; do cat "/proc/$pid/$f" >"$out/process-$f" 2>/dev/null || true; done
ls "/proc/$pid/fd" 2>/dev/null | wc -l >"$out/process-open-files" || true
kill -QUIT "$pid" 2>/dev/null && sleep 1 || true # it tells its log what its goroutines do, and goes on
tail -n 20000 "${JIGASI_LOG:-/var/log/jitsi/jigasi.log}" >"$out/jigasi.log" 2>/dev/null || true
tar -czf "jigasi-dumps-$stamp-$pid.tgz" -C "$work" "$(basename "$out")"
echo "jigasi-dumps-$stamp-$pid.tgz"
