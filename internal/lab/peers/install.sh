#!/bin/sh
# Installs the counterparts of the lab ring, and what the shipped build needs (Debian, root).
set -eu
need="prosody sipp baresip kamailio sox"
missing=no
for p in $need; do command -v "$p" >/dev/null 2>&1 || missing=yes; done
test -f /usr/include/opus/opus.h || missing=yes
test $missing = no && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends prosody lua-unbound lua-sec lua-expat sip-tester baresip-core \
	kamailio kamailio-tls-modules sox libopus-dev gcc libc6-dev >/dev/null
