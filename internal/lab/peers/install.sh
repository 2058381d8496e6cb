#!/bin/sh
# Installs the counterparts of the lab ring, and what the shipped build needs (Debian, root).
# It does nothing, and quickly, where all is there.
set -eu
cd "$(dirname "$0")/../../.."

missing=""
want() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
want prosody "prosody lua-unbound lua-sec lua-expat"
want sipp sip-tester
want baresip baresip-core
want kamailio kamailio
want rtpengine rtpengine-daemon
want sox sox
want flite flite
want pocketsphinx_continuous "pocketsphinx pocketsphinx-en-us"
want linphonec linphone-cli
want janus janus
want turnserver coturn
want chromium chromium
want node nodejs
want npm npm
want esbuild esbuild
want curl curl
want apache2 apache2-bin
want opusinfo opus-tools
want systemd-analyze systemd
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
ls /usr/lib/*/kamailio/modules/tls.so >/dev/null 2>&1 || missing="$missing kamailio-tls-modules"
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
ls /usr/lib/*/kamailio/modules/websocket.so >/dev/null 2>&1 || missing="$missing kamailio-websocket-modules"
test -f /usr/include/opus/opus.h || missing="$missing libopus-dev gcc libc6-dev"
if test -n "$missing"; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # one word for each package
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# A store with the interface of S3, which checks signatures.
if ! test -x .cache/lab/moto/bin/moto_server; then
	rm -rf .cache/lab/moto
	python3 -m venv .cache/lab/moto
	.cache/lab/moto/bin/pip install -q 'moto[s3]==5.2.5' 'flask==3.1.3' 'flask-cors==6.0.2'
fi

# The browser's side: unpacked only, as none of them needs anything else to run.
pack() { # pack name package@version
	test -d ".cache/lab/$1/package" && return
	rm -rf ".cache/lab/$1" ".cache/lab/$1.part"
	mkdir -p ".cache/lab/$1.part"
	(
		cd ".cache/lab/$1.part"
		npm pack --silent "$2" >/dev/null
		tar -xzf ./*.tgz
		rm -f ./*.tgz
	)
	mv ".cache/lab/$1.part" ".cache/lab/$1" # whole or not at all
}
pack lib-jitsi-meet @lyno/lib-jitsi-meet@2.6726.2
pack jquery jquery@3.6.0
pack playwright-core playwright-core@1.65.1

# JsSIP has no file for browsers: it and what it needs are made one.
jssip=3.13.8
if ! test -f ".cache/lab/jssip-$jssip.js"; then
	rm -rf .cache/lab/jssip
	mkdir -p .cache/lab/jssip
	npm install --silent --no-save --ignore-scripts --prefix .cache/lab/jssip "jssip@$jssip" >/dev/null
	echo 'window.JsSIP = require("jssip");' >.cache/lab/jssip/page.js
	esbuild .cache/lab/jssip/page.js --bundle --platform=browser --log-level=warning --outfile=".cache/lab/jssip/made.js"
	mv .cache/lab/jssip/made.js ".cache/lab/jssip-$jssip.js" # whole or not at all
fi
