// Package voskd is a speech service with a real engine: the protocol of the Vosk server in front of
// PocketSphinx, which Debian has. It is written from the protocol, and needs the
// program pocketsphinx_continuous.
package voskd
