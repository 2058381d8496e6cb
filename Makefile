# Few verbs; `make help` lists them.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build: ## the shipped binary, bin/jigasi, with libopus linked statically (needs gcc and libopus-dev)
	CGO_ENABLED=1 $(GO) build -trimpath -tags 'libopus netgo osusergo' \
		-ldflags '$(LDFLAGS) -extldflags "-static"' -o bin/jigasi ./cmd/jigasi

# A version of git's becomes one of Debian's that is newer than those of the Java program, 1.1-*.
DEBVERSION ?= $(shell echo '$(VERSION)' | sed -E 's/^v?([0-9]+\..*)$$/\1/; t ok; s/^/2.0~$(shell git log -1 --format=%cd --date=format:%Y%m%d 2>/dev/null || date +%Y%m%d)./; :ok; s/-/+/g')
CROSS := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

notices: ## bin/LICENSES, the licences of what the binary contains
	@mkdir -p bin
	sh packaging/notices.sh -tags 'libopus netgo osusergo' >bin/LICENSES

deb: build notices ## dist/jigasi_*.deb for this machine (needs dpkg-deb, gcc and libopus-dev)
	rm -f dist/*.deb
	sh packaging/debian/build.sh bin/jigasi '$(DEBVERSION)' "$$($(GO) env GOARCH)" bin/LICENSES dist

dist: deb ## archives for Linux (this machine's with libopus, arm64) and macOS (arm64), and their checksums
	rm -f dist/*.tar.gz
	GOOS=darwin GOARCH=arm64 $(CROSS) -o bin/darwin-arm64/jigasi ./cmd/jigasi
	sh packaging/archive.sh bin/jigasi '$(VERSION)' linux "$$($(GO) env GOARCH)" bin/LICENSES dist
	test "$$($(GO) env GOARCH)" = arm64 || { GOOS=linux GOARCH=arm64 $(CROSS) -o bin/linux-arm64/jigasi ./cmd/jigasi && \
		sh packaging/archive.sh bin/linux-arm64/jigasi '$(VERSION)' linux arm64 bin/LICENSES dist; }
	sh packaging/archive.sh bin/darwin-arm64/jigasi '$(VERSION)' darwin arm64 bin/LICENSES dist
	cd dist && sha256sum *.deb *.tar.gz >SHA256SUMS

demo: ## a whole meeting in one process, with a phone in it
	$(GO) run ./cmd/jigasi demo

check: ## formatting, vet, the hermetic tests under the race detector
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags lab ./...
	$(GO) test -race ./...

test: ## the hermetic suite: nothing installed, nothing skipped
	$(GO) test ./...

lint: ## golangci-lint, built from its module
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run

lab-install: ## install the real counterparts (Debian, root; npm)
	sh internal/lab/peers/install.sh

lab: lab-install ## real Prosody, sipp, baresip, linphone, Janus, Kamailio, rtpengine, coturn, Chromium, Apache, moto
	$(GO) test -count=1 -timeout 30m -tags lab ./internal/lab/peers/... ./internal/demo ./packaging/...

fuzz: ## each fuzz target for FUZZTIME (default 10s)
	sh scripts/fuzz.sh

soak: ## the long counts of reliability tests
	JIGASI_SOAK=1 $(GO) test -count=1 -timeout 120m -tags lab ./...

CHAOS ?= 5m
chaos: ## CHAOS (default 5m) of random faults over 20 calls in the lab's meeting; JIGASI_SEED=... repeats one
	JIGASI_CHAOS=$(CHAOS) $(GO) test -count=1 -timeout 120m -tags lab -run TestChaos -v ./internal/app

vuln: ## known vulnerabilities that the code reaches; VULNDB=file:///... is a copy of the database
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 $(if $(VULNDB),-db $(VULNDB)) ./...

bench: ## cost of a call as a ratio to the codec-and-crypto floor (needs gcc and libopus-dev)
	CGO_ENABLED=1 $(GO) run -tags libopus ./cmd/jigasi-bench

bench-room: ## cost of 35 phones in one room, in units of 35 in silent rooms (needs gcc and libopus-dev)
	CGO_ENABLED=1 $(GO) run -tags libopus ./cmd/jigasi-bench -room

bench-words: ## cost of transcription as a ratio to decrypting and decoding (needs gcc and libopus-dev)
	CGO_ENABLED=1 $(GO) run -tags libopus ./cmd/jigasi-bench -words

golden: ## rewrite golden files; review the diff like code
	$(GO) test ./internal/call ./internal/config ./internal/admin -update

.PHONY: help build notices deb dist demo check test lint lab lab-install fuzz soak chaos vuln bench bench-room bench-words golden
