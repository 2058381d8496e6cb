#!/bin/sh
# Brings the breweries of a running gateway in line with a property file: those of the file are added,
# those that the file does not have are removed. Calls go on.
#   CONFIG_PATH         default /etc/jitsi/jigasi/sip-communicator.properties
#   JIGASI_URL          default http://localhost:8788
#   JIGASI_REST_TOKEN   bearer token, if there is one
#   DRY_RUN             anything: only say what would be done, without passwords
set -eu
file=${CONFIG_PATH:-/etc/jitsi/jigasi/sip-communicator.properties}
url=${JIGASI_URL:-http://localhost:8788}
at='net.java.sip.communicator.impl.protocol.jabber.'
test -r "$file" || { echo "$file cannot be read" >&2; exit 1; }

# id <tab> NAME <tab> value, a line each; the last of the same name wins.
flat=$(awk -v at="$at" '
	/^[ \t]*[#!]/ || !/[=:]/ { next }
	{
		sub(/\r$/, ""); sub(/^[ \t]+/, "")
		if (substr($0, 1, length(at)) != at) next
		line = substr($0, length(at) + 1)
		cut = match(line, /[ \t]*[=:][ \t]*/)
		key = substr(line, 1, cut - 1); value = substr(line, cut + RLENGTH)
		gsub(/\\:/, ":", value); gsub(/\\=/, "=", value); gsub(/\\ /, " ", value); gsub(/\\\\/, "\\", value)
		sub(/[ \t]+$/, "", value)
		dot = index(key, ".")
		if (substr(key, 1, 3) != "acc") next
		if (dot == 0) { account[key] = 1; next } # the line that makes it an account
		id = substr(key, 1, dot - 1); name = substr(key, dot + 1)
		owner[id "\t" name] = id
		seen[id "\t" name] = value
		if (name == "IS_ACCOUNT_DISABLED" && tolower(value) == "true") disabled[id] = 1
	}
	END { for (k in seen) if (account[owner[k]] && !disabled[owner[k]] && seen[k] != "") print k "\t" seen[k] }' "$file" | sort)

# only accounts with a BREWERY are breweries
ids=$(printf '%s\n' "$flat" | awk -F'\t' '$2 == "BREWERY" { print $1 }')
escape() { printf %s "$1" | sed 's/[\\"]/\\&/g'; }
body() { # the JSON of one id
	printf '{"id":"%s"' "$(escape "$1")"
	printf '%s\n' "$flat" | while IFS='	' read -r id name value; do
		test "$id" = "$1" || continue
		if [ "$name" = PASSWORD ]; then
			if [ -n "${DRY_RUN:-}" ]; then value='***'; else value=$(printf %s "$value" | base64 -d); fi
		fi
		printf ',"%s":"%s"' "$(escape "$name")" "$(escape "$value")"
	done
	printf '}'
}
ask() {
	if [ -n "${JIGASI_REST_TOKEN:-}" ]; then
		curl -sS --fail --max-time 30 -H "Authorization: Bearer $JIGASI_REST_TOKEN" "$@"
	else
		curl -sS --fail --max-time 30 "$@"
	fi
}
post() { # path body; the body goes by standard input, so that no list of processes shows it
	if [ -n "${DRY_RUN:-}" ]; then
		echo "POST $1 $2"
		return
	fi
	printf %s "$2" | ask -H 'Content-Type: application/json' --data-binary @- "$url/configure/call-control-muc/$1"
}

for id in $ids; do
	post add "$(body "$id")"
	echo "added $id"
done
there=$(ask "$url/configure/call-control-muc/list" | tr -d '[]" ' | tr , ' ')
for id in $there; do
	case " $(echo $ids) " in *" $id "*) continue ;; esac
	post remove "{\"id\":\"$(escape "$id")\"}"
	echo "removed $id"
done
