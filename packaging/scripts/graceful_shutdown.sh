#!/bin/sh
# Stops a gateway when its calls have ended: no new calls from now on, and a kill for a process that does not leave.
# usage: graceful_shutdown.sh -p PID [-h URL] [-t SECONDS] [-s]
#   -h  address of its HTTP interface, default http://localhost:8788 (admin.shutdown must be true there)
#   -t  how long the process may take to end after its last call, default 25
#   -s  say nothing
# JIGASI_REST_TOKEN is sent as the bearer token. The status is 0 when the process has ended.
set -u
pid= url=http://localhost:8788 patience=25 silent=no
every=${JIGASI_POLL_SECONDS:-10}
usage() { sed -n 's/^# usage: //p' "$0" >&2; exit 1; }
while getopts p:h:t:s option; do
	case $option in
	p) pid=$OPTARG ;;
	h) url=$OPTARG ;;
	t) patience=$OPTARG ;;
	s) silent=yes ;;
	*) usage ;;
	esac
done
case $pid in '' | *[!0-9]*) usage ;; esac
say() { test $silent = yes || echo "$(date '+%F %T') $*"; }
alive() { kill -0 "$pid" 2>/dev/null; }
ask() {
	if [ -n "${JIGASI_REST_TOKEN:-}" ]; then
		curl -sS --max-time 10 -H "Authorization: Bearer $JIGASI_REST_TOKEN" "$@"
	else
		curl -sS --max-time 10 "$@"
	fi
}

code=$(ask -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d '{ "graceful-shutdown": "true" }' "$url/about/shutdown")
if [ "$code" != 200 ]; then
	say "the gateway refuses: HTTP $code. Set admin.shutdown: true (org.jitsi.jigasi.ENABLE_REST_SHUTDOWN)"
	exit 1
fi
say "no new calls; waiting for those that run"
while alive; do
	calls=$(ask "$url/about/stats" 2>/dev/null | sed -n 's/.*"conferences":\([0-9][0-9]*\).*/\1/p')
	if [ -z "$calls" ]; then
		alive || break
		say "no answer from $url"
	elif [ "$calls" -eq 0 ]; then
		break
	else
		say "$calls calls"
	fi
	sleep "$every"
done
pause=5
test "$every" -ge 5 || pause=$every
alive && sleep "$pause"
left=$patience
while alive && [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done
if alive; then
	say "it does not end: killing it"
	kill "$pid" 2>/dev/null
	left=12 # the gateway says goodbye to what is left within 10 s
	while alive && [ "$left" -gt 0 ]; do sleep 1; left=$((left - 1)); done
	alive && kill -9 "$pid" 2>/dev/null && sleep 1
fi
if alive; then
	say "process $pid cannot be ended"
	exit 1
fi
say "the gateway has ended"
