#!/bin/sh
# Makes the prompts in internal/prompt/sounds of the texts beside them (Debian: espeak-ng, sox, opus-tools).
# Run it after changing a text; without arguments all are made, else those named.
set -eu
cd "$(dirname "$0")/../internal/prompt/sounds"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

pack() { # wav, opus: 20 ms packets, mono, the same bytes each time
	opusenc --quiet --serial 1 --discard-comments --padding 0 --framesize 20 --bitrate 20 --downmix-mono --speech "$1" "$2"
}

say() { # language, voice
	for text in "$1"/*.txt; do
		name=${text%.txt}
		espeak-ng -v "$2" -s 150 -a 120 -w "$tmp/said.wav" -f "$text"
		sox -q "$tmp/said.wav" -r 48000 -c 1 "$tmp/full.wav" silence 1 0.01 0.1% reverse silence 1 0.01 0.1% reverse pad 0.1 0.2 gain -n -6
		pack "$tmp/full.wav" "$name.opus"
	done
}

ring() { # name, notes in Hz
	name=$1
	shift
	parts=
	for hz in "$@"; do
		sox -q -n -r 48000 -c 1 -b 16 "$tmp/$hz.wav" synth 0.16 sine "$hz" fade h 0.01 0.16 0.08 gain -14
		parts="$parts $tmp/$hz.wav"
	done
	# shellcheck disable=SC2086
	sox -q $parts -b 16 "$tmp/full.wav"
	pack "$tmp/full.wav" "tones/$name.opus"
}

say en en-us
say de de
say fr fr-fr
say es es
ring Alone 660 587 523
ring ParticipantJoined 523 660
ring ParticipantLeft 660 523
ring Hold 440
